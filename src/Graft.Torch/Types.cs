namespace Graft.Torch;

// What has no words of its own is named as in libtorch.
#pragma warning disable CS1591

/// <summary>Element types; the numbers are libtorch's.</summary>
public enum DType
{
    UInt8 = 0, Int8 = 1, Int16 = 2, Int32 = 3, Int64 = 4, Float16 = 5, Float32 = 6, Float64 = 7, Bool = 11, BFloat16 = 15,
}

/// <summary>How a 4-dimensional tensor lies in memory; the numbers are libtorch's.</summary>
public enum MemoryFormat
{
    Contiguous = 0, Preserve = 1, ChannelsLast = 2,
}

/// <summary>How a loss is reduced; the numbers are libtorch's.</summary>
public enum Reduction
{
    None = 0, Mean = 1, Sum = 2,
}
#pragma warning restore CS1591

/// <summary>Sizes of element types.</summary>
internal static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Size(this DType type) => type switch
    {
        DType.UInt8 or DType.Int8 or DType.Bool => 1,
        DType.Int16 or DType.Float16 or DType.BFloat16 => 2,
        DType.Int32 or DType.Float32 => 4,
        DType.Int64 or DType.Float64 => 8,
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    /// <summary>Whether it holds fractions: only such tensors take gradients.</summary>
    public static bool IsFloating(this DType type) => type is DType.Float16 or DType.BFloat16 or DType.Float32 or DType.Float64;

    /// <summary>The element type that holds a C# type.</summary>
    public static DType Of<T>() where T : unmanaged => typeof(T) switch
    {
        var t when t == typeof(float) => DType.Float32,
        var t when t == typeof(double) => DType.Float64,
        var t when t == typeof(long) => DType.Int64,
        var t when t == typeof(int) => DType.Int32,
        var t when t == typeof(short) => DType.Int16,
        var t when t == typeof(byte) => DType.UInt8,
        var t when t == typeof(sbyte) => DType.Int8,
        var t when t == typeof(bool) => DType.Bool,
        var t when t == typeof(Half) => DType.Float16,
        _ => throw new NotSupportedException($"no tensor holds {typeof(T).Name}"),
    };
}

/// <summary>Where a tensor lives: <c>cpu</c>, <c>cuda:0</c>.</summary>
public readonly record struct Device
{
    private const int CudaType = 1;
    private readonly int _code;

    private Device(int code) => _code = code;

    /// <summary>The processor.</summary>
    public static Device Cpu => default;

    /// <summary>A CUDA device by its index.</summary>
    public static Device Cuda(int index = 0) => new(CudaType << 8 | (index + 1));

    /// <summary>Whether it is a CUDA device.</summary>
    public bool IsCuda => _code >> 8 == CudaType;

    /// <summary>The index among devices of its kind.</summary>
    public int Index => Math.Max(0, (_code & 0xff) - 1);

    internal int Code => _code;

    internal static Device FromCode(int code) => code >> 8 == 0 ? Cpu : new Device(code);

    /// <summary>Reads <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>; checks that the device is there.</summary>
    /// <exception cref="GraftException">Not a device, or not present on this machine.</exception>
    public static Device Parse(string text)
    {
        if (text == "cpu") return Cpu;
        var number = text == "cuda" ? "0" : text.StartsWith("cuda:", StringComparison.Ordinal) ? text[5..] : "";
        if (!int.TryParse(number, out var index) || index < 0) throw new GraftException($"'{text}' is not a device: use cpu or cuda:0");
        var present = TorchRuntime.CudaDevices;
        if (index >= present)
            throw new GraftException($"device '{text}' is not here: this libtorch sees {present} CUDA device(s). Use --device cpu, or set LIBTORCH to a libtorch built with CUDA");
        return Cuda(index);
    }

    /// <inheritdoc/>
    public override string ToString() => IsCuda ? $"cuda:{Index}" : _code >> 8 == 0 ? "cpu" : $"device{_code >> 8}";
}

/// <summary>A number that keeps whether it was whole.</summary>
public readonly record struct Scalar
{
    internal readonly bool Whole;
    internal readonly long Integer;
    internal readonly double Real;

    private Scalar(bool whole, long integer, double real) => (Whole, Integer, Real) = (whole, integer, real);

    /// <summary>A whole number.</summary>
    public static implicit operator Scalar(long value) => new(true, value, value);

    /// <summary>A whole number.</summary>
    public static implicit operator Scalar(int value) => new(true, value, value);

    /// <summary>A real number.</summary>
    public static implicit operator Scalar(double value) => new(false, 0, value);
}
