namespace Graft.Torch;

/// <summary>
/// A file mapped into memory, privately: tensors on it share the page cache, and writing to one copies the page (the file
/// never changes). The mapping lives as long as its last tensor.
/// </summary>
public sealed unsafe class MappedFile : IDisposable
{
    private nint _mapping;
    private readonly nint _start;

    /// <summary>Maps a file.</summary>
    /// <exception cref="IOException">It cannot be opened, or is empty.</exception>
    public MappedFile(string path)
    {
        Path = path;
        if (Native.gt_map_open(path, out _mapping, out _start, out var length) != 0) throw new IOException($"{path}: {Native.Error}");
        Length = length;
    }

    /// <summary>Frees the mapping's handle if it was not disposed.</summary>
    ~MappedFile() => Free();

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>A part of the file. Valid until this is disposed.</summary>
    public ReadOnlySpan<byte> Bytes(long offset, int count)
    {
        ObjectDisposedException.ThrowIf(_mapping == 0, this);
        if (offset < 0 || count < 0 || offset > Length - count) throw new IOException($"{Path}: {count} bytes at {offset} lie beyond the end ({Length})");
        return new ReadOnlySpan<byte>((byte*)_start + offset, count);
    }

    /// <summary>A tensor on the file's bytes.</summary>
    /// <exception cref="IOException">It would reach beyond the end.</exception>
    public Tensor Tensor(long offset, DType type, ReadOnlySpan<long> shape)
    {
        ObjectDisposedException.ThrowIf(_mapping == 0, this);
        nint result;
        int status;
        fixed (long* sizes = shape) status = Native.gt_map_tensor(_mapping, offset, (int)type, sizes, shape.Length, out result);
        return status == 0 ? new Tensor(result) : throw new IOException($"{Path}: {Native.Error}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (Interlocked.Exchange(ref _mapping, 0) is var mapping and not 0) Native.gt_map_close(mapping);
    }
}
