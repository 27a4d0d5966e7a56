using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Graft.Torch;

/// <summary>
/// A file mapped into memory, privately: tensors on it share the page cache, and writing to one copies the page (the file
/// never changes). The mapping lives as long as its last tensor.
/// </summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly SafeMemoryMappedViewHandle _view;
    private readonly byte* _start;

    /// <summary>Maps a file.</summary>
    /// <exception cref="IOException">It cannot be opened, or is empty.</exception>
    public MappedFile(string path)
    {
        Path = path;
        try
        {
            using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            Length = RandomAccess.GetLength(handle);
            if (Length == 0) throw new IOException($"{path}: the file is empty");
            using var file = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.CopyOnWrite, HandleInheritability.None,
                leaveOpen: true);
            // The accessor only carries the handle, which unmaps when its last user lets go.
            _view = file.CreateViewAccessor(0, Length, MemoryMappedFileAccess.CopyOnWrite).SafeMemoryMappedViewHandle;
        }
        catch (Exception reason) when (reason is UnauthorizedAccessException or NotSupportedException)
        {
            throw new IOException($"{path}: {(Directory.Exists(path) ? "it is a folder" : reason.Message)}", reason);
        }
        _start = (byte*)_view.DangerousGetHandle();
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>A part of the file. Valid until this is disposed.</summary>
    public ReadOnlySpan<byte> Bytes(long offset, int count)
    {
        ObjectDisposedException.ThrowIf(_view.IsClosed, this);
        if (offset < 0 || count < 0 || offset > Length - count) throw new IOException($"{Path}: {count} bytes at {offset} lie beyond the end ({Length})");
        return new ReadOnlySpan<byte>(_start + offset, count);
    }

    /// <summary>A tensor on the file's bytes.</summary>
    /// <exception cref="IOException">It would reach beyond the end.</exception>
    public Tensor Tensor(long offset, DType type, ReadOnlySpan<long> shape)
    {
        long bytes = type.Size();
        foreach (var size in shape) bytes = size >= 0 ? checked(bytes * size) : throw new IOException($"{Path}: a tensor with a size of {size}");
        if (offset < 0 || bytes > Length - offset) throw new IOException($"{Path}: a tensor of {bytes} bytes at {offset} lies beyond the end ({Length})");
        var held = false;
        _view.DangerousAddRef(ref held);
        var context = GCHandle.ToIntPtr(GCHandle.Alloc(_view));
        nint result;
        int status;
        fixed (long* sizes = shape) status = Native.gt_tensor_on(_start + offset, (int)type, sizes, shape.Length, &Release, context, out result);
        if (status == 0) return new Tensor(result);
        Let(context);
        throw new IOException($"{Path}: {Native.Error}");
    }

    // Called by whatever thread drops a tensor's last reference.
    [UnmanagedCallersOnly]
    private static void Release(nint context) => Let(context);

    private static void Let(nint context)
    {
        var handle = GCHandle.FromIntPtr(context);
        ((SafeMemoryMappedViewHandle)handle.Target!).DangerousRelease();
        handle.Free();
    }

    /// <inheritdoc/>
    public void Dispose() => _view.Dispose();
}
