using System.Security.Cryptography;
using System.Text;

namespace Graft.Data;

/// <summary>What a run was begun with: names, classes and stored bytes of its pictures in one digest.</summary>
internal static class DataFingerprint
{
    private static readonly byte[] s_unreadable = new byte[SHA256.HashSizeInBytes];

    /// <summary>The digest of named parts, such as train and val. A picture that cannot be read counts by its name.</summary>
    public static string Of(CancellationToken cancel, params (string Part, Dataset? Data)[] parts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (part, data) in parts)
        {
            if (data is null) continue;
            var digests = new byte[data.Count][];
            Parallel.For(0, data.Count, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Cores.Count },
                k => digests[k] = data.Digest(k) ?? s_unreadable);
            for (var k = 0; k < data.Count; k++)
            {
                hash.AppendData(Encoding.UTF8.GetBytes($"{part}\t{data.Name(k)}\t{data.Targets.Describe(k)}\n"));
                hash.AppendData(digests[k]);
            }
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
