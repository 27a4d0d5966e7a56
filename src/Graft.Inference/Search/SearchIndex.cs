using System.Security.Cryptography;
using Graft.Data;

namespace Graft.Inference.Search;

/// <summary>An item that was found.</summary>
/// <param name="Index">Its number in the index, from 0.</param>
/// <param name="Item">It, in words.</param>
/// <param name="Similarity">The cosine of the angle between its vector and the question's: 1 is the same direction.</param>
public sealed record Neighbour(int Index, IndexItem Item, double Similarity);

/// <summary>Two items of an index that are much alike.</summary>
/// <param name="First">A number in the index.</param>
/// <param name="Second">A larger one.</param>
/// <param name="Similarity">The cosine of the angle between their vectors.</param>
public sealed record AlikePair(int First, int Second, double Similarity);

/// <summary>
/// Sentences or pictures by the vectors of a frozen network, as <c>graft search build</c> wrote them: opened without libtorch, the vectors read where
/// the file lies. A question is a sentence, a picture, or an item; all vectors have the length one, and the nearest have the largest inner product.
/// Any number of threads may ask at once.
/// </summary>
public sealed class SearchIndex : IDisposable
{
    /// <summary>Pairs that <see cref="Alike"/> tells at most.</summary>
    public const int MostPairs = 5_000_000;

    private readonly string _folder;
    private readonly IndexCard _card;
    private readonly MappedBytes _vectors, _words;
    private readonly NearestRows _rows;
    private readonly IndexItems _items;
    private readonly Lazy<VectorModel> _model;

    private SearchIndex(string folder)
    {
        (_folder, _card) = (folder, IndexFiles.Read(folder));
        _vectors = new MappedBytes(Path.Combine(folder, IndexFiles.Vectors));
        _words = new MappedBytes(Path.Combine(folder, IndexFiles.Items));
        _rows = new NearestRows(_vectors.Data, _card.Count, _card.Size, _card.Numbers == IndexFiles.Half);
        _items = new IndexItems(_words, Path.Combine(folder, IndexFiles.Items), _card.Count);
        _model = new Lazy<VectorModel>(() => new VectorModel(Path.Combine(folder, IndexFiles.Encoder), _card.Size, IsText));
    }

    /// <summary>Opens a folder that <c>graft search build</c> wrote.</summary>
    /// <exception cref="GraftException">It is none, or it is damaged.</exception>
    public static SearchIndex Open(string folder)
    {
        try
        {
            return new SearchIndex(folder);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            throw new GraftException($"{folder} cannot be read: {reason.Message.TrimEnd('.')}", reason);
        }
    }

    /// <summary>Items.</summary>
    public int Count => _card.Count;

    /// <summary>Numbers of a vector.</summary>
    public int Size => _card.Size;

    /// <summary>Whether the items are sentences, and not pictures.</summary>
    public bool IsText => _card.Kind == IndexFiles.Sentences;

    /// <summary>What the network that made the vectors is called.</summary>
    public string Source => _card.Encoder.Source;

    internal IndexCard Card => _card;

    /// <summary>An item in words.</summary>
    /// <exception cref="GraftException">The file is damaged.</exception>
    public IndexItem this[int item] => _items[item];

    /// <summary>An item's vector, of length one.</summary>
    public float[] Vector(int item)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(item);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(item, Count);
        var vector = new float[Size];
        _rows.Read(item, vector);
        return vector;
    }

    /// <summary>The items nearest to sentences.</summary>
    /// <param name="sentences">What is asked.</param>
    /// <param name="top">How many items for each, at most.</param>
    /// <param name="cancel">Ends it.</param>
    /// <exception cref="GraftException">The items are pictures, or there are none.</exception>
    public Neighbour[][] Find(IReadOnlyList<TextItem> sentences, int top = 10, CancellationToken cancel = default)
    {
        if (!IsText) throw new GraftException($"{_folder} holds pictures: ask it with a picture's file, not with a sentence");
        RequireItems();
        return Near(_model.Value.OfSentences(sentences), top, cancel);
    }

    /// <summary>The items nearest to pictures.</summary>
    /// <param name="files">What is asked.</param>
    /// <param name="top">How many items for each, at most.</param>
    /// <param name="cancel">Ends it.</param>
    /// <returns>For each file the items, or why there are none.</returns>
    /// <exception cref="GraftException">The items are sentences, or there are none.</exception>
    public (Neighbour[]? Found, string? Error)[] FindPictures(IReadOnlyList<string> files, int top = 10, CancellationToken cancel = default)
    {
        if (IsText) throw new GraftException($"{_folder} holds sentences: ask it with a sentence, not with a picture");
        RequireItems();
        var vectors = _model.Value.OfPictures(files);
        float[] good = [.. vectors.Where(one => one.Answer is not null).SelectMany(one => one.Answer!)];
        var (found, next) = (Near(good, top, cancel), 0);
        return [.. vectors.Select(one => one.Answer is null ? ((Neighbour[]?)null, one.Error) : (found[next++], null))];
    }

    /// <summary>The items nearest to one of them, without itself.</summary>
    /// <param name="item">Its number.</param>
    /// <param name="top">How many, at most.</param>
    /// <param name="cancel">Ends it.</param>
    public Neighbour[] Find(int item, int top = 10, CancellationToken cancel = default) =>
        [.. Near(Vector(item), top + 1, cancel)[0].Where(found => found.Index != item).Take(top)];

    /// <summary>The items nearest to vectors.</summary>
    /// <param name="vectors">N × <see cref="Size"/>, each of length one.</param>
    /// <param name="top">How many items for each, at most.</param>
    /// <param name="cancel">Ends it.</param>
    public Neighbour[][] Near(ReadOnlySpan<float> vectors, int top = 10, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(top);
        if (vectors.Length % Size != 0) throw new ArgumentException($"{vectors.Length} numbers are no vectors of {Size}", nameof(vectors));
        return [.. _rows.Find(vectors, top, cancel).Select(ranked => ranked.Select(one => new Neighbour(one.Row, _items[one.Row],
            one.Product)).ToArray())];
    }

    /// <summary>All pairs of items that are at least so much alike. It looks at every pair: its time grows with the square of the items.</summary>
    /// <param name="above">The least similarity, −1 to 1.</param>
    /// <param name="progress">Told of items done and of all.</param>
    /// <param name="cancel">Ends it.</param>
    /// <exception cref="GraftException">There are more than <see cref="MostPairs"/>.</exception>
    public IReadOnlyList<AlikePair> Alike(double above, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        // What is equal may come out a rounding below one.
        var pairs = _rows.Pairs((float)Math.Min(above, 1 - (_card.Numbers == IndexFiles.Half ? 1e-3 : 1e-6)), MostPairs, progress, cancel);
        if (pairs.Count > MostPairs) throw new GraftException($"{_folder}: more than {MostPairs:N0} pairs are above {above}: ask for more likeness");
        return [.. pairs.Select(pair => new AlikePair(pair.First, pair.Second, pair.Product))];
    }

    /// <summary>Pairs as groups: who is alike with any of a group belongs to it.</summary>
    public static IReadOnlyList<int[]> Groups(IReadOnlyList<AlikePair> pairs)
    {
        var above = new Dictionary<int, int>();
        int Root(int item)
        {
            above.TryAdd(item, item);
            while (above[item] != item) item = above[item] = above[above[item]];
            return item;
        }
        foreach (var pair in pairs)
        {
            var (a, b) = (Root(pair.First), Root(pair.Second));
            above[Math.Max(a, b)] = Math.Min(a, b);
        }
        return [.. above.Keys.ToArray().GroupBy(Root).Select(group => group.Order().ToArray()).OrderBy(group => group[0])];
    }

    /// <summary>Refuses to answer for a run that the vectors are not of.</summary>
    /// <param name="run">A run's folder.</param>
    /// <exception cref="GraftException">They are of another network.</exception>
    public void RequireRun(string run)
    {
        var program = Path.Combine(run, PictureModel.FileName);
        var build = $"{NextCommand.Of("search", "build")} DATA --weights {NextCommand.Quoted(run)} --out INDEX";
        if (!File.Exists(program)) throw new GraftException($"{run} has no {PictureModel.FileName}: it is no finished run, and no index is of it");
        if (_card.Encoder.Run is not { } known)
            throw new GraftException($"{_folder} holds vectors of {Source}, and not of the network of {run}: make one with {build}");
        using var stream = File.OpenRead(program);
        if (Convert.ToHexStringLower(SHA256.HashData(stream)) != known)
            throw new GraftException($"{_folder} holds vectors of another network ({Source}) than that of {run}, or of this run before it was trained again: make one with {build}");
    }

    private void RequireItems()
    {
        if (Count == 0) throw new GraftException($"{_folder} is empty: there is nothing to find");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_model.IsValueCreated) _model.Value.Dispose();
        _vectors.Dispose();
        _words.Dispose();
    }
}
