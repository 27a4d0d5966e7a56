using System.CommandLine;
using Graft.FewShot;

namespace Graft.Cli.Commands;

/// <summary>Options that the few-shot commands share.</summary>
internal static class FewshotArguments
{
    public static Option<int> Number(string name, string description, int standard) =>
        new(name) { Description = description, DefaultValueFactory = _ => standard, HelpName = "N" };

    public static Option<string?> File(string name, string description, string help = "FILE") =>
        new(name) { Description = description, HelpName = help };

    public static Option<string?> Blocks(string name, string description)
    {
        var option = new Option<string?>(name) { Description = description, HelpName = "N-N-…" };
        option.Validators.Add(found =>
        {
            var text = found.Tokens.Count > 0 ? found.Tokens[0].Value : "";
            if (!text.Split('-').All(part => int.TryParse(part, out var number) && number is > 0
                and <= 4096)) found.AddError($"{name} '{text}': numbers above zero with hyphens between, one for each block, such as 1-2-2-2");
        });
        return option;
    }

    /// <summary>How the features of a network that is not trained are compared.</summary>
    public static OptionBinder<FewShotOptions> Distance() =>
        OptionBinder.Of<FewShotOptions>("--distance")
            .Says("--distance", "cosine, euclidean, squared-euclidean, manhattan; with class means also mahalanobis (default: cosine)");

    public const string WeightsHelp = "A pretrained network in any format, a run of train, or a run of fewshot train (protonet, matching, siamese)";
}
