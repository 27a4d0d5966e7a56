using System.Runtime.InteropServices;

namespace Graft.Torch;

/// <summary>A TorchScript module: traced here or loaded from an archive.</summary>
internal sealed unsafe class Script : IDisposable
{
    [ThreadStatic] private static Func<Tensor[], Tensor[]>? s_tracing;
    [ThreadStatic] private static Exception? s_failure;

    private nint _handle;

    private Script(nint handle) => _handle = handle;

    /// <summary>Frees the module if it was not disposed.</summary>
    ~Script() => Free();

    private nint Handle => _handle != 0 ? _handle : throw new ObjectDisposedException(nameof(Script));

    /// <summary>
    /// Records what <paramref name="forward"/> does with example inputs. The module's parameters and buffers become the
    /// archive's, under their own names; anything else that it touches becomes a constant.
    /// </summary>
    public static Script Trace(Module module, Func<Tensor[], Tensor[]> forward, params Tensor[] inputs)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        // The trace follows tensors by identity: parameters are replaced by plain tensors that it can own.
        var names = new List<string>();
        var tensors = new List<Tensor>();
        var buffers = new List<int>();
        var plain = new Dictionary<string, Tensor>();
        foreach (var slot in module.NamedSlots())
        {
            var tensor = slot.Slot.Value.Detach();
            plain[slot.Name] = tensor;
            names.Add(slot.Name);
            tensors.Add(tensor);
            buffers.Add(slot.Slot.IsBuffer ? 1 : 0);
        }
        var texts = names.Select(Marshal.StringToCoTaskMemUTF8).ToArray();
        s_tracing = given => module.With(plain, () => forward(given));
        s_failure = null;
        try
        {
            fixed (nint* text = texts, made = Autograd.Handles(tensors), given = Autograd.Handles(inputs))
            fixed (int* flags = buffers.ToArray())
            {
                var status = Native.gt_trace(text, made, flags, names.Count, given, inputs.Length, &Called, out var script);
                if (s_failure is not null) throw new TorchException($"trace: {s_failure.Message}", s_failure);
                Native.Check(status, "trace");
                return new Script(script);
            }
        }
        finally
        {
            s_tracing = null;
            foreach (var text in texts) Marshal.FreeCoTaskMem(text);
        }
    }

    [UnmanagedCallersOnly]
    private static int Called(nint* inputs, int inputCount, nint* results, int* resultCount)
    {
        try
        {
            using var scope = new TensorScope();
            var given = new Tensor[inputCount];
            for (var k = 0; k < inputCount; k++) given[k] = new Tensor(inputs[k]);
            var made = s_tracing!(given);
            // Handed over as tensors of their own; aten::alias would leave a node in the graph.
            for (var k = 0; k < made.Length; k++) results[k] = TensorScope.Detach(made[k]).Release();
            *resultCount = made.Length;
            return 0;
        }
#pragma warning disable CA1031 // no exception may cross into native frames; it is thrown again behind them
        catch (Exception failure)
#pragma warning restore CA1031
        {
            s_failure = failure;
            return 1;
        }
    }

    /// <summary>A copy that is frozen, with BatchNorm folded and layouts chosen for inference on this processor.</summary>
    public Script Optimize()
    {
        Native.Check(Native.gt_script_optimize(Handle, out var result), "optimize_for_inference");
        return new Script(result);
    }

    /// <summary>Runs the module. Safe to call from several threads at once.</summary>
    public Tensor[] Run(params Tensor[] inputs)
    {
        var results = stackalloc nint[64];
        var count = 64;
        fixed (nint* given = Autograd.Handles(inputs)) Native.Check(Native.gt_script_run(Handle, given, inputs.Length, results, &count), "script");
        var tensors = new Tensor[count];
        for (var k = 0; k < count; k++) tensors[k] = new Tensor(results[k]);
        GC.KeepAlive(inputs);
        return tensors;
    }

    /// <summary>Writes an archive that Python's and C++'s torch load.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="extra">A text to put beside it under a name, which <c>torch.jit.load(…, _extra_files=…)</c> gives back; null: none.</param>
    public void Save(string path, (string Name, string Text)? extra = null) =>
        Native.Check(Native.gt_script_save(Handle, path, extra?.Name, extra?.Text), path);

    /// <summary>Reads an archive.</summary>
    /// <exception cref="TorchException">Not an archive of TorchScript.</exception>
    public static Script Load(string path)
    {
        TorchRuntime.Touch();
        Native.Check(Native.gt_script_load(path, out var script), path);
        return new Script(script);
    }

    /// <summary>Parameters and buffers by name, and which of them are buffers.</summary>
    public (IReadOnlyDictionary<string, Tensor> Tensors, IReadOnlySet<string> Buffers) State()
    {
        Native.Check(Native.gt_script_state(Handle, out var text, out var tensors, out var count, out var parameters), "state");
        var names = Native.Take(text).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var state = new Dictionary<string, Tensor>();
        for (var k = 0; k < count; k++) state[names[k]] = new Tensor(tensors[k]);
        Native.gt_free((nint)tensors);
        return (state, names[parameters..].ToHashSet());
    }

    /// <summary>What forward computes, operator by operator, as JSON (native/graph.cpp says how), and the constants that are tensors.</summary>
    public (string Json, Tensor[] Constants) Graph()
    {
        Native.Check(Native.gt_script_graph(Handle, out var text, out var tensors, out var count), "graph");
        var constants = new Tensor[count];
        for (var k = 0; k < count; k++) constants[k] = new Tensor(tensors[k]);
        Native.gt_free((nint)tensors);
        return (Native.Take(text), constants);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (Interlocked.Exchange(ref _handle, 0) is var handle and not 0) Native.gt_script_free(handle);
    }
}
