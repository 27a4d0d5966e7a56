using System.Globalization;
using Graft.Data;
using Graft.Features;
using Graft.Inference.Text;
using Graft.Models.Zoo;

namespace Graft.Pretraining;

/// <summary>Sentences as an encoder reads them, and what there is to say of that.</summary>
internal static class TextMaterial
{
    // Above these shares it is worth a word.
    private const double ManyUnknown = 0.05, ManyRepeated = 0.1;

    /// <summary>Tokens of each sentence.</summary>
    /// <exception cref="GraftException">The encoder cannot tell one sentence from another.</exception>
    public static (Tokens[] Sentences, IReadOnlyList<string> Notes) Read(Dataset items, TextEncoder encoder, CancellationToken cancel)
    {
        var sentences = new Tokens[items.Count];
        TextLanes.Tokenize(items.Count, k => (sentences[k] = encoder.Encode(items.Text(k))).Ids, cancel);
        if (items.Count < 2) throw new GraftException("one sentence is too little to learn from: give 100 or more");
        if (sentences.All(sentence => sentence.Ids.AsSpan().SequenceEqual(sentences[0].Ids)))
            throw new GraftException($"all {items.Count} sentences are alike to "
                + $"{(encoder.Provenance.IsPretrained ? encoder.Provenance.Source : "the network")} ('{Short(items.Text(0).ToString())}'): "
                + "there is nothing to learn from them");
        var notes = new List<string>();
        if (sentences.Count(sentence => sentence.IsCut) is > 0 and var cut) notes.Add(TextExtraction.CutNote(cut, encoder.MostTokens));
        var vocabulary = new Vocabulary(encoder.Tokenizer);
        var all = sentences.Sum(sentence => (long)sentence.Ids.Length - 2);
        var unknown = sentences.Sum(sentence => sentence.Ids.LongCount(id => id == vocabulary.Unknown));
        if (unknown > ManyUnknown * all)
            notes.Add(string.Create(CultureInfo.InvariantCulture, $"{100.0 * unknown / Math.Max(1, all):0}% of what is read are words ")
                + "that the vocabulary does not have: an encoder of this language would see more");
        var distinct = Enumerable.Range(0, items.Count).Select(k => items.Text(k)).Distinct().Count();
        if (items.Count - distinct > ManyRepeated * items.Count)
            notes.Add($"{items.Count - distinct} of the {items.Count} sentences repeat another");
        return (sentences, notes);
    }

    private static string Short(string text) => text.Length <= 40 ? text : text[..40] + "…";
}
