using System.Text;

namespace Graft.Cli;

/// <summary>stdout could not be written: a full disk behind it, most of all.</summary>
internal sealed class OutputException(Exception reason) : GraftException($"stdout cannot be written: {reason.Message.TrimEnd('.')}", reason);

/// <summary>The process's stdout and stderr: what goes wrong with the first has a name of its own, what goes wrong with the second is nobody's to hear.</summary>
internal sealed class StandardStream(Stream inner, bool silent) : Stream
{
    /// <summary>Puts both in the console's place.</summary>
    public static void Use()
    {
        // The console's own encoding has no byte order mark.
        Console.SetOut(Writer(Console.OpenStandardOutput(), Console.Out.Encoding, silent: false));
        Console.SetError(Writer(Console.OpenStandardError(), Console.Error.Encoding, silent: true));
    }

    private static StreamWriter Writer(Stream stream, Encoding encoding, bool silent) => new(new StandardStream(stream, silent), encoding, 256) { AutoFlush = true };

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            inner.Write(buffer);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            if (!silent) throw new OutputException(reason);
        }
    }

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public override void Flush() { }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
}
