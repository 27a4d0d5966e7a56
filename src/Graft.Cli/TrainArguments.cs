using System.CommandLine;
using Graft.Heads;
using Graft.Models.Zoo;
using Graft.Transfer;

namespace Graft.Cli;

/// <summary>The options that train, advise and compare share.</summary>
internal sealed class TrainArguments
{
    public Argument<string?> Data { get; } = new("DATA") { Description = "A folder of class folders, a folder or zip with train/ and val/, a CSV of path and label, or IDX files", Arity = ArgumentArity.ZeroOrOne };
    public Option<string?> Validation { get; } = new("--val") { Description = "Pictures to validate on, in class folders (default: the dataset's own, or a fifth)", HelpName = "DIR" };
    public Option<string?> Backbone { get; } = new("--backbone") { Description = "The architecture (default: what the weights are of; graft models list)", HelpName = "NAME" };
    private readonly InputArguments _input = new();

    public Option<string?> Weights { get; } = new("--weights") { Description = "The pretrained network: a run, .safetensors (or the index of several), .pt, .pth, .th, .bin, .h5, .keras, .caffemodel, .onnx, TorchScript", HelpName = "FILE" };
    public Option<long> Seed { get; } = new("--seed") { Description = "Of everything that is random", HelpName = "N" };
    public Option<string> Device { get; } = new("--device") { Description = "cpu or cuda:0", DefaultValueFactory = _ => "cpu", HelpName = "NAME" };
    public Option<bool> NoCache { get; } = new("--no-cache") { Description = "Neither read nor keep features on disk" };

    public void AddTo(Command command)
    {
        command.Arguments.Add(Data);
        foreach (var option in new Option[] { Validation, Backbone, Weights, Seed, Device, NoCache }) command.Options.Add(option);
        _input.AddTo(command, labels: false);
    }

    public TrainOptions Read(ParseResult parsed)
    {
        return new TrainOptions
        {
            Data = parsed.GetValue(Data) ?? throw Bounds.Refuse("DATA is missing: give a folder of class folders, such as photos/ with photos/ants and photos/bees"),
            Validation = parsed.GetValue(Validation), Backbone = parsed.GetValue(Backbone), Weights = parsed.GetValue(Weights), Input = _input.Read(parsed), Seed = parsed.GetValue(Seed),
            Device = parsed.GetValue(Device)!, NoCache = parsed.GetValue(NoCache), Threads = Shell.ThreadsOf(parsed),
        }.Validate();
    }

    public static HeadKind ReadHead(string text) => text switch
    {
        "softmax" => HeadKind.Softmax, "svm" => HeadKind.Svm, "mlp" => HeadKind.Mlp, "mean" => HeadKind.Mean,
        _ => throw UnknownName.Of("head", text, ["softmax", "svm", "mlp", "mean"]),
    };

    public static TransferTask NewTask(TrainOptions options, Shell shell) => new(options)
    {
        Progress = shell.Progress, Log = shell.Log, Cancel = shell.Stop,
        EpochEnded = epoch => shell.Log($"{epoch.Name}, epoch {epoch.Epoch}: loss {epoch.Loss:0.0000}, right {epoch.TrainAccuracy:P1}; held out: loss {epoch.ValidationLoss:0.0000}, right {epoch.ValidationAccuracy:P1} ({epoch.Seconds:0.0} s)"),
    };
}
