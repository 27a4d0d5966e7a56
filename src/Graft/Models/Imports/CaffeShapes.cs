using Graft.Models.Graphs;

namespace Graft.Models.Imports;

/// <summary>Caffe's layers that turn shapes, and SSD's normalisation, as calls of libtorch's operators. The batch stays free: what would mix its
/// pictures is refused.</summary>
internal static class CaffeShapes
{
    /// <summary>An axis that a layer names; from the end where it is below 0.</summary>
    /// <exception cref="GraftException">There is no such axis.</exception>
    public static int Axis(TextFormat parameters, string name, Symbol x, long otherwise)
    {
        var axis = parameters.Number(name, otherwise);
        var rank = x.Shape.Length;
        return axis >= -rank && axis < rank ? (int)(axis < 0 ? axis + rank : axis)
            : throw new GraftException($"line {parameters.Line}: {name} is {axis}, and the layer's input has {rank} dimensions");
    }

    /// <summary>The dimensions of the order, those that it leaves out behind them.</summary>
    public static Symbol Permute(GraphBuilder builder, TextFormat p, Symbol x)
    {
        var order = p.Numbers("order");
        long[] all = [.. order, .. Enumerable.Range(0, x.Shape.Length).Select(axis => (long)axis).Except(order)];
        if (order.Distinct().Count() != order.Length || all.Length != x.Shape.Length) throw new GraftException($"line {p.Line}: the order {string.Join(", ", order)} is none of {x.Shape.Length} dimensions");
        return all[0] == 0 ? builder.Call("aten::permute", x, all) : throw Mixes(p);
    }

    /// <summary>The dimensions from axis to end_axis as one.</summary>
    public static Symbol Flatten(GraphBuilder builder, TextFormat p, Symbol x)
    {
        var (from, to) = (Axis(p, "axis", x, 1), Axis(p, "end_axis", x, -1));
        if (to < from) throw new GraftException($"line {p.Line}: end_axis {to} lies before axis {from}");
        return from > 0 ? builder.Call("aten::reshape", x, (long[])[-1, .. x.Shape[1..from], Count(x.Shape[from..(to + 1)]), .. x.Shape[(to + 1)..]])
            : from == to ? x : throw Mixes(p);
    }

    /// <summary>num_axes dimensions from axis become those of the shape: 0 copies one, −1 is what is left.</summary>
    public static Symbol Reshape(GraphBuilder builder, TextFormat p, Symbol x)
    {
        // One past the last stands for new dimensions at the end.
        var rank = x.Shape.Length;
        var from = p.Number("axis", 0) is var axis && axis < 0 ? axis + rank + 1 : axis;
        var taken = p.Number("num_axes", -1) is var stated && stated < 0 ? rank - from : stated;
        if (from < 0 || from > rank || from
            + taken > rank) throw new GraftException($"line {p.Line}: axis {axis} and num_axes {stated} go beyond the input's {rank} dimensions");
        long[] before = x.Shape[..(int)from], old = x.Shape[(int)from..(int)(from + taken)], after = x.Shape[(int)(from + taken)..];
        long[] made = [.. p.Message("shape").Numbers("dim")
            .Select((size, k) => size != 0 ? size : k < old.Length ? old[k]
            : throw new GraftException($"line {p.Line}: dim 0 copies dimension {k}, which is not there"))];
        // The definition's own batch, whatever it is, is the batch.
        if (from == 0 && old.Length > 0 && made is [> 0, ..]) made[0] = old[0];
        var free = made.Count(size => size < 0);
        var known = Count(made.Where(size => size > 0));
        if (free > 1 || (free == 0 ? known != Count(old) : Count(old) % known != 0)) throw new GraftException($"line {p.Line}: {string.Join('×', old)} values do not become {string.Join('×', made)}");
        long[] shape = [.. before, .. made.Select(size => size < 0 ? Count(old) / known : size), .. after];
        return shape.Length > 0 && shape[0] == x.Shape[0] ? builder.Call("aten::reshape", x, (long[])[-1, .. shape[1..]]) : throw Mixes(p);
    }

    /// <summary>SSD (Liu et al. 2016, section 3.1, after ParseNet): x over its L2 norm, of all or at each position, times learned scales.</summary>
    public static Symbol Normalize(GraphBuilder builder, TextFormat p, Symbol x, Func<Symbol> scale)
    {
        long[] over = p.Flag("across_spatial", true) ? [.. Enumerable.Range(1, x.Shape.Length - 1).Select(axis => (long)axis)] : [1];
        var squares = builder.Call("aten::sum.dim_IntList", builder.Call("aten::mul.Tensor", x, x), over, true, null);
        var norm = builder.Call("aten::sqrt", builder.Call("aten::add.Scalar", squares, p.Real("eps", 1e-10), 1L));
        return builder.Call("aten::mul.Tensor", builder.Call("aten::div.Tensor", x, norm), scale());
    }

    private static long Count(IEnumerable<long> sizes) => sizes.Aggregate(1L, (n, size) => checked(n * size));

    private static GraftException Mixes(TextFormat p) =>
        new($"line {p.Line}: it moves values between the pictures of a batch, which Graft does not follow");
}
