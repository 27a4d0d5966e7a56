using System.Diagnostics;
using System.Security.Cryptography;
using Graft.Data;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Models.Exports;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Features;

/// <summary>Every stage's pooled output for the sentences of a dataset: what the cache has is not computed again.</summary>
internal sealed class TextExtraction(TextEncoder encoder, FeatureCache? cache, Device device)
{
    private const int SaveAfter = 8192;

    /// <summary>The same as <see cref="FeatureExtractor.Pooled"/> for pictures.</summary>
    public Extraction Pooled(Dataset data, Action<int, int>? progress, CancellationToken cancel)
    {
        var clock = Stopwatch.StartNew();
        var length = encoder.Stages.Sum(stage => stage.Channels);
        var onnx = !device.IsCuda && Engine.Wanted != EngineKind.Torch;
        var tokenizer = Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(encoder.Tokenizer.ToCard())));
        var function = $"{encoder.Fingerprint()} pooled {tokenizer} {encoder.MostTokens} {(onnx ? OnnxNetwork.EngineName : TorchNetwork.NameOf(device))}";
        using var shelf = cache?.Open(function, length);
        var rows = TensorScope.Detach(Ops.Zeros([data.Count, length]));
        try
        {
            var keys = new byte[data.Count][];
            var missing = new List<int>();
            for (var k = 0; k < data.Count; k++)
            {
                keys[k] = data.Digest(k)!;
                if (shelf?.TryRead(keys[k], Row(rows, k, length)) != true) missing.Add(k);
            }
            var (done, notes) = (data.Count - missing.Count, new List<string>());
            progress?.Invoke(done, data.Count);
            if (missing.Count > 0) Compute(data, missing, keys, rows, length, onnx, shelf, notes, () =>
                progress?.Invoke(Interlocked.Increment(ref done), data.Count), cancel);
            return new Extraction(rows, [length], [.. Enumerable.Range(0, data.Count)], [], data.Count - missing.Count, clock.Elapsed.TotalSeconds,
                notes);
        }
        catch
        {
            rows.Dispose();
            throw;
        }
    }

    /// <summary>The same of pairs, whose texts are read one by one: N×(2 × the length), the first's outputs before the second's.</summary>
    public Extraction Apart(Dataset pairs, Action<int, int>? progress, CancellationToken cancel)
    {
        var halves = Pooled(pairs.Apart(), (done, total) => progress?.Invoke(done / 2, total / 2), cancel);
        using var single = halves.Rows;
        var length = halves.Shape[0];
        return halves with
        {
            Rows = TensorScope.Detach(single.Reshape([pairs.Count, 2 * length])), Shape = [2 * length], Apart = true,
            Indices = [.. Enumerable.Range(0, pairs.Count)], FromCache = halves.FromCache / 2,
        };
    }

    private void Compute(Dataset data, List<int> missing, byte[][] keys, Tensor rows, int length, bool onnx, FeatureCache.Shelf? shelf,
        List<string> notes,
        Action advance, CancellationToken cancel)
    {
        var cut = 0;
        var tokens = TextLanes.Tokenize(missing.Count, k =>
        {
            var encoded = encoder.Encode(data.Text(missing[k]));
            if (encoded.IsCut) Interlocked.Increment(ref cut);
            return encoded.Ids;
        }, cancel);
        if (cut > 0) notes.Add(CutNote(cut, encoder.MostTokens));
        var lazy = new Lazy<TextNetwork>(() => onnx
            ? new OnnxTextNetwork(EncoderWriter.AllPooled(encoder), encoder.Provenance.Source, encoder.Shape.Separator)
            : new TorchTextNetwork(encoder, AllPooled, length, device));
        var (saving, unsaved) = (new Lock(), new List<int>());
        void Save()
        {
            if (shelf is not null && unsaved.Count > 0)
            {
                var block = new float[unsaved.Count * length];
                for (var k = 0; k < unsaved.Count; k++) Row(rows, unsaved[k], length).CopyTo(block.AsSpan(k * length));
                try
                {
                    if (!shelf.Append([.. unsaved.Select(k => keys[k])],
                        block)) notes.Add("the features are larger than the cache may be, and were not kept (GRAFT_CACHE_LIMIT_MB)");
                }
                catch (IOException reason)
                {
                    notes.Add($"the features could not be cached and will be computed again next time: {reason.Message}");
                    shelf = null;
                }
            }
            unsaved.Clear();
        }
        try
        {
            new TextLanes(lazy).Run(tokens, (items, values) =>
            {
                for (var k = 0; k < items.Count; k++)
                {
                    values.Slice(k * length, length).CopyTo(Row(rows, missing[items[k]], length));
                    advance();
                }
                lock (saving)
                {
                    unsaved.AddRange(items.Select(k => missing[k]));
                    if (unsaved.Count >= SaveAfter) Save();
                }
            }, cancel);
        }
        finally
        {
            if (lazy.IsValueCreated) lazy.Value.Dispose();
        }
        lock (saving) Save();
    }

    private Tensor AllPooled(Tensor ids)
    {
        var (pooled, x) = (new List<Tensor>(), new Signal(ids));
        foreach (var stage in encoder.Stages) pooled.Add(encoder.Pool(x = stage.Run(x)));
        return Ops.Cat(pooled, 1);
    }

    /// <summary>What is said of sentences that are longer than the network reads.</summary>
    internal static string CutNote(int count, int most) =>
        $"{count} {(count == 1 ? "text is" : "texts are")} longer than the {most} tokens that are read: the rest is not seen";

    private static unsafe Span<float> Row(Tensor rows, int k, int length) => new((float*)rows.Data + (long)k * length, length);
}
