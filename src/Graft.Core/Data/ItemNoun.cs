namespace Graft.Data;

/// <summary>What messages call the items of a dataset.</summary>
/// <param name="One">One of them.</param>
/// <param name="Many">Several.</param>
internal sealed record ItemNoun(string One, string Many)
{
    public static ItemNoun Of(bool text) => text ? Sentence : Picture;

    public static ItemNoun Picture { get; } = new("picture", "pictures");

    public static ItemNoun Sentence { get; } = new("sentence", "sentences");
}
