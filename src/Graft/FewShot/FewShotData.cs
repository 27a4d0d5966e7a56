using Graft.Data;

namespace Graft.FewShot;

/// <summary>Training, validation and test classes, which share none.</summary>
internal sealed record FewShotData(EpisodePool Train, EpisodePool? Validation, EpisodePool Test)
{
    /// <summary>What was noticed when the datasets were read.</summary>
    public DatasetNotes Notes { get; private init; } = DatasetNotes.None;

    /// <summary>A digest of the names and bytes of the pictures of every part.</summary>
    public string Fingerprint { get; private init; } = "";

    /// <summary>
    /// Opens pictures for few-shot training. A folder with train/ and test/ (and val/) keeps those parts where their classes
    /// differ, as few-shot benchmarks have it; any other dataset has its classes cut by the seed.
    /// </summary>
    /// <param name="path">A dataset.</param>
    /// <param name="test">A second one for the test classes, or null.</param>
    /// <param name="preprocessing">Size and steps.</param>
    /// <param name="byGroup">Cut whole groups (alphabets) and not single classes.</param>
    /// <param name="dropSeen">Leave test classes out that training has, or whose group it has.</param>
    /// <param name="seed">Of the cut.</param>
    /// <param name="progress">Pictures read, of all.</param>
    /// <param name="cancel">Stops.</param>
    /// <exception cref="GraftException">A class stands in two parts, or nothing is left.</exception>
    public static FewShotData Open(string path, string? test, Preprocessing preprocessing, bool byGroup = false, bool dropSeen = false,
        long seed = 0, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        var parts = new List<(string, Dataset?)>();
        EpisodePool Read(Dataset data, bool? grey)
        {
            parts.Add(($"part {parts.Count}", data));
            return EpisodePool.Read(data, preprocessing, grey, progress, cancel);
        }
        var opened = Open(path, test, Read, byGroup, dropSeen, seed);
        return opened with { Fingerprint = DataFingerprint.Of(cancel, [.. parts]) };
    }

    private static FewShotData Open(string path, string? test, Func<Dataset, bool?, EpisodePool> read, bool byGroup, bool dropSeen, long seed)
    {
        EpisodePool Read(Dataset data, bool? grey = null) => read(data, grey);
        if (test is not null)
        {
            var (own, other) = (DatasetReader.Open(path, TargetKind.Classes).TrainAlone, DatasetReader.Open(test, TargetKind.Classes).TrainAlone);
            var train = Read(own);
            return Checked(train, null, Read(other, train.Channels == 1), dropSeen) with { Notes = own.Notes.With(other.Notes) };
        }
        var parts = DatasetReader.OpenParts(path, null, TargetKind.Classes);
        var (first, middle, last) = (parts.Part(Parts.Train), parts.Part(Parts.Validation), parts.Part(Parts.Test));
        if (first is not null && (last ?? middle) is { } second && !first.Classes.SequenceEqual(second.Classes))
        {
            var train = Read(first);
            var validation = last is not null && middle is not null ? Read(middle, train.Channels == 1) : null;
            return Checked(train, validation, Read(second, train.Channels == 1), dropSeen) with { Notes = parts.Notes };
        }
        var all = parts.ToSplits().TrainAlone;
        var (rest, held) = Read(all).Split(0.3, seed, byGroup);
        return new FewShotData(rest, null, held) { Notes = all.Notes };
    }

    private static FewShotData Checked(EpisodePool train, EpisodePool? validation, EpisodePool test, bool dropSeen)
    {
        if (dropSeen)
        {
            test = test.WithoutSeen(train);
            if (test.Classes.Count == 0) throw new GraftException("no test class is left: training has them all, or their groups");
        }
        EpisodePool.CheckDisjoint(train, test);
        if (validation is null) return new FewShotData(train, null, test);
        EpisodePool.CheckDisjoint(train, validation);
        EpisodePool.CheckDisjoint(validation, test);
        return new FewShotData(train, validation, test);
    }
}
