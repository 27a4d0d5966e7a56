using System.Buffers.Binary;
using System.Text;

namespace Graft.Models.Checkpoints;

/// <summary>A class or function that a pickle names.</summary>
internal sealed record PickleGlobal(string Module, string Name)
{
    public override string ToString() => $"{Module}.{Name}";
}

/// <summary>An object of a class whose code would have to run: a placeholder, whatever the pickle puts into it. No tensor can be made of
/// it.</summary>
internal sealed record PickledObject(PickleGlobal Class);

/// <summary>
/// Python's pickle, as far as tensors need it (protocols 2 to 5): a stack machine that builds numbers, texts, lists, tuples and
/// dictionaries. It never calls anything: what a pickle wants called goes to <paramref name="call"/>, which knows what it allows.
/// </summary>
/// <param name="call">A function or class with its arguments; a class of which an object is made without a call too.</param>
/// <param name="persistent">What stands outside the pickle.</param>
internal sealed class Pickle(Func<PickleGlobal, object?[], object?> call, Func<object?, object?> persistent)
{
    // Far above any checkpoint's, far below what would fill the memory.
    private const int StackLimit = 10_000_000;

    private static readonly object s_mark = new(), s_none = new();

    private readonly List<object?> _stack = [];
    private readonly Dictionary<int, object?> _memo = [];

    /// <summary>Reads one pickle from the start of <paramref name="data"/>; <paramref name="used"/> is its length.</summary>
    /// <exception cref="InvalidDataException">Malformed, or it names something that is not allowed.</exception>
    public object? Read(ReadOnlySpan<byte> data, out int used)
    {
        var reader = new Reader(data);
        try
        {
            while (true)
            {
                var op = reader.Byte();
                if (op == (byte)'.') { used = reader.At; return Pop(); }
                Step((char)op, ref reader);
                if (_stack.Count > StackLimit) throw new InvalidDataException("the pickle's stack grows without end");
            }
        }
        catch (Exception reason) when (reason is ArgumentOutOfRangeException or InvalidCastException or KeyNotFoundException
            or NullReferenceException or OverflowException or IndexOutOfRangeException)
        {
            throw new InvalidDataException($"the pickle is malformed at byte {reader.At}", reason);
        }
    }

    private ref struct Reader(ReadOnlySpan<byte> data)
    {
        private readonly ReadOnlySpan<byte> _data = data;
        public int At;

        public byte Byte() => Bytes(1)[0];

        public ReadOnlySpan<byte> Bytes(long count)
        {
            if (count < 0 || count > _data.Length - At) throw new InvalidDataException("the pickle is cut off");
            var piece = _data.Slice(At, (int)count);
            At += (int)count;
            return piece;
        }

        public int Int() => BinaryPrimitives.ReadInt32LittleEndian(Bytes(4));
        public string Text(long length) => Encoding.UTF8.GetString(Bytes(length));

        public string Line()
        {
            var end = _data[At..].IndexOf((byte)'\n');
            if (end < 0) throw new InvalidDataException("the pickle is cut off");
            var text = Text(end);
            At++;
            return text;
        }
    }

    private object? Pop()
    {
        var top = _stack[^1];
        _stack.RemoveAt(_stack.Count - 1);
        return top;
    }

    private object?[] PopMark()
    {
        var mark = _stack.LastIndexOf(s_mark);
        if (mark < 0) throw new InvalidDataException("the pickle closes what it never opened");
        var items = _stack.GetRange(mark + 1, _stack.Count - mark - 1).ToArray();
        _stack.RemoveRange(mark, _stack.Count - mark);
        return items;
    }

    private void Push(object? value) => _stack.Add(value);

    private void Step(char op, ref Reader reader)
    {
        switch (op)
        {
            case '\x80': reader.Byte(); break;
            case '\x95': reader.Bytes(8); break;
            case '}': Push(new Dictionary<object, object?>()); break;
            case ']': Push(new List<object?>()); break;
            case ')': Push(Array.Empty<object?>()); break;
            case '\x8f': Push(new List<object?>()); break;
            case '\x91': Push(PopMark().ToList()); break;
            case '(': Push(s_mark); break;
            case '0': Pop(); break;
            case '1': PopMark(); break;
            case '2': Push(_stack[^1]); break;
            case 'N': Push(null); break;
            case '\x88': Push(true); break;
            case '\x89': Push(false); break;
            case 'J': Push((long)reader.Int()); break;
            case 'K': Push((long)reader.Byte()); break;
            case 'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(reader.Bytes(2))); break;
            case '\x8a': Push(Long(reader.Bytes(reader.Byte()))); break;
            case '\x8b': Push(Long(reader.Bytes(reader.Int()))); break;
            case 'G': Push(BinaryPrimitives.ReadDoubleBigEndian(reader.Bytes(8))); break;
            case 'X': Push(reader.Text(BinaryPrimitives.ReadUInt32LittleEndian(reader.Bytes(4)))); break;
            case '\x8c': Push(reader.Text(reader.Byte())); break;
            case '\x8d': Push(reader.Text(BinaryPrimitives.ReadInt64LittleEndian(reader.Bytes(8)))); break;
            case 'U': Push(reader.Text(reader.Byte())); break;
            case 'T': Push(reader.Text(reader.Int())); break;
            case 'C': Push(reader.Bytes(reader.Byte()).ToArray()); break;
            case 'B': Push(reader.Bytes(BinaryPrimitives.ReadUInt32LittleEndian(reader.Bytes(4))).ToArray()); break;
            case '\x8e' or '\x96': Push(reader.Bytes(BinaryPrimitives.ReadInt64LittleEndian(reader.Bytes(8))).ToArray()); break;
            case '\x85': Push(new[] { Pop() }); break;
            case '\x86': { var b = Pop(); Push(new[] { Pop(), b }); break; }
            case '\x87': { var (c, b) = (Pop(), Pop()); Push(new[] { Pop(), b, c }); break; }
            case 't': Push(PopMark()); break;
            case 'a': { var item = Pop(); Append([item]); break; }
            case 'e' or '\x90': Append(PopMark()); break;
            case 's': { var (value, key) = (Pop(), Pop()); Set([key, value]); break; }
            case 'u': Set(PopMark()); break;
            case 'q': _memo[reader.Byte()] = _stack[^1]; break;
            case 'r': _memo[reader.Int()] = _stack[^1]; break;
            case '\x94': _memo[_memo.Count] = _stack[^1]; break;
            case 'h': Push(_memo[reader.Byte()]); break;
            case 'j': Push(_memo[reader.Int()]); break;
            case 'c': { var module = reader.Line(); Push(Global(module, reader.Line())); break; }
            case '\x93': { var name = (string)Pop()!; Push(Global((string)Pop()!, name)); break; }
            case 'R': { var arguments = (object?[])Pop()!; Push(call((PickleGlobal)Pop()!, arguments)); break; }
            case '\x81': { var arguments = (object?[])Pop()!; Push(Make((PickleGlobal)Pop()!, arguments)); break; }
            case '\x92': { var (_, arguments) = (Pop(), (object?[])Pop()!); Push(Make((PickleGlobal)Pop()!, arguments)); break; }
            case 'Q': Push(persistent(Pop())); break;
            // State set on an object (an OrderedDict's _metadata): tensors need none of it.
            case 'b': Pop(); break;
            default: throw new InvalidDataException($"the pickle uses opcode 0x{(int)op:x2} at byte {reader.At - 1}, which tensors never need");
        }
    }

    // Above 64 bits: the states of random generators. Nobody reads them.
    private static object Long(ReadOnlySpan<byte> bytes) => bytes.Length <= 8 ? (long)new System.Numerics.BigInteger(bytes) : bytes.ToArray();

    private static PickleGlobal Global(string module, string name) => PickleNames.Runs(module, name)
        ? throw PickleNames.Refusal(new PickleGlobal(module, name)) : new PickleGlobal(module, name);

    // An object made without a call: cls.__new__(cls, …) runs no code of the file's choosing.
    private object? Make(PickleGlobal type, object?[] arguments) => PickleNames.IsContainer(type) ? call(type, arguments) : new PickledObject(type);

    private void Append(object?[] items)
    {
        if (_stack[^1] is not PickledObject) ((List<object?>)_stack[^1]!).AddRange(items);
    }

    private void Set(object?[] items)
    {
        if (_stack[^1] is PickledObject) return;
        var into = (Dictionary<object, object?>)_stack[^1]!;
        for (var k = 0; k + 1 < items.Length; k += 2) into[items[k] ?? s_none] = items[k + 1];
    }
}
