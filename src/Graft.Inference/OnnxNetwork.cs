using Microsoft.ML.OnnxRuntime;

namespace Graft.Inference;

/// <summary>A network run by ONNX Runtime: one input N×3×H×W with a free batch, one output N×….</summary>
public sealed class OnnxNetwork : FrozenNetwork
{
    private readonly InferenceSession _session;
    private readonly string[] _inputs, _outputs;
    private readonly long[] _rest;
    private readonly RunOptions _run = new();

    /// <param name="model">An ONNX file's bytes.</param>
    /// <param name="name">What errors call it.</param>
    /// <exception cref="GraftException">ONNX Runtime cannot run it, or it is no network of pictures.</exception>
    public OnnxNetwork(byte[] model, string name) : this(options => new InferenceSession(model, options), name) { }

    /// <param name="file">An ONNX file.</param>
    /// <exception cref="GraftException">ONNX Runtime cannot run it, or it is no network of pictures.</exception>
    public OnnxNetwork(string file) : this(options => new InferenceSession(file, options), file) { }

    private OnnxNetwork(Func<SessionOptions, InferenceSession> open, string name)
    {
        _session = OnnxEnvironment.Open(open, name);
        try
        {
            (_inputs, _outputs) = ([.. _session.InputMetadata.Keys], [_session.OutputMetadata.Keys.First()]);
            var (input, output) = (_session.InputMetadata.Values.First(), _session.OutputMetadata.Values.First());
            if (_inputs.Length != 1 || input.Dimensions is not [_, 3, > 0, > 0] shape || input.ElementType != typeof(float)
                || output.ElementType != typeof(float))
                throw new GraftException($"{name}: its input is not one batch of colour pictures (N×3×H×W)");
            (Height, Width) = (shape[2], shape[3]);
            _rest = [.. output.Dimensions.Skip(1)
                .Select(size => size > 0 ? (long)size : throw new GraftException($"{name}: the size of its answer is not fixed"))];
            Outputs = (int)_rest.Aggregate(1L, (product, size) => product * size);
            Card = new Dictionary<string, string>(_session.ModelMetadata.CustomMetadataMap);
            Fixed = shape[0] > 0 ? shape[0] : null;
        }
        catch
        {
            _session.Dispose();
            throw;
        }
    }

    /// <summary>What the file says of itself.</summary>
    public IReadOnlyDictionary<string, string> Card { get; }

    /// <summary>The batch, where the file fixes it.</summary>
    internal int? Fixed { get; }

    /// <inheritdoc/>
    public override int Height { get; }

    /// <inheritdoc/>
    public override int Width { get; }

    /// <inheritdoc/>
    public override int Outputs { get; }

    /// <inheritdoc/>
    public override string Engine => EngineName;

    /// <summary>The engine and its version.</summary>
    public static string EngineName { get; } = $"onnxruntime {typeof(InferenceSession).Assembly.GetName().Version?.ToString(3)}";

    /// <inheritdoc/>
    public override int Batch => Fixed ?? base.Batch;

    /// <inheritdoc/>
    public override void Run(Memory<float> inputs, int count, Memory<float> outputs)
    {
        try
        {
            using var given = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, inputs[..(count * InputLength)],
                [count, 3, Height, Width]);
            using var made = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, outputs[..(count * Outputs)], [count, .. _rest]);
            _session.Run(_run, _inputs, [given], _outputs, [made]);
        }
        catch (OnnxRuntimeException reason)
        {
            throw new GraftException($"ONNX Runtime failed: {OnnxEnvironment.Sentence(reason)}", reason);
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!disposing) return;
        _run.Dispose();
        _session.Dispose();
    }
}
