using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace Graft.Data;

/// <summary>Where the items of a dataset come from: pictures, sentences. Safe to read from several threads.</summary>
public abstract class ItemSource
{
    /// <summary>What to call an item in messages and results: a picture's path within the dataset, a sentence's file and line.</summary>
    public abstract string Name(int index);

    /// <summary>The stored bytes: what identifies an item.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public abstract byte[] Read(int index);

    private readonly ConcurrentDictionary<int, ((long, long) State, byte[] Hash)> _digests = new();

    /// <summary>What changes with an item's file, as far as can be seen without reading it.</summary>
    private protected virtual (long, long) State(int index) => default;

    /// <summary>The sha256 of the stored bytes, computed once while the file stays as it is; null where they cannot be read.</summary>
    internal byte[]? Digest(int index)
    {
        if (KnownDigest(index) is { } known) return known;
        try
        {
            var state = State(index);
            var hash = SHA256.HashData(Read(index));
            _digests[index] = (state, hash);
            return hash;
        }
        catch (Exception reason) when (reason is PictureException or IOException or UnauthorizedAccessException or InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>The digest where it has been computed and the file is still as it was.</summary>
    internal byte[]? KnownDigest(int index) => _digests.TryGetValue(index, out var known) && known.State == State(index) ? known.Hash : null;
}
