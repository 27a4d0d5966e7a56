using Graft.Data;
using Graft.Models.Graphs;
using Graft.Torch;

namespace Graft.Models.Imports;

/// <summary>A network as a reader found it.</summary>
/// <param name="Graph">From one input to one output.</param>
/// <param name="Weights">By name.</param>
/// <param name="Preprocessing">What the file says, or the usual of its kind.</param>
/// <param name="Notes">What was left aside.</param>
internal sealed record Imported(Graph Graph, IReadOnlyDictionary<string, Tensor> Weights, Preprocessing Preprocessing, IReadOnlyList<string> Notes)
{
    /// <summary>Whether the file does not say what its pictures have gone through.</summary>
    public bool Guessed { get; init; }

    /// <summary>What the file says of itself.</summary>
    public IReadOnlyDictionary<string, string> Card { get; init; } = new Dictionary<string, string>();

    /// <summary>The picture that comes in as Graft makes it (three channels), as the network wants it: one channel, or blue first.</summary>
    public static Symbol Picture(GraphBuilder builder, long channels, long height, long width, bool blueFirst = false)
    {
        if (channels is not (1 or 3)) throw new GraftException($"it wants pictures of {channels} channels: Graft gives one (grey) or three (RGB)");
        if (height is < 1 or > 8192 || width is < 1 or > 8192) throw new GraftException($"it wants pictures of {height}×{width}: give the size with --size");
        var input = builder.Input([3, height, width]);
        builder.Layer = "input";
        if (channels == 1) return builder.Call("aten::narrow", input, 1L, 0L, 1L);
        return blueFirst ? builder.Call("aten::flip", input, (long[])[1]) : input;
    }

    /// <summary>The picture as a network wants it whose input is a flat vector: of side² numbers grey, of 3 · side² in colour, row after row.</summary>
    /// <param name="builder">Writes the graph.</param>
    /// <param name="length">Of the vector.</param>
    /// <param name="channelsLast">The three colours of a pixel stand together.</param>
    /// <param name="blueFirst">The colours begin with blue.</param>
    /// <exception cref="GraftException">No square picture has so many numbers.</exception>
    public static (Symbol Vector, Preprocessing Preprocessing) Flattened(GraphBuilder builder, long length, bool channelsLast, bool blueFirst = false)
    {
        var (grey, colour) = (Side(length), length % 3 == 0 ? Side(length / 3) : null);
        if ((grey ?? colour) is not { } side) throw new GraftException($"its input is a vector of {length} numbers, and no picture's: Graft gives square pictures of {LeastSide} pixels and more, flattened, so side² numbers in grey or 3 · side² in colour");
        var channels = grey is null ? 3 : 1;
        var picture = Picture(builder, channels, side, side, blueFirst && channels == 3);
        if (channels == 3 && channelsLast) picture = builder.Call("aten::permute", picture, (long[])[0, 2, 3, 1]);
        return (builder.Call("aten::reshape", picture, (long[])[-1, length]), Usual(channels, side, side));
    }

    // Smaller ones are measurements (four of a flower), not pictures.
    private const long LeastSide = 8;

    private static long? Side(long count) => (long)Math.Round(Math.Sqrt(count)) is var side && side >= LeastSide && side * side == count ? side : null;

    /// <summary>Straight to the size; on the scale of 0 … 1 unless said otherwise; grey where the network is.</summary>
    public static Preprocessing Usual(long channels, long height, long width, Normalize? normalize = null) =>
        new((int)width, (int)height, channels == 1 ? [new Grayscale(), new ResizeExact((int)width, (int)height)] : [new ResizeExact((int)width, (int)height)], normalize ?? new Normalize([0, 0, 0], [1, 1, 1]));
}
