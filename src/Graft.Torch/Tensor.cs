namespace Graft.Torch;

/// <summary>
/// A tensor of libtorch. Dispose it, make it inside a <see cref="TensorScope"/>, or leave it to the finalizer (which the
/// garbage collector is told to hurry by the tensor's size). Operators are in Operators.g.cs, written from operators.txt.
/// </summary>
public sealed unsafe partial class Tensor : IDisposable
{
    // Below this, telling the collector costs more than the memory is worth.
    private const long PressureFrom = 1 << 16;

    private nint _handle;
    private long _pressure;
    private Layout? _layout;
    internal TensorScope? Scope;

    private sealed record Layout(long[] Shape, long[] Strides, DType Type, Device Device);

    internal Tensor(nint handle)
    {
        _handle = handle;
        if (handle == 0) { GC.SuppressFinalize(this); return; }
        NativeMeta meta;
        Native.Check(Native.gt_tensor_meta(handle, &meta), "tensor");
        Read(meta);
        if (meta.OwnsStorage != 0 && meta.Bytes >= PressureFrom && meta.Device >> 8 == 0)
        {
            _pressure = meta.Bytes;
            GC.AddMemoryPressure(_pressure);
        }
        TensorScope.Register(this);
    }

    /// <summary>The safety net: frees native memory that was never disposed.</summary>
    ~Tensor() => Free();

    private Layout Checked => Handle != 0 ? _layout! : null!;

    private Layout Read(in NativeMeta meta)
    {
        var shape = new long[meta.Dimensions];
        var strides = new long[meta.Dimensions];
        for (var k = 0; k < shape.Length; k++) (shape[k], strides[k]) = (meta.Sizes[k], meta.Strides[k]);
        return _layout = new Layout(shape, strides, (DType)meta.Type, Device.FromCode(meta.Device));
    }

    internal nint Handle => _handle != 0 ? _handle
        : throw new ObjectDisposedException(nameof(Tensor), "the tensor was disposed; keep it with TensorScope.Keep where a scope made it");

    internal NativeMeta Meta()
    {
        NativeMeta meta;
        Native.Check(Native.gt_tensor_meta(Handle, &meta), "tensor");
        return meta;
    }

    /// <summary>Whether its memory was given back (or an operator gave no tensor here).</summary>
    public bool IsDisposed => _handle == 0;

    /// <summary>Sizes, outermost first. Do not write into it.</summary>
    public long[] Shape => Checked.Shape;

    /// <summary>Elements to step over for the next index, per dimension.</summary>
    public long[] Strides => Checked.Strides;

    /// <summary>Element type.</summary>
    public DType Type => Checked.Type;

    /// <summary>Where it lives.</summary>
    public Device Device => Checked.Device;

    /// <summary>How many dimensions.</summary>
    public int Dimensions => Shape.Length;

    /// <summary>How many elements.</summary>
    public long Count
    {
        get
        {
            long n = 1;
            foreach (var size in Shape) n *= size;
            return n;
        }
    }

    /// <summary>Bytes of the elements.</summary>
    public long Bytes => Count * Type.Size();

    /// <summary>Whether operations on it are recorded for gradients.</summary>
    public bool RequiresGrad
    {
        get => Meta().RequiresGrad != 0;
        set => Native.Check(Native.gt_tensor_set_requires_grad(Handle, value ? 1 : 0), "requires_grad");
    }

    /// <summary>The accumulated gradient, or null. A new handle on every read.</summary>
    public Tensor? Grad
    {
        get => Native.gt_tensor_grad(Handle) is var grad and not 0 ? new Tensor(grad) : null;
        set => Native.Check(Native.gt_tensor_set_grad(Handle, value?.Handle ?? 0), "grad");
    }

    /// <summary>The address of the first element.</summary>
    public nint Data => Native.gt_tensor_data(Handle);

    /// <summary>Whether the elements lie one after another in the order of the indices.</summary>
    public bool IsContiguous
    {
        get
        {
            if (Count == 0) return true;
            long expected = 1;
            for (var k = Dimensions - 1; k >= 0; k--)
            {
                if (Shape[k] != 1 && Strides[k] != expected) return false;
                expected *= Shape[k];
            }
            return true;
        }
    }

    /// <summary>The elements in place: a contiguous tensor on the processor, of this type. Valid while the tensor lives.</summary>
    /// <exception cref="InvalidOperationException">Another type, another device, or not contiguous.</exception>
    public Span<T> Span<T>() where T : unmanaged
    {
        if (Type != DTypes.Of<T>() || Device != Device.Cpu || !IsContiguous)
            throw new InvalidOperationException($"{this} cannot be seen as contiguous {typeof(T).Name} on the processor");
        return new Span<T>((void*)Data, checked((int)Count));
    }

    /// <summary>A copy of the elements in the order of the indices, converted to the type and brought to the processor.</summary>
    public T[] ToArray<T>() where T : unmanaged
    {
        using var scope = new TensorScope();
        var ready = Detach();
        if (ready.Device != Device.Cpu) ready = ready.To(Device.Cpu);
        if (ready.Type != DTypes.Of<T>()) ready = ready.To(DTypes.Of<T>());
        return ready.Contiguous().Span<T>().ToArray();
    }

    /// <summary>The only element.</summary>
    public double Item() => Count == 1 ? ToArray<double>()[0] : throw new InvalidOperationException($"{this} has {Count} elements, not one");

    /// <summary>A tensor with a copy of the values.</summary>
    /// <param name="values">As many as the shape has elements.</param>
    /// <param name="shape">One dimension where none is given.</param>
    public static Tensor From<T>(ReadOnlySpan<T> values, params long[] shape) where T : unmanaged
    {
        // A trace would record memory that is empty, and not see the copy.
        var trace = Native.gt_trace_suspend();
        Tensor tensor;
        try
        {
            tensor = Ops.Empty(shape.Length == 0 ? [values.Length] : shape, dtype: DTypes.Of<T>());
        }
        finally
        {
            Native.gt_trace_resume(trace);
        }
        if (tensor.Count != values.Length) throw new ArgumentException($"{values.Length} values do not fill [{string.Join("×", shape)}]");
        values.CopyTo(tensor.Span<T>());
        return tensor;
    }

    /// <summary>A tensor with a copy of the values.</summary>
    public static Tensor From<T>(T[] values, params long[] shape) where T : unmanaged => From<T>(values.AsSpan(), shape);

    /// <summary>The same tensor on another device (itself when it is there already).</summary>
    public Tensor To(Device device) => device == Device ? this : To(Type, device);

    /// <summary>The same values as another type (itself when they are already).</summary>
    public Tensor To(DType type) => type == Type ? this : ToDtype(type);

    /// <summary>Gradients of this (a scalar) flow to the leaves' <see cref="Grad"/>.</summary>
    public void Backward(Tensor? gradient = null, bool retainGraph = false, bool createGraph = false)
    {
        var root = Handle;
        var given = gradient?.Handle ?? 0;
        Native.Check(Native.gt_backward(&root, given == 0 ? null : &given, 1, retainGraph ? 1 : 0, createGraph ? 1 : 0), "backward");
        GC.KeepAlive(this);
        GC.KeepAlive(gradient);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    /// <summary>Gives the handle away: its new owner frees it.</summary>
    internal nint Release()
    {
        GC.SuppressFinalize(this);
        if (_pressure > 0) GC.RemoveMemoryPressure(_pressure);
        return Interlocked.Exchange(ref _handle, 0);
    }

    private void Free()
    {
        var handle = Interlocked.Exchange(ref _handle, 0);
        if (handle == 0) return;
        Native.gt_tensor_free(handle);
        if (_pressure > 0) GC.RemoveMemoryPressure(_pressure);
    }

    /// <inheritdoc/>
    public override string ToString() => IsDisposed ? "tensor(disposed)"
        : $"{Type.ToString().ToLowerInvariant()}[{string.Join("×", Shape)}] on {Device}";

#pragma warning disable CS1591 // arithmetic, as one would expect of it
    public static Tensor operator +(Tensor a, Tensor b) => a.Add(b);
    public static Tensor operator +(Tensor a, double b) => a.Add((Scalar)b);
    public static Tensor operator +(double a, Tensor b) => b.Add((Scalar)a);
    public static Tensor operator -(Tensor a, Tensor b) => a.Sub(b);
    public static Tensor operator -(Tensor a, double b) => a.Sub((Scalar)b);
    public static Tensor operator -(double a, Tensor b) => b.Rsub(a);
    public static Tensor operator -(Tensor a) => a.Neg();
    public static Tensor operator *(Tensor a, Tensor b) => a.Mul(b);
    public static Tensor operator *(Tensor a, double b) => a.Mul((Scalar)b);
    public static Tensor operator *(double a, Tensor b) => b.Mul((Scalar)a);
    public static Tensor operator /(Tensor a, Tensor b) => a.Div(b);
    public static Tensor operator /(Tensor a, double b) => a.Div((Scalar)b);
    public static Tensor operator /(double a, Tensor b) => b.Reciprocal().Mul((Scalar)a);
#pragma warning restore CS1591

    /// <summary>The part at an index of the first dimension.</summary>
    [System.Runtime.CompilerServices.IndexerName("At")]
    public Tensor this[long index] => Select(0, index);

    /// <summary>A range of the first dimension.</summary>
    [System.Runtime.CompilerServices.IndexerName("At")]
    public Tensor this[Range range]
    {
        get
        {
            var (offset, length) = range.GetOffsetAndLength(checked((int)Shape[0]));
            return Narrow(0, offset, length);
        }
    }
}
