using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>A class of a pool: its name, the group it stands in (an alphabet, a super-class), its pictures' rows, and how they are turned.</summary>
/// <param name="Name">Such as Greek/character07.</param>
/// <param name="Group">Such as Greek; the class itself where there are no groups.</param>
/// <param name="Rows">Rows of the pool's pictures, in the order of their names.</param>
/// <param name="Turn">Quarter turns 0 … 3, and 4 more for mirrored before: rotations as new classes.</param>
public sealed record PoolClass(string Name, string Group, int[] Rows, int Turn = 0);

/// <summary>
/// Labelled pictures of one size, decoded once and held as bytes, from which episodes are drawn. Cutting a pool by classes
/// costs nothing: the pictures are shared.
/// </summary>
public sealed class EpisodePool
{
    private const long ByteLimit = int.MaxValue;

    private EpisodePool(Tensor pictures, IReadOnlyList<PoolClass> classes, Preprocessing preprocessing) => (Pictures, Classes, Preprocessing) =
        (pictures, classes, preprocessing);

    /// <summary>N×C×H×W bytes; C is 1 for grey pictures, else 3.</summary>
    public Tensor Pictures { get; }

    /// <summary>The classes.</summary>
    public IReadOnlyList<PoolClass> Classes { get; }

    /// <summary>What the pictures went through; its normalisation is still to come.</summary>
    public Preprocessing Preprocessing { get; }

    /// <summary>Groups of classes, in the order of their first class.</summary>
    public IReadOnlyList<string> Groups => [.. Classes.Select(found => found.Group).Distinct()];

    /// <summary>1 for grey pictures, else 3.</summary>
    public int Channels => (int)Pictures.Shape[1];

    /// <summary>Pictures that could not be read when the pool was made.</summary>
    public IReadOnlyList<BrokenPicture> Broken { get; private init; } = [];

    /// <summary>
    /// Reads a dataset. Where pictures lie deeper than one folder (Alphabet/character01/x.png), the deepest folder is the class
    /// and the folder above it the group.
    /// </summary>
    /// <param name="data">The pictures.</param>
    /// <param name="preprocessing">Size and steps; its normalisation is applied when episodes are drawn.</param>
    /// <param name="grey">One channel; null: where the first pictures have no colour.</param>
    /// <param name="progress">Pictures read, of all.</param>
    /// <param name="cancel">Stops.</param>
    /// <exception cref="GraftException">Nothing can be read, or the pictures do not fit in memory at this size.</exception>
    public static EpisodePool Read(Dataset data, Preprocessing preprocessing, bool? grey = null, Action<int, int>? progress = null,
        CancellationToken cancel = default)
    {
        var one = grey ?? Enumerable.Range(0, Math.Min(8, data.Count)).All(k => IsGrey(data, k * Math.Max(1, data.Count / 8)));
        var channels = one ? 1 : 3;
        var plane = preprocessing.Width * preprocessing.Height;
        var bytes = (long)data.Count * channels * plane;
        if (bytes > ByteLimit) throw new GraftException($"{data.Count} pictures of {preprocessing.Width}×{preprocessing.Height} take {bytes >> 20} MB, more than the {ByteLimit >> 20} MB that episodes are drawn from: give fewer classes, or a smaller --side");
        var steps = preprocessing with { Normalize = new Normalize([0, 0, 0], [1, 1, 1]), Steps = one
            ? [new Grayscale(), .. preprocessing.Steps.Where(step => step is not Grayscale)] : preprocessing.Steps };
        var pictures = TensorScope.Detach(Ops.Zeros([data.Count, channels, preprocessing.Height, preprocessing.Width], dtype: DType.UInt8));
        var errors = new string?[data.Count];
        var done = 0;
        Parallel.For(0, data.Count, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Cores.Count }, k =>
        {
            try { Write(data, k, steps, pictures, channels * plane); }
            catch (PictureException reason) { errors[k] = reason.Message; }
            if (Interlocked.Increment(ref done) is var count && count % 256 == 0) progress?.Invoke(count, data.Count);
        });
        var names = Enumerable.Range(0, data.Count).Select(data.Name).ToArray();
        var shared = SharedFolder(names);
        var nested = names.Select(name => Folder(name[shared..])).ToArray();
        var deep = nested.Select(folder => folder.Class).Distinct().Count() > data.Classes.Count;
        var classes = Enumerable.Range(0, data.Count).Where(k => errors[k] is null)
            .GroupBy(k => deep ? nested[k].Class : data.Classes[data.Labels[k]])
            .Select(rows => new PoolClass(rows.Key, deep ? nested[rows.First()].Group : rows.Key,
                [.. rows.OrderBy(k => data.Name(k), StringComparer.Ordinal)]))
            .OrderBy(found => found.Name, StringComparer.Ordinal).ToArray();
        if (classes.Length == 0) throw new GraftException($"none of the {data.Count} pictures could be read; the first: {data.Name(0)}: {errors[0]}");
        return new EpisodePool(pictures, classes, preprocessing with { Steps = steps.Steps })
        {
            Broken = [.. Enumerable.Range(0, errors.Length).Where(k => errors[k] is not null)
                .Select(k => new BrokenPicture(data.Name(k), errors[k]!))],
        };
    }

    private static bool IsGrey(Dataset data, int index)
    {
        try
        {
            using var picture = data.Decode(Math.Min(index, data.Count - 1));
            var pixels = picture.Pixels;
            for (var k = 0; k < pixels.Length; k += 3)
            {
                if (pixels[k] != pixels[k + 1] || pixels[k] != pixels[k + 2]) return false;
            }
            return true;
        }
        catch (PictureException)
        {
            return true;
        }
    }

    // The length of the folders that all names begin with, such as an archive's own.
    private static int SharedFolder(string[] names)
    {
        var length = names[0].LastIndexOf('/') + 1;
        while (length > 0 && !names.All(name => name.AsSpan().StartsWith(names[0].AsSpan(0, length)))) length = names[0].LastIndexOf('/', length - 2)
            + 1;
        return length;
    }

    private static (string Class, string Group) Folder(string name)
    {
        var folder = UnicodeNames.Compose(Path.GetDirectoryName(name)?.Replace('\\', '/') ?? "");
        return (folder, Path.GetDirectoryName(folder) is { Length: > 0 } above ? above : folder);
    }

    private static unsafe void Write(Dataset data, int index, Preprocessing steps, Tensor into, int size)
    {
        using var picture = data.Decode(index, steps);
        var values = new float[3 * steps.Width * steps.Height];
        var rng = new Rng(0);
        fixed (float* start = values) TransformRunner.Run(picture, steps, ref rng, true, start);
        var row = (byte*)into.Data + (long)index * size;
        for (var k = 0; k < size; k++) row[k] = (byte)Math.Clamp((int)(values[k] * 255 + 0.5f), 0, 255);
    }

    /// <summary>Some of the classes.</summary>
    public EpisodePool Where(Func<PoolClass, bool> chosen) => With([.. Classes.Where(chosen)]);

    private EpisodePool With(IReadOnlyList<PoolClass> classes) => new(Pictures, classes, Preprocessing) { Broken = Broken };

    /// <summary>The classes of both, of pictures of one size and preprocessing.</summary>
    /// <exception cref="GraftException">A class stands in both, or the pictures differ in size or colour.</exception>
    internal EpisodePool With(EpisodePool other)
    {
        if (!Pictures.Shape.Skip(1).SequenceEqual(other.Pictures.Shape.Skip(1)))
            throw new GraftException("pools of pictures of different sizes or colours cannot be joined");
        CheckDisjoint(this, other);
        var rows = (int)Pictures.Shape[0];
        var others = other.Classes.Select(found => found with { Rows = Array.ConvertAll(found.Rows, row => row + rows) });
        var pictures = TensorScope.Detach(Ops.Cat([Pictures, other.Pictures], 0));
        return new EpisodePool(pictures, [.. Classes, .. others], Preprocessing) { Broken = [.. Broken, .. other.Broken] };
    }

    /// <summary>Every class also turned by 90°, 180° and 270° as classes of their own (Santoro et al. 2016), and mirrored where asked.</summary>
    public EpisodePool WithTurns(bool mirrored = false) => With([.. Classes.SelectMany(found => Enumerable.Range(0, mirrored ? 8 : 4)
        .Select(turn => turn == 0 ? found : found with { Name = $"{found.Name} turned {turn}", Group = $"{found.Group} turned {turn}",
            Turn = turn }))]);

    /// <summary>Cuts the classes (whole groups where <paramref name="byGroup"/>) into two parts that share none.</summary>
    /// <exception cref="GraftException">A part would be left without a class.</exception>
    public (EpisodePool First, EpisodePool Second) Split(double secondShare, long seed, bool byGroup = false)
    {
        var units = byGroup ? Groups : [.. Classes.Select(found => found.Name)];
        if (units.Count < 2) throw new GraftException($"{(byGroup ? "one group" : "one class")} only ({(units.Count > 0 ? units[0] : "none")}): training and test need classes of their own");
        var take = Math.Clamp((int)Math.Round(units.Count * secondShare), 1, units.Count - 1);
        var second = new Rng(seed, 7).Permutation(units.Count).Take(take).Select(k => units[k]).ToHashSet();
        return (Where(found => !second.Contains(byGroup ? found.Group : found.Name)),
            Where(found => second.Contains(byGroup ? found.Group : found.Name)));
    }

    /// <summary>Checks that two pools share no class.</summary>
    /// <exception cref="GraftException">They do: which.</exception>
    internal static void CheckDisjoint(EpisodePool train, EpisodePool test)
    {
        var shared = train.Classes.Select(found => found.Name).Intersect(test.Classes.Select(found => found.Name)).ToArray();
        if (shared.Length > 0) throw new GraftException($"{shared.Length} class(es) stand in both the training and the test classes ({string.Join(", ", shared.Take(5))}): few-shot accuracy is of classes that training never saw. Take them out of one, or leave them out of the test with --drop-seen");
    }

    /// <summary>The classes whose name and group the other pool does not have.</summary>
    internal EpisodePool WithoutSeen(EpisodePool other)
    {
        var (names, groups) = (other.Classes.Select(found => found.Name).ToHashSet(), other.Classes.Select(found => found.Group).ToHashSet());
        return Where(found => !names.Contains(found.Name) && !groups.Contains(found.Group));
    }

    /// <summary>Rows as normalised floats: n×C×H×W, channels last.</summary>
    /// <param name="rows">Of the pictures.</param>
    /// <param name="turns">For each row, how it is turned.</param>
    /// <param name="augmentation">Random changes, drawn from <paramref name="rng"/>.</param>
    /// <param name="rng">Where from.</param>
    internal Tensor Take(int[] rows, int[] turns, PictureJitter? augmentation, ref Rng rng) => Normalise(Levels(rows, turns), augmentation, ref rng);

    /// <summary>Rows as levels of 0 … 1, turned.</summary>
    internal Tensor Levels(int[] rows, int[] turns)
    {
        var x = Pictures.IndexSelect(0, Tensor.From(Array.ConvertAll(rows, row => (long)row))).To(DType.Float32) / 255;
        return turns.Any(turn => turn != 0) ? Turned(x, turns) : x;
    }

    /// <summary>Levels, changed at random and normalised, channels last.</summary>
    internal Tensor Normalise(Tensor x, PictureJitter? augmentation, ref Rng rng)
    {
        if (augmentation is not null) x = augmentation.Apply(x, ref rng);
        var normalize = Preprocessing.Normalize;
        x = Channels == 1 ? (x - normalize.Mean[0]) / normalize.Std[0]
            : (x - Tensor.From(Array.ConvertAll(normalize.Mean, value => (float)value), 1, 3, 1, 1)) / Tensor.From(
                Array.ConvertAll(normalize.Std, value => (float)value), 1, 3, 1, 1);
        // Contiguous would leave one channel as it is, which is both layouts at once, and the network would run in the slower one.
        return Ops.Empty(x.Shape, memoryFormat: MemoryFormat.ChannelsLast).CopyInPlace(x);
    }

    private static Tensor Turned(Tensor x, int[] turns)
    {
        if (turns.All(turn => turn == turns[0])) return Turn(x, turns[0]);
        var order = new List<long>();
        var parts = new List<Tensor>();
        foreach (var same in Enumerable.Range(0, turns.Length).GroupBy(k => turns[k]))
        {
            long[] members = [.. same.Select(k => (long)k)];
            parts.Add(Turn(x.IndexSelect(0, Tensor.From(members)), same.Key));
            order.AddRange(members);
        }
        var back = new long[order.Count];
        for (var k = 0; k < back.Length; k++) back[order[k]] = k;
        return Ops.Cat(parts, 0).IndexSelect(0, Tensor.From(back));
    }

    /// <summary>Mirrored for 4 … 7, then turned by quarters.</summary>
    private static Tensor Turn(Tensor x, int turn)
    {
        if (turn >= 4) x = x.Flip([3]);
        return (turn % 4) switch { 1 => x.Transpose(2, 3).Flip([2]), 2 => x.Flip([2, 3]), 3 => x.Transpose(2, 3).Flip([3]), _ => x };
    }
}
