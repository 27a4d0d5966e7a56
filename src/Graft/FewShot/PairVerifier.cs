using Graft.Data;
using Graft.Inference;

namespace Graft.FewShot;

/// <summary>Whether two pictures show the same thing.</summary>
public sealed record Verification(string First, string Second, double Distance, double? Threshold)
{
    /// <summary>Nearer than the threshold; null where there is none.</summary>
    public bool? Same => Threshold is { } limit ? Distance <= limit : null;
}

/// <summary>Same or different, by the distance of two pictures' features; the threshold comes from labelled pairs.</summary>
public sealed class PairVerifier(PictureEncoder encoder, DistanceKind distance = DistanceKind.Cosine)
{
    private const int MostPairs = 200_000;

    /// <summary>Pictures to calibrate on that could not be read.</summary>
    public IReadOnlyList<BrokenPicture> Broken { get; private set; } = [];

    /// <summary>Errors by threshold over all pairs of labelled pictures (drawn at random where they are too many).</summary>
    public ErrorCurve Calibrate(Dataset data, long seed = 0)
    {
        var (features, indices, broken) = encoder.Encode(data);
        Broken = broken;
        var count = indices.Length;
        var labels = indices.Select(k => data.Labels[k]).ToArray();
        var (same, different) = (new List<double>(), new List<double>());
        if ((long)count * (count - 1) / 2 <= MostPairs)
        {
            var apart = encoder.Apart(features, features, distance);
            for (var a = 0; a < count; a++)
            {
                for (var b = a + 1; b < count; b++) (labels[a] == labels[b] ? same : different).Add(apart[a * count + b]);
            }
            return new ErrorCurve(same, different);
        }
        // As many of each kind, so that rare same pairs are not left out.
        var rng = new Rng(seed, 21);
        var members = Enumerable.Range(0, count).GroupBy(k => labels[k]).Where(group => group.Count() > 1).Select(group => group.ToArray()).ToArray();
        const int Chunk = 500, Chunks = 40;
        for (var chunk = 0; chunk < Chunks; chunk++)
        {
            var pairs = new List<(int A, int B)>();
            while (pairs.Count < Chunk)
            {
                if (pairs.Count % 2 == 0 && members.Length > 0)
                {
                    var group = members[rng.Below(members.Length)];
                    var (a, b) = (group[rng.Below(group.Length)], group[rng.Below(group.Length)]);
                    if (a != b) pairs.Add((a, b));
                }
                else if ((rng.Below(count), rng.Below(count)) is var (a, b) && labels[a] != labels[b]) pairs.Add((a, b));
            }
            var apart = encoder.ApartInPairs(Rows(pairs.Select(pair => pair.A)), Rows(pairs.Select(pair => pair.B)), distance);
            for (var k = 0; k < pairs.Count; k++) (labels[pairs[k].A] == labels[pairs[k].B] ? same : different).Add(apart[k]);
        }
        return new ErrorCurve(same, different);

        float[] Rows(IEnumerable<int> chosen) => [.. chosen.SelectMany(k => features[(k * encoder.Size)..((k + 1) * encoder.Size)])];
    }

    /// <summary>Compares two pictures.</summary>
    /// <exception cref="GraftException">One cannot be read.</exception>
    public Verification Compare(string first, string second, double? threshold = null)
    {
        var (features, indices, broken) = encoder.Encode(Pictures.Of([first, second]));
        if (broken.Count > 0 || indices.Length < 2) throw new GraftException($"{broken[0].File}: {broken[0].Error}");
        return new Verification(first, second, encoder.Apart(features[..encoder.Size], features[encoder.Size..], distance)[0], threshold);
    }
}
