using System.IO.MemoryMappedFiles;

namespace Graft.Inference.Search;

/// <summary>A file's bytes where the disk's cache has them: nothing is read before it is looked at.</summary>
internal sealed unsafe class MappedBytes : IDisposable
{
    private readonly MemoryMappedFile? _file;
    private readonly MemoryMappedViewAccessor? _view;

    public MappedBytes(string path)
    {
        Length = new FileInfo(path).Length;
        // Nothing cannot be mapped.
        if (Length == 0) return;
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* at = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref at);
        Data = (nint)at;
    }

    public nint Data { get; }

    public long Length { get; }

    /// <exception cref="InvalidDataException">They are not within the file.</exception>
    public ReadOnlySpan<byte> Bytes(long from, int length) => from >= 0 && length >= 0 && from <= Length - length
        ? new((byte*)Data + from, length) : throw new InvalidDataException("it speaks of bytes that it does not have");

    public void Dispose()
    {
        if (_view is null) return;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file!.Dispose();
    }
}
