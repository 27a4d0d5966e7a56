using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Graft.Data;

namespace Graft.Inference.Text;

/// <summary>The network's own signs, and where they stand.</summary>
/// <param name="Before">Before the first sentence.</param>
/// <param name="Between">Between a pair's sentences.</param>
/// <param name="After">Behind the last sentence.</param>
/// <param name="Pad">Fills batches up.</param>
/// <param name="Mask">Stands for a word that is hidden.</param>
internal sealed record Signs(int[] Before, int[] Between, int[] After, int Pad, int? Mask);

/// <summary>What a tokenizer is made of, whichever files it was read from.</summary>
internal sealed record TokenizerParts(
    IReadOnlyList<string> Pieces, PieceModel Model, IReadOnlyList<Normalizer> Normalizers, IReadOnlyList<PreTokenizer> PreTokenizers,
    IReadOnlyList<AddedToken> Added, Signs Signs);

/// <summary>Every tokenizer: added tokens are found in what is written; what stands between them is normalised, cut into words, and these into
/// pieces. The steps and their order are those of Hugging Face's tokenizers. A long text is taken in parts, and no further than the network can read.
/// Microsoft.ML.Tokenizers 2.0.1 and FastBertTokenizer 1.2.6 do not serve: without ICU they leave accents and Korean syllables as they are, so that
/// nearly every Korean sentence gets other numbers than Hugging Face's.</summary>
internal sealed class PieceTokenizer : Tokenizer
{
    // A part of a text; a longer stretch is parted where no word and no sign can reach across.
    private const int PartLength = 4096;

    [ThreadStatic]
    private static Bench? t_bench;

    private readonly TokenizerParts _parts;
    private readonly AddedTokens _written;
    private readonly AddedTokens _normalized;
    private readonly bool _whole;
    private readonly BertNormalizer? _bert;

    /// <param name="parts">What it is made of.</param>
    /// <param name="files">The files that it was read from.</param>
    public PieceTokenizer(TokenizerParts parts, IReadOnlyDictionary<string, byte[]> files)
    {
        (_parts, Files) = (parts, files);
        _written = new(parts.Added.Where(token => !token.Normalized));
        _normalized = new(parts.Added.Where(token => token.Normalized).Select(token => token with { Text = Normalize(token.Text) })
            .Where(token => token.Text.Length > 0));
        _bert = parts.Normalizers is [BertNormalizer { Cleans: true } bert] && parts.PreTokenizers is [SpacePreTokenizer { CutsPunctuation: true }]
            ? bert : null;
        _whole = parts.Normalizers.Any(step => step.NeedsWhole) || parts.Added.Any(token => token.Text.Any(char.IsWhiteSpace))
            || parts.PreTokenizers.Count == 0;
    }

    public override string Kind => _parts.Model.Kind;

    public override int Count => _parts.Pieces.Count;

    public override int Pad => _parts.Signs.Pad;

    public override int First => _parts.Signs.Before[0];

    public override int Separator => _parts.Signs.After[0];

    public override int? Mask => _parts.Signs.Mask;

    public override string Piece(int id) => (uint)id < (uint)_parts.Pieces.Count ? _parts.Pieces[id]
        : throw new ArgumentOutOfRangeException(nameof(id), id, $"the vocabulary has the pieces 0 to {_parts.Pieces.Count - 1}");

    public override IReadOnlyDictionary<string, byte[]> Files { get; }

    public override string ToCard() => new JsonObject
    {
        ["kind"] = Kind,
        ["files"] = new JsonObject(Files.Select(file => KeyValuePair.Create(file.Key, (JsonNode?)Carry(file.Value)))),
    }.ToJsonString(Plain);

    public override Tokens Encode(TextItem text, int most, bool spans = false)
    {
        var signs = _parts.Signs;
        var room = most - signs.Before.Length - signs.After.Length - (text.Second is null ? 0 : signs.Between.Length);
        if (room < 0) throw Bounds.Refuse($"{most} pieces at most: the network's own signs alone are {most - room}");
        var bench = t_bench ?? new Bench();
        t_bench = null;
        bench.Pieces.Clear();
        // One more than there is room for tells that there was more.
        Read(text.First, room + 1, bench, spans);
        var (a, split) = (bench.Pieces.Count, bench.Pieces.Count);
        if (text.Second is not null) Read(text.Second, split + room + 1, bench, spans);
        var b = bench.Pieces.Count - split;
        var cut = a + b > room;
        // Token by token from the longer one's end, of equals from the second's: as BERT does it.
        (a, b) = (Math.Min(a, room + 1), Math.Min(b, room + 1));
        while (a + b > room)
        {
            if (a > b) a--;
            else b--;
        }
        var result = Join(bench.Pieces, a, split, b, text.Second is not null, spans, cut, text);
        // What a huge text has made large is not kept for ever.
        if (bench.Capacity <= 1 << 16) t_bench = bench;
        return result;
    }

    private Tokens Join(List<Placed> pieces, int a, int split, int b, bool pair, bool spans, bool cut, TextItem text)
    {
        var signs = _parts.Signs;
        var ids = new int[signs.Before.Length + a + (pair ? signs.Between.Length + b : 0) + signs.After.Length];
        var places = spans ? new TokenSpan[ids.Length] : null;
        var count = 0;
        void Sign(int[] which)
        {
            foreach (var id in which)
            {
                if (places is not null) places[count] = new TokenSpan(-1, 0, 0);
                ids[count++] = id;
            }
        }
        void Sentence(int from, int length, int part, string written)
        {
            for (var k = from; k < from + length; k++)
            {
                if (places is not null) places[count] = Span(part, pieces[k], written);
                ids[count++] = pieces[k].Id;
            }
        }
        Sign(signs.Before);
        Sentence(0, a, 0, text.First);
        if (pair) Sign(signs.Between);
        var second = count;
        if (pair) Sentence(split, b, 1, text.Second!);
        Sign(signs.After);
        return new Tokens(ids, cut, places) { SecondStart = pair ? second : null };
    }

    /// <summary>Where a piece stands, without the spaces around it.</summary>
    private static TokenSpan Span(int part, Placed piece, string written)
    {
        var (start, end) = (piece.Start, Math.Max(piece.Start, piece.End));
        while (start < end && char.IsWhiteSpace(written[start])) start++;
        while (end > start && char.IsWhiteSpace(written[end - 1])) end--;
        return new TokenSpan(part, start, end - start);
    }

    private void Read(string text, int upTo, Bench bench, bool spans)
    {
        for (var from = 0; from < text.Length && bench.Pieces.Count < upTo;)
        {
            var found = _written.Next(text, from, out var token, out var start, out var end);
            for (var part = from; part < start && bench.Pieces.Count < upTo;)
            {
                var stop = PartEnd(text, part, start);
                ReadPart(text.AsSpan(part, stop - part), part, upTo, bench, spans);
                part = stop;
            }
            if (found) bench.Pieces.Add(new Placed(token.Id, start, end));
            from = end;
        }
    }

    /// <summary>Where a text may be parted, so that the pieces stay what they are.</summary>
    private int PartEnd(string text, int start, int end)
    {
        if (_whole || end - start <= PartLength * 2) return end;
        for (var k = start + PartLength; k > start; k--)
        {
            if (MayPart(text, k)) return k;
        }
        for (var k = start + PartLength + 1; k < end; k++)
        {
            if (MayPart(text, k)) return k;
        }
        return end;
    }

    private bool MayPart(string text, int k)
    {
        if (_bert is null) return text[k] == ' ' && k + 1 < text.Length && char.IsLetterOrDigit(text[k + 1]) && char.IsLetterOrDigit(text[k - 1]);
        var kind = Characters.Kinds[text[k]];
        return (kind & CharacterKinds.Space) != 0 && (kind & CharacterKinds.Removed) == 0
            || _bert.SetsChineseApart && (kind & CharacterKinds.Chinese) != 0 || char.IsAsciiLetterOrDigit(text[k - 1])
                && (kind & CharacterKinds.Punctuation) != 0;
    }

    private void ReadPart(ReadOnlySpan<char> text, int at, int upTo, Bench bench, bool spans)
    {
        var (normal, other) = (bench.One, bench.Two);
        normal.Clear();
        normal.AppendWritten(text, at);
        foreach (var step in _parts.Normalizers)
        {
            other.Clear();
            step.Apply(normal, other);
            (normal, other) = (other, normal);
        }
        if (_normalized.IsEmpty) ReadWords(normal, 0, normal.Count, upTo, bench, spans);
        else
        {
            for (var from = 0; from < normal.Count && bench.Pieces.Count < upTo;)
            {
                var found = _normalized.Next(normal.Chars, from, out var token, out var start, out var end);
                ReadWords(normal, from, start, upTo, bench, spans);
                if (found) bench.Pieces.Add(new Placed(token.Id, normal.Start(start), normal.End(end - 1)));
                from = end;
            }
        }
    }

    private void ReadWords(AlignedText normal, int from, int end, int upTo, Bench bench, bool spans)
    {
        if (from == end) return;
        var (words, other) = (bench.Words, bench.Others);
        words.Clear();
        if (_parts.PreTokenizers.Count == 0)
        {
            words.Text.AppendFrom(normal, from, end);
            words.End();
        }
        for (var k = 0; k < _parts.PreTokenizers.Count; k++)
        {
            if (k == 0)
            {
                _parts.PreTokenizers[0].Split(normal, from, end, words);
                continue;
            }
            other.Clear();
            for (var (word, start) = (0, 0); word < words.Ends.Count; start = words.Ends[word++])
            {
                _parts.PreTokenizers[k].Split(words.Text, start, words.Ends[word], other);
                other.End();
            }
            (words, other) = (other, words);
        }
        var chars = words.Text.Chars;
        for (var (word, start) = (0, 0); word < words.Ends.Count && bench.Pieces.Count < upTo; start = words.Ends[word++])
        {
            bench.Cuts.Clear();
            _parts.Model.Cut(chars[start..words.Ends[word]], bench.Cuts);
            foreach (var cut in bench.Cuts)
            {
                var first = start + cut.Start;
                bench.Pieces.Add(spans ? new Placed(cut.Id, words.Text.Start(first), words.Text.End(first + cut.Length - 1))
                    : new Placed(cut.Id, 0, 0));
            }
        }
    }

    private string Normalize(string text)
    {
        var (from, to) = (new AlignedText(), new AlignedText());
        from.AppendWritten(text, 0);
        NormalizerChain.Apply(_parts.Normalizers, from, to);
        return to.Chars.ToString();
    }

    internal static readonly JsonSerializerOptions Plain = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    /// <summary>A file as text where it is text, else in base64.</summary>
    /// <summary>A file's bytes as a card holds them.</summary>
    internal static JsonObject Carry(byte[] file)
    {
        try
        {
            return new JsonObject { ["text"] = s_strict.GetString(file) };
        }
        catch (DecoderFallbackException)
        {
            return new JsonObject { ["base64"] = Convert.ToBase64String(file) };
        }
    }

    private readonly record struct Placed(int Id, int Start, int End);

    /// <summary>Where a thread works, again and again.</summary>
    private sealed class Bench
    {
        public AlignedText One { get; } = new();

        public AlignedText Two { get; } = new();

        public Words Words { get; } = new();

        public Words Others { get; } = new();

        public List<Cut> Cuts { get; } = [];

        public List<Placed> Pieces { get; } = [];

        public int Capacity => Math.Max(Math.Max(One.Capacity, Two.Capacity), Math.Max(Words.Text.Capacity, Pieces.Capacity));
    }
}
