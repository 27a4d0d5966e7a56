using System.Globalization;
using System.Text.Json;
using Graft.Data;

namespace Graft.Inference.Text;

/// <summary>A finished model that tells classes, labels or numbers of sentences: opened from what <c>graft train</c> or <c>graft export</c> wrote,
/// its
/// vocabulary in the same file, without libtorch.</summary>
public sealed class TextModel : IAnsweringModel
{
    private readonly TextNetwork _network;
    private readonly Tokenizer _tokenizer;
    private readonly int _most;

    internal TextModel(TextNetwork network, Tokenizer tokenizer, int most, AnswerCard card) =>
        (_network, _tokenizer, _most, Card) = (network, tokenizer, most, card);

    /// <summary>What its answers are.</summary>
    public AnswerCard Card { get; }

    /// <summary>The name of its network.</summary>
    public string Architecture { get; init; } = "";

    /// <summary>What was noticed when it was opened.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Whether it says how alike two texts are, and so takes pairs alone.</summary>
    public bool ComparesPairs => Card.Pair is not null;

    /// <summary>Tokens of a sentence that it reads.</summary>
    public int MostTokens => _most;

    /// <summary>Opens a run folder, or an ONNX file that Graft wrote.</summary>
    /// <exception cref="GraftException">It is none, it sees pictures, or it is damaged.</exception>
    public static TextModel Open(string path) => TryOpen(path)
        ?? throw new GraftException($"{path} is no finished run on sentences, and no ONNX file that one was exported to");

    /// <summary>The same; null where the path is of another kind.</summary>
    /// <exception cref="GraftException">It is of that kind, and damaged.</exception>
    internal static TextModel? TryOpen(string path)
    {
        var file = Directory.Exists(path) ? Path.Combine(path, PictureModel.FileName) : path;
        if (!file.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase) || !File.Exists(file)) return null;
        Dictionary<string, string> card;
        try
        {
            card = OnnxCard.Read(file);
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            return null; // whoever opens it as something else says what is wrong
        }
        if (card.GetValueOrDefault("format") != OnnxCard.Program || !card.TryGetValue("tokenizer", out var tokenizer)) return null;
        var network = new OnnxTextNetwork(file);
        try
        {
            return new TextModel(network, Tokenizers.FromCard(tokenizer), int.Parse(card["tokens"], CultureInfo.InvariantCulture),
                AnswerCard.Of(card, network.Outputs)) { Architecture = card.GetValueOrDefault("architecture") ?? "" };
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException or FormatException or ArgumentException or KeyNotFoundException
            or InvalidOperationException)
        {
            network.Dispose();
            throw new GraftException($"{file}: what it says of itself is damaged ({reason.Message})", reason);
        }
    }

    private int Outputs => Card.Pair is null ? _network.Outputs : 1;

    /// <summary>What it says of a sentence: a number for each output.</summary>
    internal float[] Row(TextItem text)
    {
        if (Card.Pair is { } score) return [score.Of(Vector(text.First), Vector(Second(text)))];
        var row = Vector(text);
        Card.Finish(row);
        return row;
    }

    private float[] Vector(TextItem text)
    {
        var row = new float[_network.Outputs];
        _network.Run(Array.ConvertAll(_tokenizer.Encode(text, _most).Ids, id => (long)id), 1, row);
        return row;
    }

    private float[] Vector(string text) => Vector(new TextItem(text));

    private static string Second(TextItem text) =>
        text.Second ?? throw new GraftException($"the model says how alike two texts are, and '{text.First}' is one: give pairs");

    /// <summary>Answers a sentence.</summary>
    public Prediction Answer(string text) => Answer([new TextItem(text)])[0];

    /// <summary>Answers sentences or pairs, as fast as the machine can; each answer carries its sentence as its name.</summary>
    public Prediction[] Answer(IReadOnlyList<TextItem> texts, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        var rows = Rows(texts.Count, k => texts[k], progress, cancel);
        var outputs = Outputs;
        return [.. texts.Select((text, k) => Card.Say(text.ToString(), rows.AsSpan(k * outputs, outputs)))];
    }

    /// <summary>What it gives for sentences: N×outputs, row after row.</summary>
    public (float[] Answers, int[] Indices, IReadOnlyList<BrokenPicture> Broken) AnswerAll(Dataset data, Action<int, int>? progress = null,
        CancellationToken cancel = default) => (Rows(data.Count, data.Text, progress, cancel), [.. Enumerable.Range(0, data.Count)], []);

    /// <summary>Metrics on labelled sentences.</summary>
    public Judged Judge(Dataset data, Action<int, int>? progress = null, CancellationToken cancel = default) =>
        Judged.Of(this, data, progress, cancel);

    private float[] Rows(int count, Func<int, TextItem> text, Action<int, int>? progress, CancellationToken cancel)
    {
        if (Card.Pair is { } score) return Scores(score, count, text, progress, cancel);
        var (outputs, done) = (_network.Outputs, 0);
        var rows = new float[(long)count * outputs];
        var tokens = TextLanes.Tokenize(count, k => _tokenizer.Encode(text(k), _most).Ids, cancel);
        new TextLanes(new Lazy<TextNetwork>(_network)).Run(tokens, (items, values) =>
        {
            Span<float> row = new float[outputs];
            for (var k = 0; k < items.Count; k++)
            {
                values.Slice(k * outputs, outputs).CopyTo(row);
                Card.Finish(row);
                row.CopyTo(rows.AsSpan(items[k] * outputs));
            }
            progress?.Invoke(Interlocked.Add(ref done, items.Count), count);
        }, cancel);
        return rows;
    }

    // A text that stands in many pairs is read once.
    private float[] Scores(PairScore score, int count, Func<int, TextItem> text, Action<int, int>? progress, CancellationToken cancel)
    {
        var (distinct, done) = (new Dictionary<string, int>(), 0);
        int Number(string one) => distinct.TryGetValue(one, out var known) ? known : distinct[one] = distinct.Count;
        var pairs = new (int First, int Second)[count];
        for (var k = 0; k < count; k++) pairs[k] = (Number(text(k).First), Number(Second(text(k))));
        string[] texts = [.. distinct.OrderBy(item => item.Value).Select(item => item.Key)];
        var vectors = new float[texts.Length][];
        var tokens = TextLanes.Tokenize(texts.Length, k => _tokenizer.Encode(new TextItem(texts[k]), _most).Ids, cancel);
        new TextLanes(new Lazy<TextNetwork>(_network)).Run(tokens, (items, values) =>
        {
            for (var k = 0; k < items.Count; k++) vectors[items[k]] = values.Slice(k * _network.Outputs, _network.Outputs).ToArray();
            var share = (double)Interlocked.Add(ref done, items.Count) / texts.Length;
            progress?.Invoke((int)(share * count), count);
        }, cancel);
        return [.. pairs.Select(pair => score.Of(vectors[pair.First], vectors[pair.Second]))];
    }

    /// <inheritdoc/>
    public void Dispose() => _network.Dispose();
}
