using System.Text;
using System.Text.Json;
using Graft.Data;
using Microsoft.ML.Tokenizers;

namespace Graft.Inference.Text;

/// <summary>BERT's word pieces (Wu et al. 2016; Devlin et al. 2019): words cut at the longest pieces that the vocabulary has.</summary>
internal sealed class WordPieceTokenizer : Tokenizer
{
    private readonly BertTokenizer _bert;
    private readonly byte[] _vocabulary;
    private readonly string[] _pieces;
    private readonly bool _lower;

    /// <param name="vocabulary">A piece a line.</param>
    /// <param name="lower">Whether letters are made small and lose their accents.</param>
    public WordPieceTokenizer(byte[] vocabulary, bool lower)
    {
        (_vocabulary, _lower) = (vocabulary, lower);
        _pieces = [.. Encoding.UTF8.GetString(vocabulary).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.TrimEnd('\r'))];
        using var stream = new MemoryStream(vocabulary);
        _bert = BertTokenizer.Create(stream, new BertOptions { LowerCaseBeforeTokenization = lower });
    }

    public override string Kind => "wordpiece";

    public override int Count => _pieces.Length;

    public override int Pad => _bert.PaddingTokenId;

    public override int First => _bert.ClassificationTokenId;

    public override int Separator => _bert.SeparatorTokenId;

    public override int? Mask => _bert.MaskingTokenId;

    public override string Piece(int id) => _pieces[id];

    public override Tokens Encode(TextItem text, int most, bool spans = false)
    {
        var first = _bert.EncodeToIds(text.First, addSpecialTokens: false);
        var second = text.Second is null ? null : _bert.EncodeToIds(text.Second, addSpecialTokens: false);
        var (a, b, room) = (first.Count, second?.Count ?? 0, most - (second is null ? 2 : 3));
        var cut = a + b > room;
        while (a + b > room)
        {
            if (a >= b) a--;
            else b--;
        }
        int[] ids = [First, .. first.Take(a), Separator, .. second is null ? [] : second.Take(b).Append(Separator)];
        return new Tokens(ids, cut);
    }

    public override IReadOnlyDictionary<string, byte[]> Files => new Dictionary<string, byte[]> { ["vocab.txt"] = _vocabulary };

    public override string ToCard() => JsonSerializer.Serialize(new { kind = Kind, lower = _lower, vocabulary = Encoding.UTF8.GetString(_vocabulary) });
}
