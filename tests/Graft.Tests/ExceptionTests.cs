using Graft.Classification;
using Graft.Data;
using Graft.FewShot;
using Graft.Inference;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Graphs;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>One base for all that a program may want to catch.</summary>
public sealed class ExceptionTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    [Fact]
    public void Every_exception_type_of_the_library_is_a_GraftException()
    {
        var own = new[] { typeof(GraftException).Assembly, typeof(TorchException).Assembly, typeof(PictureModel).Assembly, typeof(TransferTask)
            .Assembly }.SelectMany(assembly => assembly.GetTypes()).Where(type => type.IsAssignableTo(typeof(Exception))).ToArray();
        Assert.Contains(typeof(PictureException), own);
        Assert.Contains(typeof(TrainingStoppedException), own);
        Assert.Contains(typeof(TorchException), own);
        Assert.All(own, type => Assert.True(type.IsAssignableTo(typeof(GraftException)), type.Name));
    }

    [Fact]
    public void Whatever_the_input_is_it_is_refused_with_a_GraftException()
    {
        string File(string name, string text)
        {
            System.IO.File.WriteAllText(_shop[name], text);
            return _shop[name];
        }
        Directory.CreateDirectory(_shop["empty"]);
        ShapeWorld.Write(_shop["shapes"], ["star4", "gear"], 3, 1);
        Directory.CreateDirectory(_shop["broken run"]);
        File("broken run/run.json", "null");
        File("broken run/model.safetensors", "nothing");
        File("broken run/fewshot.safetensors", "nothing");
        var (nowhere, run, shapes) = (_shop["nowhere"], _shop["broken run"], _shop["shapes"]);
        string[] files = [.. new[] { "safetensors", "pt", "pth", "th", "bin", "h5", "keras", "caffemodel", "prototxt", "onnx", "index.json", "zip", "csv", "jpg" }.Select(extension => File($"bad.{extension}", "these bytes are no such file"))];
        var picture = Directory.GetFiles(Path.Combine(shapes, "gear")).First();
        using var network = BackboneCatalogue.Create("cifar_resnet20", 2);
        using var model = new Classifier(ModelOpener.Load("shapes").Backbone,
            Heads.Head.Create(Heads.HeadKind.Softmax, ModelOpener.Load("shapes").Backbone.FeatureSize, 2), ModelOpener.Load("shapes")
            .Backbone.Stages.Count - 1, ["a", "b"]);
        TransferTask Task(Func<TrainOptions, TrainOptions> change) =>
            new(change(new TrainOptions { Data = shapes, Out = _shop["out"], NoCache = true, NoReport = true }));

        (string What, Action Do)[] refusals =
        [
            .. files.Append(nowhere).Append(_shop["empty"]).SelectMany(file => (IEnumerable<(string, Action)>)
            [
                ($"data {file}", () => DatasetReader.Open(file)), ($"classifier {file}", () => Classifier.Open(file)),
                    ($"run {file}", () => Classifier.Load(file)), ($"backbone {file}", () => ModelOpener.Load(file)),
                ($"checkpoint {file}", () => Checkpoint.Read(file)), ($"support {file}", () => Pictures.Support(file)),
                    ($"support set {file}", () => SupportSet.Load(file)), ($"few-shot {file}", () => FewShotModel.Load(file)),
                ($"options {file}", () => TransferTask.OptionsOf(file)), ($"few-shot options {file}", () => FewShotTask.OptionsOf(file)),
                    ($"predict {file}", () => model.Predict(file)), ($"encoder {file}", () => PictureEncoder.Open(file)),
                ($"weights {file}", () => Task(options => options with { Weights = file }).Run()),
                    ($"train {file}", () => Task(options => options with { Data = file }).Run()),
            ]),
            ("run.json", () => TransferTask.OptionsOf(run)), ("few-shot run.json", () => FewShotTask.OptionsOf(run)),
                ("model", () => Classifier.Load(run)), ("few-shot model", () => FewShotModel.Load(run)),
            ("backbone's name", () => BackboneCatalogue.Create("resnet19")), ("depth", () => BackboneCatalogue.Create("cifar_resnet21")),
                ("strategy", () => Strategies.ByName("ful", network, 10)), ("stage", () => Strategies.ByName("feature:s9", network, 10)),
            ("device", () => Device.Parse("toaster")), ("device to train on", () => Task(options => options with { Device = "cuda:99" }).Run()),
                ("strategy to train", () => Task(options => options with { Strategy = "ful" }).Run()),
            ("plan", () => Plan.FromJson("[]", "plan.json")),
                ("plan of null", () => Plan.FromJson("{\"strategy\": \"x\", \"phases\": null}", "plan.json")),
                ("picture", () => Picture.Decode("no picture"u8)),
            ("method", () => FewShotMethods.Create(new FewShotOptions { Method = "protonett" })),
                ("layer", () => Surgery.CutAfter(network, "nowhere")), ("channels", () => new InputOptions { Channels = "cmyk" }.Apply(network)),
            ("labels", () => Classifier.Upstream(BackboneCatalogue.Create("cifar_resnet20", 3), ["one"])),
                ("near a name", () => ModelHub.Resolve("resnet19")), ("shapes", () => Ops.Zeros([2, 3]).Matmul(Ops.Zeros([4, 5]))),
        ];
        var wrong = new List<string>();
        foreach (var (what, act) in refusals)
        {
            try
            {
                act();
                wrong.Add($"{what}: not refused");
            }
            catch (GraftException reason)
            {
                if (reason.Message.Length < 10) wrong.Add($"{what}: '{reason.Message}'");
            }
            catch (Exception reason)
            {
                wrong.Add($"{what}: {reason.GetType().Name}: {reason.Message}");
            }
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.NotNull(model.Predict(picture));
    }

    [Fact]
    public void Results_print_as_a_person_reads_them()
    {
        var prediction = new Prediction("ant.jpg", "ants", 0.98712, [new RankedLabel("ants", 0.98712), new RankedLabel("bees", 0.01288)]);
        Assert.Equal("ant.jpg: ants 98.7%", $"{prediction}");
        Assert.Equal("ants 98.7%, bees 1.3%", string.Join(", ", prediction.Top));
        Assert.Equal("224×224: shorter side to 256, middle 224×224; mean 0.5, deviation 0.5", $"{Preprocessing.Evaluation(256, 224, Normalize.Symmetric)}");
        Assert.Equal("features: 120/240 (50%), 41.5 pictures/s", $"{new ProgressReport("features", 120, 240, 41.5)}");
    }
}
