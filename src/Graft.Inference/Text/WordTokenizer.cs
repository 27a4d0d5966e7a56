using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Graft.Data;

namespace Graft.Inference.Text;

/// <summary>A place in a text where a word, or a sign of punctuation, stands.</summary>
/// <param name="Start">Its first character.</param>
/// <param name="Length">Its characters.</param>
internal readonly record struct WordPlace(int Start, int Length);

/// <summary>
/// Whole words as tokens, for networks of word vectors. Texts are cut at spaces; what is not known there is looked for in small letters, and then cut
/// at signs of punctuation. A word that is not known is left out, unless its pieces have vectors (fastText). 0 fills up, 1 stands for a text of which
/// nothing is known; the words follow, and behind them the buckets of the pieces.
/// </summary>
internal sealed class WordTokenizer : Tokenizer
{
    public const string Words = "words.txt", Settings = "words.json";

    /// <summary>Numbers before the first word.</summary>
    public const int Own = 2;

    private readonly WordList _words;
    private readonly CharacterGrams? _grams;
    private readonly Lazy<IReadOnlyDictionary<string, byte[]>> _files;

    /// <param name="words">In the order of their vectors.</param>
    /// <param name="grams">Their pieces; null: words alone have vectors.</param>
    public WordTokenizer(WordList words, CharacterGrams? grams)
    {
        (_words, _grams) = (words, grams);
        _files = new Lazy<IReadOnlyDictionary<string, byte[]>>(() =>
        {
            var files = new Dictionary<string, byte[]> { [Words] = words.ToLines() };
            if (grams is not null) files[Settings] = JsonSerializer.SerializeToUtf8Bytes(grams, JsonSerializerOptions.Web);
            return files;
        });
    }

    /// <summary>From a card's files.</summary>
    /// <exception cref="InvalidDataException">They are damaged.</exception>
    public static WordTokenizer Read(TokenizerFiles files)
    {
        var grams = files.Has(Settings) ? JsonSerializer.Deserialize<CharacterGrams>(files.All[Settings], JsonSerializerOptions.Web) : null;
        if (grams is not null && (grams.Buckets < 1 || grams.Least < 1 || grams.Most < grams.Least))
            throw new InvalidDataException($"{Settings} tells of no pieces of words");
        return new WordTokenizer(WordList.OfLines(files.All[Words]), grams);
    }

    public override string Kind => "words";

    public override int Count => Own + _words.Count + (_grams?.Buckets ?? 0);

    public override int Pad => 0;

    public override int First => -1;

    public override int Separator => -1;

    public override int? Mask => null;

    public override string Piece(int id) => id < Own ? "" : id < Own + _words.Count ? _words[id - Own] : $"#{id - Own - _words.Count}";

    public override IReadOnlyDictionary<string, byte[]> Files => _files.Value;

    public override string ToCard() => new JsonObject
    {
        ["kind"] = Kind, ["files"] = new JsonObject(Files.Select(file => KeyValuePair.Create(file.Key, (JsonNode?)PieceTokenizer.Carry(file.Value)))),
    }.ToJsonString(PieceTokenizer.Plain);

    public override Tokens Encode(TextItem text, int most, bool spans = false)
    {
        var (ids, places, cut) = (new List<int>(), spans ? new List<TokenSpan>() : null, false);
        int? second = null;
        for (var part = 0; part < (text.Second is null ? 1 : 2); part++)
        {
            var written = part == 0 ? text.First : text.Second!;
            if (part == 1) second = ids.Count;
            foreach (var token in AtSpaces(written)) Add(written, token, part);
        }
        if (ids.Count == 0)
        {
            ids.Add(1);
            places?.Add(new TokenSpan(-1, 0, 0));
        }
        return new Tokens([.. ids], cut, places is null ? null : [.. places]) { SecondStart = second };

        void Add(string written, WordPlace place, int part)
        {
            var word = written.AsSpan(place.Start, place.Length);
            if (Known(word) is var known and >= 0) Put(known, word, place, part);
            else
            {
                foreach (var (start, length) in AtSigns(word))
                {
                    var piece = word.Slice(start, length);
                    Put(length == word.Length ? -1 : Known(piece), piece, new WordPlace(place.Start + start, length), part);
                }
            }
        }

        void Put(int known, ReadOnlySpan<char> word, WordPlace place, int part)
        {
            if (cut) return;
            var from = ids.Count;
            if (known >= 0) ids.Add(Own + known);
            if (_grams is not null)
            {
                foreach (var bucket in _grams.Of(Small(word.ToString()))) ids.Add(Own + _words.Count + bucket);
            }
            if (ids.Count > most)
            {
                cut = true;
                ids.RemoveRange(from, ids.Count - from);
                return;
            }
            // Where a word is several tokens, the first of them stands for it.
            for (var k = from; k < ids.Count; k++) places?.Add(k == from ? new TokenSpan(part, place.Start, place.Length) : new TokenSpan(part,
                place.Start, 0));
        }

        // Pieces are hashed as the vectors' maker saw the word: small, where that is how the word is known.
        string Small(string word) => _words.Find(word) >= 0 ? word : word.ToLowerInvariant();
    }

    /// <summary>A word as it is, or in small letters; −1: neither is known.</summary>
    private int Known(ReadOnlySpan<char> word)
    {
        if (_words.Find(word) is var found and >= 0) return found;
        var small = word.ToString().ToLowerInvariant();
        return word.SequenceEqual(small) ? -1 : _words.Find(small);
    }

    /// <summary>The runs between spaces.</summary>
    public static IEnumerable<WordPlace> AtSpaces(string text)
    {
        var start = 0;
        for (var k = 0; k <= text.Length; k++)
        {
            if (k < text.Length && !char.IsWhiteSpace(text[k])) continue;
            if (k > start) yield return new WordPlace(start, k - start);
            start = k + 1;
        }
    }

    /// <summary>The runs of letters and digits, and each other sign by itself.</summary>
    public static List<WordPlace> AtSigns(ReadOnlySpan<char> word)
    {
        var (places, start) = (new List<WordPlace>(), 0);
        for (var k = 0; k < word.Length;)
        {
            var length = Rune.DecodeFromUtf16(word[k..], out var rune, out var taken) == System.Buffers.OperationStatus.Done ? taken : 1;
            if ((Characters.Kinds[rune.Value] & CharacterKinds.Punctuation) != 0)
            {
                if (k > start) places.Add(new WordPlace(start, k - start));
                places.Add(new WordPlace(k, length));
                start = k + length;
            }
            k += length;
        }
        if (word.Length > start) places.Add(new WordPlace(start, word.Length - start));
        return places;
    }

    /// <summary>A text as words to learn from: cut at spaces and at signs of punctuation, which are words of their own, in small letters.</summary>
    public static IEnumerable<string> Cut(string text)
    {
        foreach (var token in AtSpaces(text))
        {
            foreach (var (start, length) in AtSigns(text.AsSpan(token.Start, token.Length)))
                yield return text.Substring(token.Start + start, length).ToLowerInvariant();
        }
    }
}
