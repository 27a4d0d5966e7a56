using System.Numerics;
using System.Runtime.CompilerServices;

namespace Graft.Inference.Text;

/// <summary>Pieces by their beginnings, in one flat table of hashes: a step for each character, whatever the alphabet.</summary>
internal sealed class PieceTrie
{
    public const int Root = 0;

    private ulong[] _keys = new ulong[1 << 10];
    private int[] _next = new int[1 << 10];
    private int[] _ids = [-1];
    private int _nodes = 1;

    /// <summary>A node that no piece reaches, to stand pieces of another sort on.</summary>
    public int NewRoot() => NewNode();

    public void Add(ReadOnlySpan<char> piece, int id, int root = Root)
    {
        foreach (var c in piece)
        {
            var next = Step(root, c);
            if (next < 0)
            {
                next = NewNode();
                Insert(Key(root, c), next);
            }
            root = next;
        }
        _ids[root] = id;
    }

    /// <summary>The node behind a character; −1: no piece goes on so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Step(int node, char c)
    {
        var key = Key(node, c);
        var keys = _keys;
        for (var at = Slot(key);; at = at + 1 & keys.Length - 1)
        {
            if (keys[at] == key) return _next[at];
            if (keys[at] == 0) return -1;
        }
    }

    /// <summary>The piece that ends at a node; −1: none.</summary>
    public int Id(int node) => _ids[node];

    /// <summary>The whole of a text as one piece; −1: it is none.</summary>
    public int Find(ReadOnlySpan<char> text)
    {
        var node = Root;
        foreach (var c in text)
        {
            node = Step(node, c);
            if (node < 0) return -1;
        }
        return Id(node);
    }

    // Never 0, which is an empty slot.
    private static ulong Key(int node, char c) => (ulong)(uint)node << 16 | c | 1UL << 63;

    private int Slot(ulong key) => (int)(key * 0x9e37_79b9_7f4a_7c15 >> BitOperations.LeadingZeroCount((ulong)_keys.Length - 1));

    private int NewNode()
    {
        if (_nodes == _ids.Length) Array.Resize(ref _ids, _nodes * 2);
        _ids[_nodes] = -1;
        if (_nodes * 2 > _keys.Length) Grow();
        return _nodes++;
    }

    private void Insert(ulong key, int next)
    {
        var at = Slot(key);
        while (_keys[at] != 0) at = at + 1 & _keys.Length - 1;
        (_keys[at], _next[at]) = (key, next);
    }

    private void Grow()
    {
        var (keys, next) = (_keys, _next);
        (_keys, _next) = (new ulong[keys.Length * 2], new int[keys.Length * 2]);
        for (var k = 0; k < keys.Length; k++)
        {
            if (keys[k] != 0) Insert(keys[k], next[k]);
        }
    }
}
