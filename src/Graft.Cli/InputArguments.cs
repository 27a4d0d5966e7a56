using System.CommandLine;
using Graft.Models;

namespace Graft.Cli;

/// <summary>How a pretrained file wants its pictures: options that evaluate, predict, train and export share.</summary>
internal sealed class InputArguments
{
    private readonly Option<string?> _labels = new("--labels") { Description = "Class names of a pretrained network, a line each", HelpName = "FILE" };
    private readonly Option<string?> _scale = new("--scale") { Description = "Levels of 0 … 255 are multiplied by this, such as 1/255 or 1/256", HelpName = "NUMBER" };
    private readonly Option<string?> _mean = new("--mean") { Description = "Taken from each channel: one number, or three with commas", HelpName = "NUMBERS" };
    private readonly Option<string?> _std = new("--std") { Description = "Each channel is divided by this: one number, or three with commas", HelpName = "NUMBERS" };
    private readonly Option<string?> _channels = new("--channels") { Description = "rgb, bgr or grey", HelpName = "ORDER" };
    private readonly Option<int?> _size = new("--size") { Description = "Pixels of the square input", HelpName = "SIDE" };

    public void AddTo(Command command, bool labels = true)
    {
        foreach (Option option in labels ? (Option[])[_labels, _scale, _mean, _std, _channels, _size] : [_scale, _mean, _std, _channels, _size]) command.Options.Add(option);
    }

    public InputOptions Read(ParseResult parsed)
    {
        var read = new InputOptions
        {
            Labels = parsed.CommandResult.Command.Options.Contains(_labels) ? parsed.GetValue(_labels) : null, Scale = parsed.GetValue(_scale), Mean = parsed.GetValue(_mean), Std = parsed.GetValue(_std), Channels = parsed.GetValue(_channels), Size = parsed.GetValue(_size),
        };
        read.Validate();
        return read;
    }
}
