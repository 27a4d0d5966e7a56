using System.Diagnostics;
using Graft.Data;
using Graft.Exports;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>From what has no labels to a backbone: data, method, phases, a monitor on the way, a model that <c>--weights</c> takes, a report.</summary>
public sealed class PretrainTask(PretrainOptions options)
{
    internal const string CommandName = "graft pretrain";

    // Steps by which the speed is measured, and steps before them that are slower.
    private const int Measured = 6, WarmUp = 2;

    private static readonly RunRecords<PretrainRecord> s_records = new(CommandName, RunFolder.Model);

    /// <summary>Told often.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Lines for people.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>Stops cleanly; the run can be resumed.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>Name and summary of every method.</summary>
    public static IReadOnlyList<(string Name, string Summary, bool IsForText)> Methods { get; } =
        [.. PretrainMethods.All.Select(method => (method.Name, method.Summary, method.IsForText))];

    /// <summary>The options of a run that was stopped or killed, with which it goes on.</summary>
    /// <exception cref="GraftException">There is none.</exception>
    public static PretrainOptions OptionsOf(string run) => s_records.Read(run).Options with { Out = run };

    /// <summary>All that a run stands on.</summary>
    private sealed record Opened(PretrainMethod Method, PretrainData Data, PretrainMaterial Material, IReadOnlyList<BrokenPicture> Broken,
        IReadOnlyList<string> Notes) : IDisposable
    {
        public void Dispose()
        {
            Material.Pictures?.Dispose();
            Material.Backbone.Dispose();
        }
    }

    private Opened Open()
    {
        if (options.Threads is { } threads) Cores.Use(threads);
        var named = options.Method is { } name ? PretrainMethods.Named(name) : [];
        var data = PretrainData.Open(options, named.Count == 1 ? named[0].IsForText : null);
        var method = named.FirstOrDefault(method => method.IsForText == data.Items.IsText) ?? PretrainMethods.Usual(data.Items.IsText);
        options.Reconstruction.Require(method.Name);
        data.Require(method);
        TorchRuntime.ManualSeed(options.Seed);
        var (backbone, notes) = OpenBackbone(method, data.Items);
        try
        {
            data.Require(backbone, options.Data);
            method.Check(backbone);
            return Material(method, data, backbone, notes);
        }
        catch
        {
            backbone.Dispose();
            throw;
        }
    }

    private Opened Material(PretrainMethod method, PretrainData data, Backbone backbone, IReadOnlyList<string> notes)
    {
        if (backbone is TextEncoder encoder)
        {
            var (sentences, noticed) = TextMaterial.Read(data.Items, encoder, Cancel);
            return new Opened(method, data, new PretrainMaterial(data.Items, [.. Enumerable.Range(0, data.Items.Count)], backbone, options) { Sentences = sentences },
                [], [.. notes, .. noticed]);
        }
        var store = new PictureStore(data.Items);
        var (usable, broken) = store.Check(Cancel);
        if (usable.Length < method.LeastItems)
        {
            store.Dispose();
            throw new GraftException($"{usable.Length} of the {data.Items.Count} pictures of {options.Data} can be read, too few to learn from{(broken.Length > 0 ? $". The first that cannot: {broken[0].File}: {broken[0].Error}" : "")}");
        }
        var material = new PretrainMaterial(data.Items, usable, backbone, options) { Pictures = store, Labels = data.Labels };
        try
        {
            method.Check(material);
        }
        catch
        {
            store.Dispose();
            throw;
        }
        return new Opened(method, data, material, broken, notes);
    }

    private (Backbone Backbone, IReadOnlyList<string> Notes) OpenBackbone(PretrainMethod method, Dataset items)
    {
        if (!items.IsText && options.Text != new TextStartOptions())
            throw Bounds.Refuse($"{options.Data} holds pictures: --vocabulary and --cased are for sentences");
        if (options.Weights is { } weights) return ModelOpener.Load(weights, options.Backbone, options.Input);
        return method.CreateBackbone(items, options);
    }

    /// <summary>What it would do, and how long that would take on this machine: some steps are done on a copy and thrown away.</summary>
    /// <exception cref="GraftException">The data or the options cannot serve.</exception>
    public PretrainPlan Plan()
    {
        options.Validate();
        using var opened = Open();
        var (phases, seconds) = Time(opened);
        var parameters = opened.Material.Backbone.ParameterCount;
        return new PretrainPlan(opened.Method.Name, opened.Method.Summary, opened.Material.Backbone.Spec.ToString(), parameters, opened.Material.Usable.Length,
            [.. opened.Method.Views(opened.Material.Backbone).Select(view => view.ToString())],
            [.. phases.Select(phase => new PretrainPlanPhase(phase.Name, phase.Epochs, phase.Steps))],
            phases.Sum(phase => phase.Seconds * phase.Steps) / Math.Max(1, phases.Sum(phase => phase.Steps)), seconds);
    }

    private sealed record Timed(string Name, int Epochs, int PerEpoch, double Seconds)
    {
        public long Steps => (long)Epochs * PerEpoch;
    }

    /// <summary>Steps of each phase on a copy of the backbone.</summary>
    private (Timed[] Phases, double Seconds) Time(Opened opened)
    {
        using var copy = opened.Material.Backbone.Clone();
        var material = opened.Material with { Backbone = copy };
        var timed = opened.Method.Phases(material).Select(phase =>
        {
            var perEpoch = 0;
            var clock = new Stopwatch();
            var done = 0;
            var training = (phase with { How = phase.How with { Steps = Measured } }).Run(material, new TrainingContext
            {
                Name = phase.Name, Seed = options.Seed, Cancel = Cancel, Device = Device.Parse(options.Device),
                Progress = _ => { if (++done == WarmUp) clock.Start(); },
            }, probe => perEpoch = probe.Steps);
            Cancel.ThrowIfCancellationRequested();
            return new Timed(phase.Name, phase.How.Epochs, perEpoch, clock.Elapsed.TotalSeconds / Math.Max(1, Math.Min(Measured, training.Steps) - WarmUp));
        }).ToArray();
        return (timed, timed.Sum(phase => phase.Seconds * phase.Steps));
    }

    /// <summary>Pretrains, watches, saves, reports.</summary>
    /// <param name="resume">Go on in the run folder.</param>
    /// <exception cref="GraftException">The data cannot serve, the run collapsed, or it cannot be resumed.</exception>
    public PretrainResult Run(bool resume = false)
    {
        options.Validate();
        var run = Path.GetFullPath(options.Out ?? RunFolder.New("pretrain-"));
        if (!resume) RunFolder.Check(run, options.Overwrite, options.Data, options.Validation, options.Weights);
        var earlier = resume ? s_records.Unfinished(run) : null;
        using var opened = Open();
        var (method, data, material) = (opened.Method, opened.Data, opened.Material);
        foreach (var note in (string[])[.. opened.Notes, .. data.Notes.Remarks]) Log?.Invoke(note);
        var backbone = material.Backbone;
        var fingerprint = DataFingerprint.Of(Cancel, ("train", data.Items), ("val", data.Queries));
        if (earlier is not null) s_records.RequireSame(earlier, fingerprint, options.Data, backbone.Provenance.Sha256, options.Weights);
        var device = Device.Parse(options.Device);
        var resolved = options;
        if (options.Hours is { } hours && earlier is null)
        {
            var (phases, seconds) = Time(opened);
            // Every phase gets the same share more or less of its own epochs.
            var times = hours * 3600 / Math.Max(1e-9, seconds);
            resolved = options with { Hours = null, Epochs = Math.Max(1, (int)Math.Round(times * phases.Max(phase => phase.Epochs))) };
            Log?.Invoke($"{hours:0.##} hours are {resolved.Epochs} epochs at {phases[^1].Seconds:0.00} s a step");
            material = material with { Options = resolved };
        }
        var record = earlier ?? new PretrainRecord
        {
            Status = "running", Options = resolved.Absolute() with { Out = run, Method = method.Name }, Method = method.Name, Architecture = backbone.Spec.ToString(),
            Items = material.Usable.Length, DataFingerprint = fingerprint, Upstream = backbone.Provenance, Environment = RunRecords.DescribeEnvironment(device),
            Notes = opened.Notes, Broken = opened.Broken,
        };
        Directory.CreateDirectory(run);
        if (!resume) RunFolder.Clear(run);
        s_records.Write(run, record);
        using var monitor = new Monitor(backbone, data, material, method, device);
        using var state = (resume ? TrainingState.Load(run) : null) ?? new TrainingState();
        var work = new Work(this, material, method, monitor, state, run, device) { Record = record };
        var last = work.Phases();
        record = work.Record;
        Save(backbone, record, run);
        record = record with { Status = "finished", History = state.History, Seconds = state.Seconds };
        var (first, end) = (record.Readings.FirstOrDefault(), record.Kept);
        string? report = null;
        if (!options.NoReport)
        {
            report = Path.Combine(run, RunFolder.Report);
            AtomicFile.WriteText(report, new PretrainReport(record, method, material, data).Build());
        }
        s_records.Write(run, record);
        File.Delete(Path.Combine(run, TrainingState.FileName));
        return new PretrainResult(run, method.Name, record.Architecture, record.Items, state.History.Count, record.Seconds, last.Loss, first?.Knn, end?.Knn,
            first?.Linear, end?.Linear, opened.Broken, record.Notes, report) { DataNotes = data.Notes };
    }

    private static void Save(Backbone backbone, PretrainRecord record, string run)
    {
        backbone.Eval();
        Exporter.Save(backbone, Path.Combine(run, RunFolder.Model), new Dictionary<string, string>
        {
            ["domain"] = $"pretrained by Graft ({record.Method}) on {record.Items} {(backbone is TextEncoder ? "sentences" : "pictures")} of {Path.GetFileName(record.Options.Data.TrimEnd('/'))}"
                + (record.Upstream.IsPretrained ? $"; before that: {record.Upstream.Domain}" : ""),
            ["method"] = record.Method, ["seed"] = $"{record.Options.Seed}", ["data_fingerprint"] = record.DataFingerprint,
            ["hours"] = (record.History.Sum(look => look.Seconds) / 3600).ToString("0.000", System.Globalization.CultureInfo.InvariantCulture),
        });
    }

    /// <summary>The phases of one run.</summary>
    private sealed class Work(PretrainTask task, PretrainMaterial material, PretrainMethod method, Monitor monitor, TrainingState state, string run, Device device)
    {
        private int _poor;

        public required PretrainRecord Record { get; set; }

        public Training Phases()
        {
            var phases = method.Phases(material);
            Training? last = null;
            using var events = new EventWriter(Path.Combine(run, RunFolder.Events));
            for (var p = 0; p < phases.Count; p++)
            {
                if (state.IsResumed && p != state.Phase) continue;
                last = Phase(p, phases[p], events, p == phases.Count - 1);
                if (!last.Finished) throw new OperationCanceledException($"Stopped. The run is kept: go on with {NextCommand.Of("pretrain", "--resume", run)}", task.Cancel);
            }
            return last!;
        }

        private Training Phase(int p, PretrainPhase phase, EventWriter events, bool isLast)
        {
            PretrainProbe probe = null!;
            var training = phase.Run(material, new TrainingContext
            {
                Seed = Record.Options.Seed, State = state, Phase = p, Name = phase.Name, Folder = run, Device = device, Progress = task.Progress, Cancel = task.Cancel,
                Looked = look =>
                {
                    var step = state.History.Count - 1;
                    events.Scalar("loss/train", look.Loss, step);
                    if (look.Score is { } score) events.Scalar("loss/held out", score.Value, step);
                    events.Scalar("rate", phase.How.Rate * look.RateFactor, step);
                    Look(p, look, probe, events, step, look.Epoch % Record.Options.LookEvery == 0 || (isLast && look.Epoch == phase.How.Epochs));
                },
            }, begun =>
            {
                probe = begun;
                // What was there before: a figure alone says nothing of what was learned.
                if (!state.IsResumed && p == 0) Add(probe.Ask(() => monitor.Read(p, null, probe.Embed)), "before");
            });
            foreach (var remark in probe.Remarks.Except(Record.Notes))
            {
                Record = Record with { Notes = [.. Record.Notes, remark] };
                task.Log?.Invoke(remark);
            }
            return training;
        }

        private void Look(int p, Look look, PretrainProbe probe, EventWriter events, int step, bool judge)
        {
            var reading = probe.Ask(() => monitor.Read(p, look, probe.Embed, judge));
            if (reading.Knn is { } knn) events.Scalar("neighbours/held out", knn, step);
            if (reading.Linear is { } linear) events.Scalar("linear/held out", linear, step);
            events.Scalar("embeddings/deviation", reading.Deviation, step);
            events.Scalar("embeddings/rank", reading.Rank, step);
            Add(reading, $"{look.Name}, epoch {look.Epoch}: {Of(look)}");
            if (!method.CanCollapse || reading.Collapse is not { } why)
            {
                _poor = 0;
                return;
            }
            // Twice: the first epoch may begin anywhere.
            if (++_poor < 2) return;
            Record = Record with { Status = "collapsed", History = state.History };
            s_records.Write(run, Record);
            throw new GraftException($"the run has collapsed: {string.Format(System.Globalization.CultureInfo.InvariantCulture, why, material.Items.Noun.Many)}, twice in a row. "
                + "Try a lower --rate, a larger --batch, or another --method (vicreg and barlow guard against it)");
        }

        private static string Of(Look look) => string.Join(", ", [FormattableString.Invariant($"loss {look.Loss:0.0000}"),
            .. look.Score is { } score ? [FormattableString.Invariant($"held out {score.Value:0.0000}")] : Array.Empty<string>(),
            .. look.Shares.Select(share => FormattableString.Invariant($"{share.Key} {100 * share.Value:0.0}%"))]);

        private void Add(Reading reading, string when)
        {
            // A stopped run may have looked at an epoch that it does again.
            Record = Record with { Readings = [.. Record.Readings.Where(before => (before.Phase, before.Step) != (reading.Phase, reading.Step)), reading] };
            s_records.Write(run, Record);
            task.Log?.Invoke($"{when}: {reading}");
        }
    }
}
