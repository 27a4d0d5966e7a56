using System.Runtime.InteropServices;

namespace Graft.Torch;

/// <summary>One argument or result of a boxed call; mirrors <c>GtValue</c> in native/graft_torch.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeValue
{
    public ValueTag Tag;
    public int Count;
    public long Bits;
}

internal enum ValueTag
{
    None, Default, Tensor, Int, Double, Bool, String, IntList, DoubleList, BoolList, TensorList, Device,
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeMeta
{
    public fixed long Sizes[16];
    public fixed long Strides[16];
    public long Bytes;
    public int Dimensions;
    public int Type;
    public int Device;
    public int RequiresGrad;
    public int OwnsStorage;
}

internal static unsafe partial class Native
{
    private const string Lib = "graft_torch";

    [LibraryImport(Lib)] public static partial nint gt_error();
    [LibraryImport(Lib)] public static partial void gt_free(nint memory);
    [LibraryImport(Lib)] public static partial nint gt_version();
    [LibraryImport(Lib, StringMarshalling = StringMarshalling.Utf8)] public static partial nint gt_operator(string name, string overload);
    [LibraryImport(Lib)] public static partial nint gt_schema(nint op);
    [LibraryImport(Lib)] public static partial int gt_call(nint op, NativeValue* arguments, int count, NativeValue* results, int* resultCount);
    [LibraryImport(Lib)] public static partial void gt_tensor_free(nint tensor);
    [LibraryImport(Lib)] public static partial int gt_tensor_meta(nint tensor, NativeMeta* meta);
    [LibraryImport(Lib)] public static partial nint gt_tensor_data(nint tensor);
    [LibraryImport(Lib)] public static partial int gt_tensor_set_requires_grad(nint tensor, int on);
    [LibraryImport(Lib)] public static partial nint gt_tensor_grad(nint tensor);
    [LibraryImport(Lib)] public static partial int gt_tensor_set_grad(nint tensor, nint grad);
    [LibraryImport(Lib)] public static partial int gt_backward(nint* roots, nint* gradients, int count, int retainGraph, int createGraph);
    [LibraryImport(Lib)] public static partial int gt_grad(nint* outputs, int outputCount, nint* inputs, int inputCount, nint* gradients, int retainGraph, int createGraph, int allowUnused, nint* results);
    [LibraryImport(Lib)] public static partial int gt_grad_mode(int on);
    [LibraryImport(Lib)] public static partial nint gt_inference_begin();
    [LibraryImport(Lib)] public static partial void gt_inference_end(nint guard);
    [LibraryImport(Lib)] public static partial int gt_manual_seed(ulong seed);
    [LibraryImport(Lib)] public static partial void gt_set_threads(int count);
    [LibraryImport(Lib)] public static partial int gt_threads();
    [LibraryImport(Lib)] public static partial int gt_set_blas_threads(int count);
    [LibraryImport(Lib)] public static partial int gt_cuda_devices();
    [LibraryImport(Lib)] public static partial int gt_tensor_on(void* data, int type, long* sizes, int dimensions, delegate* unmanaged<nint, void> release, nint context, out nint result);
    [LibraryImport(Lib)] public static partial int gt_trace(nint* names, nint* tensors, int* isBuffer, int count, nint* inputs, int inputCount, delegate* unmanaged<nint*, int, nint*, int*, int> forward, out nint script);
    [LibraryImport(Lib)] public static partial nint gt_trace_suspend();
    [LibraryImport(Lib)] public static partial void gt_trace_resume(nint state);
    [LibraryImport(Lib)] public static partial int gt_script_optimize(nint script, out nint result);
    [LibraryImport(Lib)] public static partial int gt_script_run(nint script, nint* inputs, int inputCount, nint* results, int* resultCount);
    [LibraryImport(Lib, StringMarshalling = StringMarshalling.Utf8)] public static partial int gt_script_save(nint script, string path, string? name, string? text);
    [LibraryImport(Lib, StringMarshalling = StringMarshalling.Utf8)] public static partial int gt_script_load(string path, out nint script);
    [LibraryImport(Lib)] public static partial int gt_script_state(nint script, out nint names, out nint* tensors, out int count, out int parameters);
    [LibraryImport(Lib)] public static partial int gt_script_graph(nint script, out nint text, out nint* tensors, out int count);
    [LibraryImport(Lib)] public static partial void gt_script_free(nint script);

    public static string Error => Marshal.PtrToStringUTF8(gt_error()) ?? "";

    /// <summary>Reads a native string and frees it.</summary>
    public static string Take(nint text)
    {
        var read = Marshal.PtrToStringUTF8(text) ?? "";
        gt_free(text);
        return read;
    }

    /// <summary>Throws what libtorch last said on this thread when <paramref name="status"/> is not 0.</summary>
    public static void Check(int status, string what)
    {
        if (status != 0) throw new TorchException($"{what}: {Error}");
    }
}
