using Graft.Data;

namespace Graft.Inference;

/// <summary>
/// Something that answers pictures: a frozen network, what its pictures go through, and what its numbers say. One road from a file to an
/// answer, for one picture and for ten thousand.
/// </summary>
/// <typeparam name="TAnswer">What it says of a picture.</typeparam>
/// <param name="network">Owned from here on. It runs pictures.</param>
/// <param name="preprocessing">What they go through before it.</param>
public abstract class Model<TAnswer>(FrozenNetwork network, Preprocessing preprocessing) : IDisposable
{
    /// <summary>Runs the pictures.</summary>
    public FrozenNetwork Network { get; } = network;

    /// <summary>What pictures go through before the network.</summary>
    public Preprocessing Preprocessing { get; } = preprocessing;

    /// <summary>What was noticed when it was opened, such as a preprocessing that its file does not say.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>The answer for what the network and <see cref="Finish"/> gave.</summary>
    /// <param name="name">The picture's.</param>
    /// <param name="row">Its numbers.</param>
    public abstract TAnswer Say(string name, ReadOnlySpan<float> row);

    /// <summary>Turns what the network gave for one picture into what is told of it, such as scores into probabilities.</summary>
    protected internal virtual void Finish(Span<float> row) { }

    /// <summary>Answers one picture.</summary>
    /// <exception cref="PictureException">It cannot be read.</exception>
    public TAnswer Answer(string file) => Say(file, Row(Bytes(file)));

    /// <summary>Answers a picture's bytes.</summary>
    /// <exception cref="PictureException">They are no picture.</exception>
    public TAnswer Answer(ReadOnlySpan<byte> bytes, string name = "") => Say(name, Row(bytes));

    private float[] Row(ReadOnlySpan<byte> bytes)
    {
        var (input, row) = (new float[Network.InputLength], new float[Network.Outputs]);
        Read(bytes, input);
        Network.Run(input, 1, row);
        Finish(row);
        return row;
    }

    /// <summary>Decodes a picture's bytes into what the network takes.</summary>
    /// <exception cref="PictureException">They are no picture.</exception>
    internal void Read(ReadOnlySpan<byte> bytes, Span<float> input)
    {
        using var picture = Picture.Decode(bytes, Preprocessing);
        Read(picture, input);
    }

    /// <summary>Puts a picture through the preprocessing.</summary>
    internal unsafe void Read(Picture picture, Span<float> input)
    {
        var rng = new Rng(0);
        fixed (float* into = input) TransformRunner.Run(picture, Preprocessing, ref rng, true, into);
    }

    /// <summary>Answers many files, each by itself, as fast as the machine can.</summary>
    /// <returns>For every file, in the order given, an answer or why there is none.</returns>
    public (TAnswer? Answer, string? Error)[] Answer(IReadOnlyList<string> files, Action<int, int>? progress = null,
        CancellationToken cancel = default)
    {
        var found = new (TAnswer?, string?)[files.Count];
        Run(files.Count, (k, input) => Read(Bytes(files[k]), input), (k, row) => found[k] = (Say(files[k], row), null),
            (k, error) => found[k] = (default, error), progress, cancel);
        return found;
    }

    /// <summary>What it gives for every readable picture of a dataset: N×outputs, row after row, and which pictures they are.</summary>
    public (float[] Answers, int[] Indices, IReadOnlyList<BrokenPicture> Broken) AnswerAll(Dataset data, Action<int, int>? progress = null,
        CancellationToken cancel = default)
    {
        var outputs = Network.Outputs;
        var rows = new float[(long)data.Count * outputs];
        var errors = new string?[data.Count];
        void Fill(int k, Span<float> input)
        {
            using var picture = data.Decode(k, Preprocessing);
            Read(picture, input);
        }
        Run(data.Count, Fill, (k, row) => row.CopyTo(rows.AsSpan(k * outputs)), (k, error) => errors[k] = error, progress, cancel);
        int[] good = [.. Enumerable.Range(0, data.Count).Where(k => errors[k] is null)];
        if (good.Length == data.Count) return (rows, good, []);
        var kept = new float[(long)good.Length * outputs];
        for (var k = 0; k < good.Length; k++) rows.AsSpan(good[k] * outputs, outputs).CopyTo(kept.AsSpan(k * outputs));
        return (kept, good, [.. Enumerable.Range(0, data.Count).Where(k => errors[k] is not null)
            .Select(k => new BrokenPicture(data.Name(k), errors[k]!))]);
    }

    private delegate void FillOne(int item, Span<float> input);

    private delegate void TakeOne(int item, ReadOnlySpan<float> row);

    private void Run(int count, FillOne fill, TakeOne take, Action<int, string> broken, Action<int, int>? progress, CancellationToken cancel)
    {
        var done = 0;
        var lanes = new Lanes(new Lazy<FrozenNetwork>(Network), count, Network.InputLength, Network.Outputs) { Batch = Network.Batch,
            Count = Network.Lanes };
        lanes.Run((k, input) =>
        {
            try
            {
                fill(k, input);
                return true;
            }
            catch (Exception reason) when (reason is PictureException or IOException or UnauthorizedAccessException or InvalidDataException)
            {
                broken(k, reason.Message);
                progress?.Invoke(Interlocked.Increment(ref done), count);
                return false;
            }
        }, (items, rows) =>
        {
            Span<float> row = new float[Network.Outputs];
            for (var k = 0; k < items.Count; k++)
            {
                rows.Slice(k * row.Length, row.Length).CopyTo(row);
                Finish(row);
                take(items[k], row);
            }
            progress?.Invoke(Interlocked.Add(ref done, items.Count), count);
        }, cancel);
    }

    private static byte[] Bytes(string file)
    {
        try
        {
            return File.ReadAllBytes(file);
        }
        catch (Exception reason) when (reason is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new PictureException("there is no such file", reason);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            throw new PictureException($"cannot be read ({reason.Message.TrimEnd('.')})", reason);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Network.Dispose();
        GC.SuppressFinalize(this);
    }
}
