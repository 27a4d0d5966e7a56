using System.Globalization;
using System.Text.Json;
using Graft.Data;
using Graft.Inference.Text;

namespace Graft.Inference.Search;

/// <summary>The network of an index, which turns a question into a vector of length one: a sentence, or a picture.</summary>
internal sealed class VectorModel : IDisposable
{
    /// <summary>The key of how many numbers, the last that the network gives, are the vector.</summary>
    public const string FeaturesKey = SupportCard.FeaturesKey;

    private readonly TextModel? _text;
    private readonly Features? _pictures;
    private readonly int _size;

    /// <param name="file">Of an index.</param>
    /// <param name="size">Numbers of a vector.</param>
    /// <param name="text">Whether it reads sentences.</param>
    /// <exception cref="GraftException">It is damaged, or of another index.</exception>
    public VectorModel(string file, int size, bool text)
    {
        _size = size;
        try
        {
            var card = OnnxCard.Read(file);
            if (card.GetValueOrDefault(FeaturesKey) != size.ToString(CultureInfo.InvariantCulture))
                throw new InvalidDataException($"its vectors have not {size} numbers");
            if (text)
            {
                var (tokenizer, most) = (Tokenizers.FromCard(card["tokenizer"]), int.Parse(card["tokens"], CultureInfo.InvariantCulture));
                var network = new OnnxTextNetwork(file);
                _text = new TextModel(network, tokenizer, most, new AnswerCard(TargetKind.Numbers, []));
                SupportCard.Size(card, network.Outputs);
            }
            else
            {
                var preprocessing = SupportCard.Preprocessing(card);
                _pictures = new Features(new OnnxNetwork(file), preprocessing, size);
                SupportCard.Size(card, _pictures.Network.Outputs);
            }
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException or FormatException or ArgumentException or KeyNotFoundException
            or InvalidOperationException)
        {
            Dispose();
            throw new GraftException($"{file}: what it says of itself is damaged ({reason.Message}): make the index again", reason);
        }
    }

    /// <summary>Vectors of sentences, row after row.</summary>
    public float[] OfSentences(IReadOnlyList<TextItem> texts)
    {
        var data = new Dataset(new TextSource(texts, [.. texts.Select(_ => "")]), new LabelTargets([.. texts.Select(_ => Array.Empty<int>())], []));
        var (rows, _, _) = _text!.AnswerAll(data);
        var (outputs, vectors) = (rows.Length / Math.Max(1, texts.Count), new float[texts.Count * _size]);
        for (var k = 0; k < texts.Count; k++) IndexWriter.Normalise(rows.AsSpan((k + 1) * outputs - _size, _size), vectors.AsSpan(k * _size, _size));
        return vectors;
    }

    /// <summary>The vectors of pictures, or why there is none, one for each file.</summary>
    public (float[]? Answer, string? Error)[] OfPictures(IReadOnlyList<string> files) => _pictures!.Answer(files);

    public void Dispose()
    {
        _text?.Dispose();
        _pictures?.Dispose();
    }

    private sealed class Features(FrozenNetwork network, Preprocessing preprocessing, int size) : Model<float[]>(network, preprocessing)
    {
        public override float[] Say(string name, ReadOnlySpan<float> row)
        {
            var unit = new float[size];
            IndexWriter.Normalise(row[^size..], unit);
            return unit;
        }
    }
}
