using Graft.Torch;

namespace Graft.Learning;

/// <summary>Sentences of any lengths as one tensor.</summary>
internal static class TokenRows
{
    /// <summary>N×T numbers of tokens, filled up behind to the longest.</summary>
    /// <param name="rows">N sentences.</param>
    /// <param name="pad">The token that fills up.</param>
    public static Tensor Fill(IReadOnlyList<int[]> rows, int pad)
    {
        var longest = rows.Max(row => row.Length);
        var ids = new long[rows.Count * longest];
        Array.Fill(ids, pad);
        for (var k = 0; k < rows.Count; k++)
        {
            for (var t = 0; t < rows[k].Length; t++) ids[k * longest + t] = rows[k][t];
        }
        return Tensor.From(ids, rows.Count, longest);
    }
}
