using System.Security.Cryptography;
using System.Text;
using Graft.Inference;
using Graft.Models.Exports;
using Graft.Models.Graphs;
using Graft.Torch;

namespace Graft.Features;

/// <summary>
/// Frozen functions of libtorch's modules by the engine that serves them best: written as ONNX once, kept by what they compute, and run by ONNX
/// Runtime; where it cannot (an operator that it lacks, another answer), libtorch serves.
/// </summary>
/// <param name="cache">Keeps graphs between processes, beside features; null: nothing is kept.</param>
internal sealed class FrozenNetworks(FeatureCache? cache)
{
    /// <summary>A share of the largest number that libtorch gives: rounding is some hundred times less.</summary>
    internal const float Tolerance = 1e-3f;

    /// <summary>Why libtorch runs a function that ONNX Runtime was wanted for, known from an earlier try; null: nothing speaks against it.</summary>
    public string? Refusal(string function) => cache is not null && File.Exists(RefusalOf(function)) ? File.ReadAllText(RefusalOf(function)) : null;

    // Another version of ONNX Runtime is asked again.
    private string RefusalOf(string function) => Place($"{function} {OnnxNetwork.EngineName}", ".refused");

    /// <summary>Makes the network.</summary>
    /// <param name="function">Everything that the answer depends on but the engine, as text.</param>
    /// <param name="module">With the weights; stays the caller's.</param>
    /// <param name="forward">N×3×H×W to N×….</param>
    /// <param name="height">Of the input.</param>
    /// <param name="width">Of the input.</param>
    /// <exception cref="EngineException">ONNX Runtime cannot.</exception>
    public OnnxNetwork Onnx(string function, Module module, Func<Tensor, Tensor> forward, int height, int width) =>
        Onnx(function, module, forward, height, width, out _);

    /// <summary>The same, with the bytes of its file.</summary>
    public OnnxNetwork Onnx(string function, Module module, Func<Tensor, Tensor> forward, int height, int width, out Func<byte[]> file)
    {
        var place = Place(function, ".onnx");
        if (cache is not null && File.Exists(place))
        {
            try
            {
                var kept = new OnnxNetwork(place);
                file = () => File.ReadAllBytes(place);
                TryDo(() => File.SetLastWriteTimeUtc(place, DateTime.UtcNow));
                return kept;
            }
            catch (GraftException)
            {
                // Damaged, or of another version: made again.
            }
        }
        try
        {
            module.Eval();
            byte[] bytes;
            using (new TensorScope())
            {
                var (graph, weights) = ScriptGraph.Of(module, forward, 3, height, width);
                bytes = OnnxWriter.Write(graph, weights, null, null, new Dictionary<string, string> { ["function"] = function });
            }
            var made = new OnnxNetwork(bytes, "the network");
            try
            {
                var difference = Difference(made, forward);
                if (!(difference <= Tolerance)) throw new GraftException($"ONNX Runtime gives other numbers than libtorch (by {difference:P2} of the largest)");
            }
            catch
            {
                made.Dispose();
                throw;
            }
            if (cache is not null)
            {
                TryDo(() =>
                {
                    if (cache.MakeRoom(bytes.Length)) AtomicFile.Write(place, stream => stream.Write(bytes));
                });
            }
            file = () => bytes;
            return made;
        }
        catch (GraftException reason) when (reason is not EngineException)
        {
            if (cache is not null) TryDo(() => AtomicFile.Write(RefusalOf(function), stream => stream.Write(Encoding.UTF8.GetBytes(reason.Message))));
            throw new EngineException(reason.Message, reason);
        }
    }

    /// <summary>A function that is used here and now only, by the engine that is wanted.</summary>
    /// <param name="module">With the weights; stays the caller's.</param>
    /// <param name="forward">N×3×H×W to N×….</param>
    /// <param name="height">Of the input.</param>
    /// <param name="width">Of the input.</param>
    /// <param name="refusal">Why ONNX Runtime does not run it; null: it does, or was not wanted.</param>
    /// <exception cref="GraftException">ONNX Runtime is asked for, and cannot.</exception>
    public static FrozenNetwork Best(Module module, Func<Tensor, Tensor> forward, int height, int width, out string? refusal)
    {
        refusal = null;
        if (Engine.Wanted != EngineKind.Torch)
        {
            try
            {
                return new FrozenNetworks(null).Onnx("", module, forward, height, width);
            }
            catch (EngineException reason) when (Engine.Wanted == EngineKind.Auto)
            {
                refusal = $"libtorch runs the network: {reason.Message}";
            }
            catch (EngineException reason)
            {
                throw Asked(reason);
            }
        }
        return new TorchNetwork(module, forward, height, width);
    }

    /// <summary>ONNX Runtime was asked for by name.</summary>
    public static GraftException Asked(EngineException reason) =>
        new($"--engine onnx cannot run the network: {reason.Message}. Leave --engine out, and libtorch does", reason);

    /// <summary>How far an engine's answers are from the module's own for two pictures of noise, as a share of the largest.</summary>
    internal static float Difference(FrozenNetwork network, Func<Tensor, Tensor> forward)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var values = new float[2 * network.InputLength];
        var rng = new Data.Rng(1);
        for (var k = 0; k < values.Length; k++) values[k] = (float)(2 * rng.Next() - 1);
        var expected = forward(Tensor.From(values, 2, 3, network.Height, network.Width)).Contiguous().ToArray<float>();
        var found = new float[2 * network.Outputs];
        if (expected.Length != found.Length) return float.PositiveInfinity;
        network.Run(values, 2, found);
        // Of LINQ's Max, a NaN is the least.
        var off = expected.Zip(found, (a, b) => MathF.Abs(a - b)).Aggregate(0f, MathF.Max);
        return off / expected.Max(MathF.Abs);
    }

    private string Place(string function, string extension) =>
        Path.Combine(cache?.Root ?? "", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(function)))[..32] + extension);

    // What is kept only saves work: without it the work is done again.
    internal static void TryDo(Action action)
    {
        try
        {
            action();
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            return;
        }
    }
}

/// <summary>ONNX Runtime cannot run a function: the message says why.</summary>
internal sealed class EngineException(string message, Exception inner) : GraftException(message, inner);
