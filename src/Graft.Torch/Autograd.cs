namespace Graft.Torch;

/// <summary>Gradients as values, and the modes that switch their recording.</summary>
public static unsafe class Autograd
{
    /// <summary>Gradients of scalar <paramref name="outputs"/> by <paramref name="inputs"/>.</summary>
    /// <param name="outputs">Scalars, or tensors with <paramref name="gradients"/> to start from.</param>
    /// <param name="inputs">Tensors that require gradients.</param>
    /// <param name="gradients">As many as outputs, or null.</param>
    /// <param name="createGraph">Record, so that gradients of these gradients can be taken.</param>
    /// <param name="retainGraph">Keep the graph for another pass; as <paramref name="createGraph"/> where not given.</param>
    /// <param name="allowUnused">Give null for an input that the outputs do not depend on, in place of an error.</param>
    public static Tensor?[] Grad(IReadOnlyList<Tensor> outputs, IReadOnlyList<Tensor> inputs, IReadOnlyList<Tensor>? gradients = null,
        bool createGraph = false, bool? retainGraph = null, bool allowUnused = false)
    {
        var results = new nint[inputs.Count];
        fixed (nint* from = Handles(outputs), to = Handles(inputs), given = gradients is null ? null : Handles(gradients), made = results)
        {
            Native.Check(Native.gt_grad(from, outputs.Count, to, inputs.Count, given, retainGraph ?? createGraph ? 1 : 0, createGraph ? 1 : 0, allowUnused ? 1 : 0, made), "grad");
        }
        GC.KeepAlive(outputs);
        GC.KeepAlive(inputs);
        return [.. results.Select(handle => handle == 0 ? null : new Tensor(handle))];
    }

    /// <summary>Gradients of one scalar; every input must be used.</summary>
    public static Tensor[] Grad(Tensor output, IReadOnlyList<Tensor> inputs, bool createGraph = false) => Grad([output], inputs, createGraph: createGraph)!;

    internal static nint[] Handles(IReadOnlyList<Tensor> tensors)
    {
        var handles = new nint[tensors.Count];
        for (var k = 0; k < handles.Length; k++) handles[k] = tensors[k].Handle;
        return handles;
    }

    /// <summary>Nothing is recorded on this thread until the result is disposed.</summary>
    public static IDisposable NoGrad() => new GradMode(false);

    /// <summary>Operations are recorded on this thread until the result is disposed.</summary>
    public static IDisposable EnableGrad() => new GradMode(true);

    /// <summary>Nothing is recorded and no versions are kept, on this thread, until the result is disposed on the same thread.</summary>
    public static IDisposable Inference() => new InferenceMode();

    private sealed class GradMode : IDisposable
    {
        private readonly int _before;
        public GradMode(bool on) => _before = Native.gt_grad_mode(on ? 1 : 0);
        public void Dispose() => _ = Native.gt_grad_mode(_before);
    }

    private sealed class InferenceMode : IDisposable
    {
        private nint _guard = Native.gt_inference_begin();

        public void Dispose()
        {
            if (_guard == 0) return;
            Native.gt_inference_end(_guard);
            _guard = 0;
        }
    }
}
