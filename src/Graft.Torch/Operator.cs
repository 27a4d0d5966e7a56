using System.Runtime.InteropServices;
using System.Text;

namespace Graft.Torch;

/// <summary>
/// An operator of libtorch, found by name when it is first used. The typed methods of <see cref="Tensor"/> and
/// <see cref="Ops"/> call through this; any other operator is reached by <see cref="Invoke"/>.
/// </summary>
public sealed class Operator(string name, string overload = "")
{
    private nint _handle;

    /// <summary>Such as <c>aten::add.Tensor</c>.</summary>
    public string FullName => overload.Length == 0 ? name : $"{name}.{overload}";

    /// <summary>Whether this libtorch has it.</summary>
    public bool Exists => Find() != 0;

    /// <summary>The schema as libtorch prints it.</summary>
    public string Schema => Native.Take(Native.gt_schema(Handle));

    internal nint Handle => Find() is var found and not 0 ? found : throw new TorchException($"{FullName}: libtorch {TorchRuntime.Version} has no such operator");

    private nint Find()
    {
        if (_handle != 0) return _handle;
        TorchRuntime.Touch();
        return _handle = Native.gt_operator(name, overload);
    }

    /// <summary>
    /// Calls with arguments by position (tensors, numbers, bool, string, long[], double[], Tensor[], DType, Device, null);
    /// those left off take the schema's defaults.
    /// </summary>
    /// <returns>The results as tensors; numbers come as tensors of no dimension.</returns>
    /// <exception cref="TorchException">libtorch refused.</exception>
    public Tensor[] Invoke(params object?[] arguments)
    {
        var call = new Call(this);
        foreach (var argument in arguments)
        {
            switch (argument)
            {
                case null: call.AddNone(); break;
                case Tensor tensor: call.Add(tensor); break;
                case bool flag: call.Add(flag); break;
                case int number: call.Add(number); break;
                case long number: call.Add(number); break;
                case float number: call.Add((double)number); break;
                case double number: call.Add(number); break;
                case Scalar number: call.Add(number); break;
                case string text: call.Add(text); break;
                case long[] list: call.Add(list); break;
                case double[] list: call.Add(list); break;
                case bool[] list: call.Add(list); break;
                case DType type: call.Add(type); break;
                case Device device: call.Add(device); break;
                case IReadOnlyList<Tensor?> list: call.Add(list); break;
                default: throw new ArgumentException($"{FullName} takes no {argument.GetType().Name}");
            }
        }
        return call.AnyResults();
    }

    /// <inheritdoc/>
    public override string ToString() => FullName;
}

/// <summary>Packs one call's arguments without garbage: values and list elements lie in buffers of this thread.</summary>
internal unsafe ref struct Call
{
    private const int MaxArguments = 64, MaxResults = 16;

    [ThreadStatic] private static NativeValue[]? s_values;
    [ThreadStatic] private static long[]? s_arena;
    [ThreadStatic] private static object?[]? s_alive;

    private readonly Operator _op;
    private readonly NativeValue[] _values;
    private readonly object?[] _alive;
    private int _count, _used;

    public Call(Operator op)
    {
        _op = op;
        _values = s_values ??= new NativeValue[MaxArguments];
        _alive = s_alive ??= new object?[MaxArguments];
        s_arena ??= new long[256];
    }

    public void AddNone() => _values[_count++] = new NativeValue { Tag = ValueTag.None };
    public void AddDefault() => _values[_count++] = new NativeValue { Tag = ValueTag.Default };

    public void Add(Tensor? tensor)
    {
        if (tensor is null) { AddNone(); return; }
        _alive[_count] = tensor;
        _values[_count++] = new NativeValue { Tag = ValueTag.Tensor, Bits = tensor.Handle };
    }

    public void Add(long value) => _values[_count++] = new NativeValue { Tag = ValueTag.Int, Bits = value };
    public void Add(double value) => _values[_count++] = new NativeValue { Tag = ValueTag.Double, Bits = BitConverter.DoubleToInt64Bits(value) };
    public void Add(bool value) => _values[_count++] = new NativeValue { Tag = ValueTag.Bool, Bits = value ? 1 : 0 };
    public void Add(DType value) => Add((long)value);
    public void Add(MemoryFormat value) => Add((long)value);
    public void Add(Device value) => _values[_count++] = new NativeValue { Tag = ValueTag.Device, Bits = value.Code };

    public void Add(Scalar value)
    {
        if (value.Whole) Add(value.Integer);
        else Add(value.Real);
    }

    public void Add(long? value) { if (value is { } v) Add(v); else AddNone(); }
    public void Add(double? value) { if (value is { } v) Add(v); else AddNone(); }
    public void Add(bool? value) { if (value is { } v) Add(v); else AddNone(); }
    public void Add(Scalar? value) { if (value is { } v) Add(v); else AddNone(); }
    public void AddOrDefault(Scalar? value) { if (value is { } v) Add(v); else AddDefault(); }
    public void Add(DType? value) { if (value is { } v) Add(v); else AddNone(); }
    public void Add(Device? value) { if (value is { } v) Add(v); else AddNone(); }
    public void Add(MemoryFormat? value) { if (value is { } v) Add(v); else AddNone(); }

    public void Add(string? text)
    {
        if (text is null) { AddNone(); return; }
        var bytes = Encoding.UTF8.GetBytes(text);
        var at = Reserve((bytes.Length + 7) / 8);
        bytes.CopyTo(MemoryMarshal.AsBytes(s_arena.AsSpan(at)));
        _values[_count++] = new NativeValue { Tag = ValueTag.String, Count = bytes.Length, Bits = at };
    }

    public void Add(long[]? list)
    {
        if (list is null) { AddDefault(); return; }
        var at = Reserve(list.Length);
        list.CopyTo(s_arena.AsSpan(at));
        _values[_count++] = new NativeValue { Tag = ValueTag.IntList, Count = list.Length, Bits = at };
    }

    public void Add(double[]? list)
    {
        if (list is null) { AddDefault(); return; }
        var at = Reserve(list.Length);
        MemoryMarshal.Cast<double, long>(list).CopyTo(s_arena.AsSpan(at));
        _values[_count++] = new NativeValue { Tag = ValueTag.DoubleList, Count = list.Length, Bits = at };
    }

    public void Add(bool[] list)
    {
        var at = Reserve(list.Length);
        for (var k = 0; k < list.Length; k++) s_arena![at + k] = list[k] ? 1 : 0;
        _values[_count++] = new NativeValue { Tag = ValueTag.BoolList, Count = list.Length, Bits = at };
    }

    public void Add(IReadOnlyList<Tensor?> list)
    {
        var at = Reserve(list.Count);
        for (var k = 0; k < list.Count; k++) s_arena![at + k] = list[k]?.Handle ?? 0;
        _alive[_count] = list;
        _values[_count++] = new NativeValue { Tag = ValueTag.TensorList, Count = list.Count, Bits = at };
    }

    private int Reserve(int length)
    {
        var at = _used;
        _used += length;
        if (_used > s_arena!.Length) Array.Resize(ref s_arena, Math.Max(_used, 2 * s_arena.Length));
        return at;
    }

    public void Run()
    {
        Span<NativeValue> results = stackalloc NativeValue[MaxResults];
        Discard(results[..Invoke(results)]);
    }

    public Tensor Tensor()
    {
        Span<NativeValue> results = stackalloc NativeValue[MaxResults];
        Invoke(results);
        return ToTensor(results[0]);
    }

    public Tensor[] Tensors()
    {
        Span<NativeValue> results = stackalloc NativeValue[MaxResults];
        var count = Invoke(results);
        if (count == 1 && results[0].Tag == ValueTag.TensorList) return ToList(results[0]);
        var tensors = new Tensor[count];
        for (var k = 0; k < count; k++) tensors[k] = ToTensor(results[k]);
        return tensors;
    }

    public long Int()
    {
        Span<NativeValue> results = stackalloc NativeValue[MaxResults];
        Invoke(results);
        return results[0].Bits;
    }

    public bool Bool() => Int() != 0;

    public Tensor[] AnyResults()
    {
        Span<NativeValue> results = stackalloc NativeValue[MaxResults];
        var count = Invoke(results);
        var tensors = new List<Tensor>();
        for (var k = 0; k < count; k++)
        {
            switch (results[k].Tag)
            {
                case ValueTag.TensorList: tensors.AddRange(ToList(results[k])); break;
                case ValueTag.Tensor: tensors.Add(ToTensor(results[k])); break;
                case ValueTag.Int or ValueTag.Bool: tensors.Add(Torch.Tensor.From([results[k].Bits])); break;
                case ValueTag.Double: tensors.Add(Torch.Tensor.From([BitConverter.Int64BitsToDouble(results[k].Bits)])); break;
            }
        }
        return [.. tensors];
    }

    private static void Discard(Span<NativeValue> results)
    {
        foreach (var result in results)
        {
            if (result.Tag == ValueTag.Tensor && result.Bits != 0) Native.gt_tensor_free((nint)result.Bits);
            else if (result.Tag == ValueTag.TensorList) foreach (var tensor in ToList(result)) tensor.Dispose();
        }
    }

    private int Invoke(scoped Span<NativeValue> results)
    {
        var n = MaxResults;
        int status;
        fixed (long* arena = s_arena)
        fixed (NativeValue* values = _values)
        fixed (NativeValue* outputs = results)
        {
            for (var k = 0; k < _count; k++)
            {
                if (values[k].Tag is >= ValueTag.String and <= ValueTag.TensorList) values[k].Bits = (long)(arena + values[k].Bits);
            }
            status = Native.gt_call(_op.Handle, values, _count, outputs, &n);
        }
        var failure = status == 0 ? null : Failure();
        Array.Clear(_alive, 0, _count);
        if (failure is not null) throw failure;
        return n;
    }

    private TorchException Failure()
    {
        var error = Native.Error;
        var shapes = _alive.Take(_count).SelectMany(item => item switch
        {
            Tensor tensor => [Describe(tensor)],
            IReadOnlyList<Tensor?> list => list.Take(4).Select(Describe),
            _ => Enumerable.Empty<string>(),
        });
        return new TorchException($"{_op.FullName}({string.Join(", ", shapes)}): {error}");
    }

    private static string Describe(Tensor? tensor) =>
        tensor is null ? "none" : $"{tensor.Type.ToString().ToLowerInvariant()}[{string.Join("×", tensor.Shape)}]";

    private static Tensor ToTensor(NativeValue value) => new((nint)value.Bits);

    private static Tensor[] ToList(NativeValue value)
    {
        var tensors = new Tensor[value.Count];
        for (var k = 0; k < tensors.Length; k++) tensors[k] = new Tensor(((nint*)value.Bits)[k]);
        Native.gt_free((nint)value.Bits);
        return tensors;
    }
}
