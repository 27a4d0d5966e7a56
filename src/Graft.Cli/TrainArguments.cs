using Graft.Transfer;

namespace Graft.Cli;

/// <summary>What train, advise and compare share.</summary>
internal static class TrainArguments
{
    /// <summary>The options that say what is learned from: data, network, pictures.</summary>
    public static string[] Names { get; } =
        ["--val", "--backbone", "--weights", "--seed", "--device", "--no-cache", "--task", "--text", "--pair", "--label", "--scale", "--mean", "--std", "--channels", "--size"];

    public static TransferTask NewTask(TrainOptions options, Shell shell) => new(options)
    {
        Progress = shell.Progress, Log = shell.Log, Cancel = shell.Stop,
        EpochEnded = epoch => shell.Log(double.IsNaN(epoch.ValidationLoss)
            ? $"{epoch.Name}, epoch {epoch.Epoch}: loss {epoch.Loss:0.0000}{(double.IsNaN(epoch.TrainAccuracy) ? "" : $", right {epoch.TrainAccuracy:P1}")} ({epoch.Seconds:0.0} s)"
            : double.IsNaN(epoch.TrainAccuracy)
            ? $"{epoch.Name}, epoch {epoch.Epoch}: loss {epoch.Loss:0.0000}; held out: loss {epoch.ValidationLoss:0.0000}, score {epoch.ValidationAccuracy:0.000} ({epoch.Seconds:0.0} s)"
            : $"{epoch.Name}, epoch {epoch.Epoch}: loss {epoch.Loss:0.0000}, right {epoch.TrainAccuracy:P1}; held out: loss {epoch.ValidationLoss:0.0000}, right {epoch.ValidationAccuracy:P1} ({epoch.Seconds:0.0} s)"),
    };
}
