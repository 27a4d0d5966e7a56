using Graft.Data;
using Graft.Inference;

namespace Graft.Features;

/// <summary>A network that gives features of pictures, run by ONNX Runtime, with what its file says of it: nothing here meets libtorch.</summary>
/// <param name="card">Of the file.</param>
/// <param name="open">Opens the network; done when a picture needs it.</param>
/// <param name="file">The bytes of its file.</param>
/// <param name="cache">Keeps features; null: nothing is kept.</param>
/// <exception cref="InvalidDataException">The card is damaged.</exception>
internal sealed class FeatureNetwork(IReadOnlyDictionary<string, string> card, Func<OnnxNetwork> open, Func<byte[]> file, FeatureCache? cache)
    : IDisposable
{
    private readonly Lazy<FrozenNetwork> _network = new(open);

    /// <summary>What its file says of it.</summary>
    public IReadOnlyDictionary<string, string> Card => card;

    /// <summary>The bytes of its file.</summary>
    public byte[] File() => file();

    /// <summary>What pictures go through before it.</summary>
    public Preprocessing Preprocessing { get; } = SupportCard.Preprocessing(card);

    /// <summary>What it gives for a picture; the features are last.</summary>
    private int Outputs { get; } = int.TryParse(card.GetValueOrDefault(FeatureNetworks.OutputsKey), out var outputs) && outputs > 0 ? outputs
        : throw new InvalidDataException("its outputs are missing");

    /// <summary>Numbers of a picture's features.</summary>
    public int Size => SupportCard.Size(card, Outputs);

    /// <summary>Features of the pictures that can be read, row after row, which they are, and the others.</summary>
    public unsafe (float[] Features, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Encode(Dataset data)
    {
        var (length, size) = (Outputs, Size);
        var job = new Job(data, Preprocessing, 1, 0, length, null, default);
        using var shelf = card.TryGetValue(FeatureNetworks.FunctionKey, out var function)
            ? cache?.Open(FeatureExtractor.RowsName(function, Preprocessing, "", OnnxNetwork.EngineName), length) : null;
        var rows = new float[(long)data.Count * length];
        Extracted done;
        fixed (float* at = rows) done = new ExtractionWork(job, shelf, _network, false, (nint)at).Run();
        var features = new float[done.Indices.Length * size];
        for (var k = 0; k < done.Indices.Length; k++)
            rows.AsSpan((done.Indices[k] + 1) * length - size, size).CopyTo(features.AsSpan(k * size));
        return (features, done.Indices, done.Broken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_network.IsValueCreated) _network.Value.Dispose();
    }
}
