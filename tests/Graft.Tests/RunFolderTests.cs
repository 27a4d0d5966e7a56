using System.Buffers.Binary;
using Graft.Classification;
using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Models.Hub;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>What a run's folder holds, what may be written over, and what a resumed run finds.</summary>
public sealed class RunFolderTests : IDisposable
{
    private readonly Workshop _shop = new();

    public RunFolderTests()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear"], 6, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear"], 4, 2);
    }

    public void Dispose() => _shop.Dispose();

    private TrainOptions Options => new() { Data = _shop["d"], Strategy = "feature", Out = _shop["run"], NoReport = true, NoCache = true };

    private static string Refused(Action action) => Assert.Throws<GraftException>(action).Message;

    /// <summary>A run of full fine-tuning that was stopped after so many steps, in the folder "run".</summary>
    private void Stopped(int steps)
    {
        using var stop = new CancellationTokenSource();
        var task = new TransferTask(Options with { Strategy = "full", Epochs = 4 }) { Cancel = stop.Token,
            Progress = report => { if (report.Done == steps && !double.IsNaN(report.Loss)) stop.Cancel(); } };
        Assert.Throws<OperationCanceledException>(() => task.Run());
        Assert.True(File.Exists(_shop["run", "state.safetensors"]));
    }

    [Fact]
    public void A_finished_run_is_not_written_over_unless_asked_and_what_is_not_a_runs_stays()
    {
        new TransferTask(Options).Run();
        File.WriteAllText(_shop["run", "notes.txt"], "mine");
        var model = File.ReadAllBytes(_shop["run", Classifier.FileName]);
        var refused = Refused(() => new TransferTask(Options with { Strategy = "full", Epochs = 1 }).Run());
        Assert.Contains("holds a finished run", refused, StringComparison.Ordinal);
        Assert.Contains("--overwrite", refused, StringComparison.Ordinal);
        Assert.Equal(model, File.ReadAllBytes(_shop["run", Classifier.FileName]));
        new TransferTask(Options with { Strategy = "full", Epochs = 1, Overwrite = true }).Run();
        Assert.NotEqual(model, File.ReadAllBytes(_shop["run", Classifier.FileName]));
        Assert.Equal("mine", File.ReadAllText(_shop["run", "notes.txt"]));
        Assert.Single(Directory.GetFiles(_shop["run", "events"]));
    }

    [Fact]
    public void A_run_that_can_go_on_is_not_written_over_unless_asked()
    {
        Stopped(2);
        var state = File.ReadAllBytes(_shop["run", "state.safetensors"]);
        Assert.Contains($"go on with graft train --resume {_shop["run"]}", Refused(() => new TransferTask(Options).Run()), StringComparison.Ordinal);
        Assert.Contains($"go on with graft train --resume {_shop["run"]}",
            Refused(() => new FewShotTask(new FewShotTrainOptions { Data = _shop["d"], Out = _shop["run"] }).Run()), StringComparison.Ordinal);
        Assert.Equal(state, File.ReadAllBytes(_shop["run", "state.safetensors"]));
        new TransferTask(Options with { Overwrite = true }).Run();
        Assert.False(File.Exists(_shop["run", "state.safetensors"]));
    }

    [Fact]
    public void Pictures_weights_and_foreign_files_are_never_written_over()
    {
        var before = Directory.GetFiles(_shop["d"], "*", SearchOption.AllDirectories).Order().ToArray();
        foreach (var overwrite in new[] { false, true })
            Assert.Contains("is the folder of the pictures",
                Refused(() => new TransferTask(Options with { Out = _shop["d"], Overwrite = overwrite }).Run()), StringComparison.Ordinal);
        Directory.CreateSymbolicLink(_shop["link"], _shop["d"]);
        Assert.Contains("is the folder of the pictures",
            Refused(() => new TransferTask(Options with { Out = _shop["link"], Overwrite = true }).Run()), StringComparison.Ordinal);
        Assert.Contains("holds other files already, such as gear", Refused(() => new TransferTask(Options with { Out = _shop["d", "train"] }).Run()),
            StringComparison.Ordinal);
        Assert.Equal(before, Directory.GetFiles(_shop["d"], "*", SearchOption.AllDirectories).Order());
        File.WriteAllText(_shop["file"], "");
        Assert.Contains("is a file, and a run is a folder", Refused(() => new TransferTask(Options with { Out = _shop["file"] }).Run()),
            StringComparison.Ordinal);
        new TransferTask(Options).Run();
        Assert.Contains("is what the run reads",
            Refused(() => new TransferTask(Options with { Weights = _shop["run", Classifier.FileName], Overwrite = true }).Run()),
            StringComparison.Ordinal);
        // An empty folder, and what a killed write left, are no hindrance.
        Directory.CreateDirectory(_shop["empty"]);
        File.WriteAllText(_shop["empty", "run.json.1.0123.partial"], "{");
        new TransferTask(Options with { Out = _shop["empty"] }).Run();
        Assert.Empty(Directory.GetFiles(_shop["empty"], "*.partial"));
    }

    [Fact]
    public void A_comparison_refuses_before_its_first_run()
    {
        var options = Options with { Strategy = "auto", Out = _shop["compare"], Epochs = 1 };
        static TransferTask Task(TrainOptions given) => new(given) { Cache = null };
        Directory.CreateDirectory(_shop["compare", "full-0"]);
        File.WriteAllText(_shop["compare", "full-0", "notes.txt"], "mine");
        Assert.Contains("such as notes.txt", Refused(() => Comparison.Run(options, ["feature", "full"], 1, Task)), StringComparison.Ordinal);
        Assert.Contains("magic", Refused(() => Comparison.Run(options, ["feature", "magic"], 1, Task)), StringComparison.Ordinal);
        Assert.Contains("--seeds 0", Refused(() => Comparison.Run(options, ["feature"], 0, Task)), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_shop["compare", "feature-0"]));
    }

    [Fact]
    public void A_resumed_run_notices_pictures_that_changed_under_their_names()
    {
        Stopped(2);
        var picture = _shop["d", "train", "gear", "0000.jpg"];
        var bytes = File.ReadAllBytes(picture);
        File.Copy(_shop["d", "val", "gear", "0001.jpg"], picture, overwrite: true);
        Assert.Contains("is not what the run began with", Refused(() => new TransferTask(TransferTask.OptionsOf(_shop["run"])).Run(resume: true)),
            StringComparison.Ordinal);
        File.WriteAllBytes(picture, bytes);
        Assert.Equal(4, new TransferTask(TransferTask.OptionsOf(_shop["run"])).Run(resume: true).Plan.Phases[0].Epochs);
    }

    [Fact]
    public void A_resumed_run_notices_weights_that_changed()
    {
        File.Copy(EmbeddedWeights.Path(), _shop["upstream.safetensors"]);
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
            new TransferTask(Options with { Weights = _shop["upstream.safetensors"], Strategy = "full", Epochs = 4 })
        {
            Cancel = stop.Token, Progress = report => { if (report.Done == 2 && !double.IsNaN(report.Loss)) stop.Cancel(); },
        }.Run());
        var contents = Torch.Safetensors.Read(_shop["upstream.safetensors"]);
        using (Torch.Autograd.NoGrad()) contents.Tensors.First(item => item.Value.Type == Torch.DType.Float32).Value.MulInPlace((Torch.Scalar)1.5);
        Torch.Safetensors.Write(_shop["upstream.safetensors"], contents.Tensors, contents.Metadata.ToDictionary());
        Assert.Contains("its weights have changed", Refused(() => new TransferTask(TransferTask.OptionsOf(_shop["run"])).Run(resume: true)),
            StringComparison.Ordinal);
    }

    [Fact]
    public void TensorBoards_steps_go_on_after_a_resumption()
    {
        // Twelve pictures are one step an epoch: stopped after the second epoch's step.
        Stopped(2);
        new TransferTask(TransferTask.OptionsOf(_shop["run"])).Run(resume: true);
        var files = Directory.GetFiles(_shop["run", "events"]).Select(Steps).OrderBy(steps => steps.DefaultIfEmpty(-1).Min()).ToArray();
        Assert.Equal(2, files.Length);
        Assert.Equal([0L, 1, 2, 3], files.SelectMany(steps => steps).Distinct());
        Assert.Equal(4, RunRecord.Read(_shop["run"]).History.Count);
    }

    /// <summary>The steps of an event file: field 2 of each Event message that has one.</summary>
    private static List<long> Steps(string file)
    {
        var (bytes, steps) = (File.ReadAllBytes(file), new List<long>());
        for (var at = 0; at < bytes.Length;)
        {
            var length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at));
            var input = new Google.Protobuf.CodedInputStream(bytes, at + 12, length);
            for (uint tag; (tag = input.ReadTag()) != 0;)
            {
                if (Google.Protobuf.WireFormat.GetTagFieldNumber(tag) == 2) steps.Add(input.ReadInt64());
                else input.SkipLastField();
            }
            at += 16 + length;
        }
        return steps;
    }

    [Fact]
    public void A_run_begun_with_relative_paths_keeps_them_whole()
    {
        var relative = Path.GetRelativePath(Directory.GetCurrentDirectory(), _shop["d"]);
        new TransferTask(Options with { Data = relative, Validation = Path.Combine(relative, "val") }).Run();
        var kept = RunRecord.Read(_shop["run"]).Options;
        Assert.Equal((_shop["d"], _shop["d", "val"]), (kept.Data, kept.Validation));
    }

    [Fact]
    public void Where_nothing_had_begun_a_resumption_says_how_to_begin()
    {
        Directory.CreateDirectory(_shop["nothing"]);
        foreach (var (command, options) in new (string, Func<string, object>)[] { ("graft train", TransferTask.OptionsOf),
            ("graft fewshot train", FewShotTask.OptionsOf) })
        {
            var refused = Refused(() => options(_shop["nothing"]));
            Assert.Contains("ended before anything had begun", refused, StringComparison.Ordinal);
            Assert.Contains($"{command} DATA --out {_shop["nothing"]}", refused, StringComparison.Ordinal);
            Assert.Contains("there is no such run", Refused(() => options(_shop["nowhere"])), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_fingerprint_covers_names_classes_and_bytes_and_is_computed_once()
    {
        string Now() => DataFingerprint.Of(default, ("train", DatasetReader.Open(_shop["d"]).Train));
        var before = Now();
        Assert.Equal(before, Now());
        File.Move(_shop["d", "train", "gear", "0000.jpg"], _shop["d", "train", "gear", "other.jpg"]);
        Assert.NotEqual(before, Now());
        File.Move(_shop["d", "train", "gear", "other.jpg"], _shop["d", "train", "gear", "0000.jpg"]);
        Assert.Equal(before, Now());
        var data = DatasetReader.Open(_shop["d"]).Train;
        _ = DataFingerprint.Of(default, ("train", data));
        Assert.NotNull(data.KnownDigest(0));
        File.AppendAllText(_shop["d", "train", data.Name(0)[(data.Name(0).IndexOf('/', StringComparison.Ordinal) + 1)..]], "x");
        Assert.Null(data.KnownDigest(0));
        Assert.NotEqual(before, Now());
    }

    [Fact]
    public void One_picture_a_class_trains_with_the_default_strategy_and_claims_no_accuracy()
    {
        ShapeWorld.Write(_shop["one"], ["star4", "gear", "arrow"], 1, 1);
        var result = new TransferTask(new TrainOptions { Data = _shop["one"], Out = _shop["run"] }) { Cache =
            new FeatureCache(_shop["cache", "features"]) }.Run();
        Assert.Equal((3, 0, "feature"), (result.TrainImages, result.ValImages, result.Strategy));
        Assert.Contains(result.Notes, note => note.Contains("nothing was held out", StringComparison.Ordinal));
        Assert.Contains("nothing was held out", File.ReadAllText(_shop["run", "report.html"]), StringComparison.Ordinal);
        Assert.True(double.IsNaN(RunRecord.Read(_shop["run"]).Advice!.Evidence.Probes[0].Accuracy));
        // The second time the measurement is read from where it was kept.
        var again = new TransferTask(new TrainOptions { Data = _shop["one"], Out = _shop["again"], NoReport = true }) { Cache =
            new FeatureCache(_shop["cache", "features"]) }.Run();
        Assert.Equal("small, domain unknown", again.Advice!.Quadrant);
        // Gradient steps keep their last weights, for none can be called the best.
        new TransferTask(new TrainOptions { Data = _shop["one"], Out = _shop["steps"], Strategy = "head-then-full", Epochs = 3, NoReport = true,
            NoCache = true }).Run();
        Assert.Equal(3, RunRecord.Read(_shop["steps"]).History.Count);
    }
}
