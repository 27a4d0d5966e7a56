using System.CommandLine;
using Graft.Data;
using Graft.Heads;
using Graft.Models.Zoo;
using Graft.Transfer;

namespace Graft.Cli;

/// <summary>The options that train, advise and compare share.</summary>
internal sealed class TrainArguments
{
    public Argument<string?> Data { get; } = new("DATA") { Description = "A folder of class folders, a folder or zip with train/ and val/, a CSV of path and label, labels or numbers, or IDX files", Arity = ArgumentArity.ZeroOrOne };
    public Option<string?> Validation { get; } = new("--val") { Description = "Pictures to validate on, in class folders (default: the dataset's own, or a fifth)", HelpName = "DIR" };
    public Option<string?> Backbone { get; } = new("--backbone") { Description = "The architecture (default: what the weights are of; graft models list)", HelpName = "NAME" };
    private readonly InputArguments _input = new();

    public Option<string?> Weights { get; } = new("--weights") { Description = "The pretrained network: a run, .safetensors (or the index of several), .pt, .pth, .th, .bin, .h5, .keras, .caffemodel, .onnx, TorchScript", HelpName = "FILE" };
    public Option<long> Seed { get; } = new("--seed") { Description = "Of everything that is random", HelpName = "N" };
    public Option<string> Device { get; } = new("--device") { Description = "cpu or cuda:0", DefaultValueFactory = _ => "cpu", HelpName = "NAME" };
    public Option<string?> Task { get; } = new("--task") { Description = "What to learn from a CSV: classes, labels (several of a picture) or numbers (default: what its columns show)", HelpName = "KIND" };
    public Option<bool> NoCache { get; } = new("--no-cache") { Description = "Neither read nor keep features on disk" };

    public void AddTo(Command command)
    {
        command.Arguments.Add(Data);
        foreach (var option in new Option[] { Validation, Backbone, Weights, Seed, Device, NoCache, Task }) command.Options.Add(option);
        _input.AddTo(command, labels: false);
    }

    public TrainOptions Read(ParseResult parsed)
    {
        return new TrainOptions
        {
            Data = parsed.GetValue(Data) ?? throw Bounds.Refuse("DATA is missing: give a folder of class folders, such as photos/ with photos/ants and photos/bees"),
            Validation = parsed.GetValue(Validation), Backbone = parsed.GetValue(Backbone), Weights = parsed.GetValue(Weights), Input = _input.Read(parsed), Seed = parsed.GetValue(Seed),
            Device = parsed.GetValue(Device)!, NoCache = parsed.GetValue(NoCache), Task = ReadTask(parsed.GetValue(Task)), Threads = Shell.ThreadsOf(parsed),
        }.Validate();
    }

    public static TargetKind? ReadTask(string? text) => text switch
    {
        null => null, "classes" => TargetKind.Classes, "labels" => TargetKind.Labels, "numbers" => TargetKind.Numbers,
        _ => throw UnknownName.Of("task", text, ["classes", "labels", "numbers"]),
    };

    public static HeadKind? ReadHead(string? text) => text switch
    {
        null => null, "sigmoid" => HeadKind.Sigmoid, "ridge" => HeadKind.Ridge, "huber" => HeadKind.Huber,
        "softmax" => HeadKind.Softmax, "svm" => HeadKind.Svm, "mlp" => HeadKind.Mlp, "mean" => HeadKind.Mean,
        _ => throw UnknownName.Of("head", text, ["softmax", "svm", "mlp", "mean", "sigmoid", "ridge", "huber"]),
    };

    public static TransferTask NewTask(TrainOptions options, Shell shell) => new(options)
    {
        Progress = shell.Progress, Log = shell.Log, Cancel = shell.Stop,
        EpochEnded = epoch => shell.Log(double.IsNaN(epoch.TrainAccuracy)
            ? $"{epoch.Name}, epoch {epoch.Epoch}: loss {epoch.Loss:0.0000}; held out: loss {epoch.ValidationLoss:0.0000}, score {epoch.ValidationAccuracy:0.000} ({epoch.Seconds:0.0} s)"
            : $"{epoch.Name}, epoch {epoch.Epoch}: loss {epoch.Loss:0.0000}, right {epoch.TrainAccuracy:P1}; held out: loss {epoch.ValidationLoss:0.0000}, right {epoch.ValidationAccuracy:P1} ({epoch.Seconds:0.0} s)"),
    };
}
