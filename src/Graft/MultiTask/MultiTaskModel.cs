using System.Globalization;
using System.Text.Json;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Exports;
using Graft.Models.Graphs;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>A finished model of several tasks: a backbone, the layers that tasks share, and a head for each, in one file.</summary>
internal sealed class MultiTaskModel : Module
{
    /// <param name="backbone">Owned from here on.</param>
    /// <param name="network">Owned from here on.</param>
    /// <param name="residuals">Of tasks of numbers: between what residuals nine of ten lie; null: not known.</param>
    public MultiTaskModel(Backbone backbone, TaskNetwork network, IReadOnlyList<double[]?> residuals)
    {
        (Backbone, Network, Residuals) = (Child("backbone", backbone), Child("network", network), residuals);
        backbone.FreezeBelow(backbone.Stages.Count, freezeStatistics: true);
        Eval();
    }

    public Backbone Backbone { get; }

    public TaskNetwork Network { get; }

    public IReadOnlyList<double[]?> Residuals { get; }

    /// <summary>What its answers are.</summary>
    public AnswerCard Card => AnswerCard.OfTasks(
        [.. Network.Tasks.Select((task, t) => new TaskAnswers(task.Name, new AnswerCard(task.Kind, task.Names) { Scores = true,
            Residuals = Residuals[t] is { } pair ? [pair] : null }))]);

    /// <summary>N×3×H×W (of text N×T) to all tasks' scores one after another.</summary>
    public override Tensor Forward(Tensor x) => Network.Forward(Backbone.Pool(Backbone.Forward(x, 0, Backbone.Stages.Count)));

    /// <summary>Writes it.</summary>
    public void Save(string path, IReadOnlyDictionary<string, string> about)
    {
        var card = Describe(about);
        card["format"] = ModelCard.MultiTask;
        new ModelFile(card, State().Where(item => !item.Key.StartsWith($"backbone.{Backbone.HeadName}.", StringComparison.Ordinal)).ToDictionary(),
            path).Write();
    }

    /// <summary>Writes it as a program for ONNX Runtime.</summary>
    /// <exception cref="GraftException">ONNX has no word for something in it.</exception>
    public void WriteProgram(string path, IReadOnlyDictionary<string, string> about)
    {
        var card = Describe(about);
        (card["format"], card["output"]) = (ModelCard.Program, "scores");
        byte[] bytes;
        if (Backbone is TextEncoder encoder)
        {
            card["input"] = "N×T numbers of tokens";
            card["separator"] = $"{encoder.Shape.Separator}";
            var layers = Network.AsLayers() ?? throw new GraftException($"sentences with --architecture {Network.Architecture.Name} have no form as "
                + "ONNX here");
            bytes = EncoderWriter.WithHead(encoder, encoder.Stages.Count - 1, layers, 1, null, "scores", card);
        }
        else
        {
            card["input"] = ModelCard.Normalised;
            foreach (var norm in Backbone.Modules().OfType<INormStatistics>()) norm.Frozen = false;
            var (graph, weights) = ScriptGraph.Of(this, Forward, 3, Backbone.Preprocessing.Height, Backbone.Preprocessing.Width);
            bytes = OnnxWriter.Write(graph, weights, null, null, card, null);
        }
        AtomicFile.Write(path, stream => stream.Write(bytes));
    }

    private Dictionary<string, string> Describe(IReadOnlyDictionary<string, string> about)
    {
        var card = new Dictionary<string, string>(about)
        {
            ["architecture"] = Backbone.Architecture, ["preprocessing"] = Backbone.Preprocessing.ToJson(),
                ["upstream"] = ModelCard.Text(Backbone.Provenance),
            [TaskAnswers.Key] = TaskAnswers.ToCard(Card.Tasks!), ["classes"] = JsonSerializer.Serialize(Card.Names),
            ["sharing"] = Network.Architecture.Name, ["hidden"] = Network.Hidden.ToString(CultureInfo.InvariantCulture),
            ["units"] = JsonSerializer.Serialize(Network.UnitsOf),
        };
        foreach (var (key, value) in Backbone.Spec.Options) card[key] = value;
        if (Backbone is TextEncoder encoder) (card["tokenizer"], card["tokens"]) = (encoder.Tokenizer.ToCard(), $"{encoder.MostTokens}");
        return card;
    }

    /// <summary>Whether a path is a run of several tasks, or its file.</summary>
    public static bool Is(string path) => File.Exists(FileOf(path)) && ModelFile.FormatOf(FileOf(path)) == ModelCard.MultiTask;

    private static string FileOf(string path) => Directory.Exists(path) ? Path.Combine(path, RunFolder.Model) : path;

    /// <summary>Loads it from a run folder or a file.</summary>
    /// <exception cref="GraftException">There is none, or it is damaged.</exception>
    public static MultiTaskModel Load(string runOrFile)
    {
        var path = FileOf(runOrFile);
        if (!File.Exists(path)) throw new GraftException($"{runOrFile}: there is no such run or model");
        return ModelFile.Open(path, ModelCard.MultiTask, file =>
        {
            var tasks = TaskAnswers.Of(file.Card) ?? throw new InvalidDataException("it names no tasks");
            var backbone = file.Backbone();
            using var skip = Initialisers.Skip();
            var network = new TaskNetwork(backbone.FeatureSize, [.. tasks.Select(task => new TaskColumn(task.Name, task.Card.Task, task.Card.Names))],
                Sharings.Of(file.Required("sharing")), int.Parse(file.Required("hidden"), CultureInfo.InvariantCulture));
            var units = file.Required<Units?[]>("units");
            if (units.Length != tasks.Count) throw new InvalidDataException("its units are not one for each task");
            units.CopyTo(network.UnitsOf, 0);
            CheckpointMatcher.Load(network, file.Part("network."), file.Path);
            return new MultiTaskModel(backbone, network, [.. tasks.Select(task => task.Card.Residuals?[0])]);
        });
    }

    /// <summary>Ready to answer, by the engine that serves it best; its own weights stay in use where libtorch runs it.</summary>
    public IAnsweringModel Freeze(Device device = default)
    {
        if (Backbone is TextEncoder encoder)
            return new TextModel(new TorchTextNetwork(encoder, Forward, Card.Names.Count, device), encoder.Tokenizer, encoder.MostTokens,
                Card) { Architecture = Backbone.Architecture };
        var (height, width) = (Backbone.Preprocessing.Height, Backbone.Preprocessing.Width);
        string? refusal = null;
        var network = device.IsCuda ? new TorchNetwork(this, Forward, height, width, device) : FrozenNetworks.Best(this, Forward, height, width,
            out refusal);
        return new PictureModel(network, Backbone.Preprocessing, Card) { Notes = refusal is null ? [] : [refusal],
            Architecture = Backbone.Architecture };
    }

    /// <summary>A run of several tasks: what ONNX Runtime can open by itself never meets libtorch.</summary>
    /// <exception cref="GraftException">It is damaged, or how its pictures are read is asked for, which it knows.</exception>
    public static IAnsweringModel Open(string path, string device = "cpu", InputOptions? input = null)
    {
        if (input is not null && input != new InputOptions())
            throw new GraftException($"{path} is a model of Graft's, which knows its classes and its preprocessing: leave --labels, --scale, --mean, "
                + "--std, --channels and --size off");
        if (device == "cpu" && Engine.Wanted != EngineKind.Torch && (TextModel.TryOpen(path) ?? PictureModel.TryOpen(path) as IAnsweringModel)
            is { } portable)
            return portable;
        // Its weights are what the frozen network runs on: they live as long.
        return Load(path).Freeze(Device.Parse(device));
    }
}
