using System.Buffers.Binary;
using System.Numerics;
using Google.Protobuf;

namespace Graft.Learning;

/// <summary>
/// TensorBoard's event files: records of length, masked CRC-32C, an <c>Event</c> message, and its CRC
/// (tensorflow/core/lib/io/record_writer, tensorflow/core/util/event.proto).
/// </summary>
internal sealed class EventWriter : IDisposable
{
    private readonly FileStream _file;

    /// <summary>A new file in a folder; one for each start of a run, as TensorBoard expects.</summary>
    public EventWriter(string folder)
    {
        Directory.CreateDirectory(folder);
        var seconds = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
        _file = new FileStream(Path.Combine(folder, $"events.out.tfevents.{seconds:0000000000.000}.{Environment.ProcessId}.graft"), FileMode.Create,
            FileAccess.Write, FileShare.Read);
        Write(output => { output.WriteTag(3, WireFormat.WireType.LengthDelimited); output.WriteString("brain.Event:2"); });
    }

    /// <summary>Whether a file is named as those that this writes.</summary>
    internal static bool IsOne(string path) => Path.GetFileName(path) is var name
        && name.StartsWith("events.out.tfevents.", StringComparison.Ordinal) && name.EndsWith(".graft", StringComparison.Ordinal);

    /// <summary>A number at a step.</summary>
    public void Scalar(string tag, double value, long step)
    {
        var item = Message(output =>
        {
            output.WriteTag(1, WireFormat.WireType.LengthDelimited);
            output.WriteString(tag);
            output.WriteTag(2, WireFormat.WireType.Fixed32);
            output.WriteFloat((float)value);
        });
        var summary = Message(output => { output.WriteTag(1, WireFormat.WireType.LengthDelimited); output.WriteBytes(ByteString.CopyFrom(item)); });
        Write(output =>
        {
            output.WriteTag(2, WireFormat.WireType.Varint);
            output.WriteInt64(step);
            output.WriteTag(5, WireFormat.WireType.LengthDelimited);
            output.WriteBytes(ByteString.CopyFrom(summary));
        });
        _file.Flush();
    }

    private static byte[] Message(Action<CodedOutputStream> write)
    {
        using var memory = new MemoryStream();
        using (var output = new CodedOutputStream(memory, leaveOpen: true)) write(output);
        return memory.ToArray();
    }

    private void Write(Action<CodedOutputStream> fields)
    {
        var data = Message(output =>
        {
            output.WriteTag(1, WireFormat.WireType.Fixed64);
            output.WriteDouble(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0);
            fields(output);
        });
        Span<byte> head = stackalloc byte[12];
        BinaryPrimitives.WriteInt64LittleEndian(head, data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(head[8..], Masked(head[..8]));
        _file.Write(head);
        _file.Write(data);
        BinaryPrimitives.WriteUInt32LittleEndian(head, Masked(data));
        _file.Write(head[..4]);
    }

    private static uint Masked(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var value in data) crc = BitOperations.Crc32C(crc, value);
        crc = ~crc;
        return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
