using Graft.Inference.Text;

namespace Graft.Pretraining;

/// <summary>What an encoder's pieces are: signs of its own, beginnings of words, parts within them.</summary>
internal sealed class Vocabulary
{
    private const char BpeSpace = 'Ġ', UnigramSpace = '▁';

    private static readonly string[] s_unknown = ["[UNK]", "<unk>"];

    private readonly bool[] _signs, _within;
    private readonly int? _mask;

    public Vocabulary(Tokenizer tokenizer)
    {
        _mask = tokenizer.Mask;
        string[] pieces = [.. Enumerable.Range(0, tokenizer.Count).Select(tokenizer.Piece)];
        Unknown = Array.FindIndex(pieces, piece => s_unknown.Contains(piece));
        _signs = new bool[pieces.Length];
        int[] signs = [tokenizer.Pad, tokenizer.First, tokenizer.Separator, _mask ?? -1, Unknown];
        foreach (var id in signs.Where(id => id >= 0)) _signs[id] = true;
        _within = [.. pieces.Select(piece => tokenizer.Kind == "wordpiece" ? piece.StartsWith("##", StringComparison.Ordinal)
            : piece is not [BpeSpace or UnigramSpace, ..])];
        Ordinary = [.. Enumerable.Range(0, pieces.Length).Where(id => !_signs[id])];
    }

    /// <summary>Stands for a word that is hidden.</summary>
    public int Mask => _mask ?? throw new InvalidOperationException("the vocabulary has no sign for a hidden word");

    /// <summary>Stands for a word that is not known; −1: there is none.</summary>
    public int Unknown { get; }

    /// <summary>All pieces but the signs.</summary>
    public int[] Ordinary { get; }

    /// <summary>Whether it is a sign of the network's own, or an unknown word: what is neither hidden nor replaced.</summary>
    public bool IsSign(long id) => _signs[id];

    /// <summary>The words of a sentence: which of its places each has.</summary>
    public List<(int Start, int Length)> Words<T>(ReadOnlySpan<T> ids) where T : System.Numerics.INumberBase<T>
    {
        var words = new List<(int Start, int Length)>();
        var before = false;
        for (var t = 0; t < ids.Length; t++)
        {
            var id = int.CreateTruncating(ids[t]);
            if (!_signs[id] && before && _within[id]) words[^1] = words[^1] with { Length = words[^1].Length + 1 };
            else if (!_signs[id]) words.Add((t, 1));
            before = !_signs[id];
        }
        return words;
    }
}
