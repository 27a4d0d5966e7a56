using Microsoft.ML.OnnxRuntime;

namespace Graft.Inference.Text;

/// <summary>A text network run by ONNX Runtime: input_ids, attention_mask and, where the file has it, token_type_ids, all N×T; the first output of
/// it is
/// N×….</summary>
internal sealed class OnnxTextNetwork : TextNetwork
{
    private readonly InferenceSession _session;
    private readonly string[] _inputs, _outputs;
    private readonly int _separator;
    private readonly RunOptions _run = new();

    /// <param name="model">An ONNX file's bytes.</param>
    /// <param name="name">What errors call it.</param>
    /// <param name="separator">The token that ends a sentence: what stands behind the first is of the second.</param>
    /// <exception cref="GraftException">ONNX Runtime cannot run it, or it is no network of text.</exception>
    public OnnxTextNetwork(byte[] model, string name, int separator) : this(options => new InferenceSession(model, options), name, separator) { }

    /// <param name="file">An ONNX file.</param>
    /// <param name="separator">The token that ends a sentence; null: its card says it.</param>
    /// <exception cref="GraftException">ONNX Runtime cannot run it, or it is no network of text.</exception>
    public OnnxTextNetwork(string file, int? separator = null) : this(options => new InferenceSession(file, options), file, separator) { }

    private OnnxTextNetwork(Func<SessionOptions, InferenceSession> open, string name, int? separator)
    {
        _session = OnnxEnvironment.Open(open, name);
        _inputs = [.. _session.InputMetadata.Keys];
        _outputs = [_session.OutputMetadata.Keys.First()];
        Card = new Dictionary<string, string>(_session.ModelMetadata.CustomMetadataMap);
        var output = _session.OutputMetadata.Values.First();
        string[] known = ["input_ids", "attention_mask", "token_type_ids"];
        if (!_inputs.Contains("input_ids") || _inputs.Except(known).Any() || output.ElementType != typeof(float)
            || output.Dimensions is not [_, > 0 and var outputs])
        {
            _session.Dispose();
            throw new GraftException($"{name}: it is no network that takes input_ids and gives one row for each sentence (it takes {string.Join(", ", _inputs)})");
        }
        Outputs = outputs;
        _separator = separator ?? (int.TryParse(Card.GetValueOrDefault("separator"), out var stated) ? stated : -1);
    }

    /// <summary>What the file says of itself.</summary>
    public IReadOnlyDictionary<string, string> Card { get; }

    public override int Outputs { get; }

    public override string Engine => OnnxNetwork.EngineName;

    public override void Run(Memory<long> ids, int count, Memory<float> outputs)
    {
        var length = ids.Length / count;
        long[] shape = [count, length];
        try
        {
            var given = new List<OrtValue>();
            try
            {
                foreach (var input in _inputs) given.Add(OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance,
                    Input(input, ids, length), shape));
                using var made = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, outputs[..(count * Outputs)], [count, Outputs]);
                _session.Run(_run, _inputs, given, _outputs, [made]);
            }
            finally
            {
                foreach (var value in given) value.Dispose();
            }
        }
        catch (OnnxRuntimeException reason)
        {
            throw new GraftException($"ONNX Runtime failed: {OnnxEnvironment.Sentence(reason)}", reason);
        }
    }

    private Memory<long> Input(string name, Memory<long> ids, int length)
    {
        if (name == "input_ids") return ids;
        var made = new long[ids.Length];
        if (name == "attention_mask") Array.Fill(made, 1);
        else
        {
            for (var (k, second) = (0, false); k < made.Length; k++)
            {
                if (k % length == 0) second = false;
                made[k] = second ? 1 : 0;
                second |= ids.Span[k] == _separator;
            }
        }
        return made;
    }

    protected override void Dispose(bool disposing)
    {
        if (!disposing) return;
        _run.Dispose();
        _session.Dispose();
    }
}
