using Graft.Models.Graphs;
using Graft.Torch;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Models.Imports;

// What changes shapes, asks for them, or picks places: here the batch is followed.
internal sealed partial class OnnxOperators
{
    private Symbol[] Split()
    {
        var (x, axis) = (In(0), Number("axis", 0));
        if (axis < 0) axis += x.Shape.Length;
        var count = _node.Output.Count;
        var sizes = List("split") ?? (Given(1) ? Numbers(1) : null);
        var each = (x.Shape[axis] + count - 1) / count;
        sizes ??= [.. Enumerable.Range(0, count).Select(k => Math.Min(each, x.Shape[axis] - k * each))];
        var starts = sizes.Select((_, k) => sizes[..k].Sum()).ToArray();
        return [.. sizes.Select((size, k) => Call("aten::narrow", x, axis, starts[k], size))];
    }

    private Symbol Flatten()
    {
        var (x, axis) = (In(0), (int)Number("axis", 1));
        if (axis < 0) axis += x.Shape.Length;
        return Shaped(x, [Product(x.Shape[..axis]), Product(x.Shape[axis..])], null);
    }

    private static long Product(IEnumerable<long> sizes) => sizes.Aggregate(1L, (n, size) => n * size);

    private Symbol Reshape()
    {
        var (x, target) = (In(0), Known(1));
        var copies = Number("allowzero", 0) == 0;
        long[] Stated(TorchTensor tensor, long[] shape)
        {
            var sizes = tensor.ToArray<long>();
            if (copies) for (var k = 0; k < sizes.Length; k++) if (sizes[k] == 0) sizes[k] = shape[k];
            if (Array.IndexOf(sizes, -1) is var open and >= 0) sizes[open] = Product(shape) / Math.Max(1, -Product(sizes));
            return sizes;
        }
        var first = Stated(target.Example, x.Shape);
        if (x.Second is null) return target.Second is null ? Call("aten::reshape", x, first) : throw ShapeAlone();
        var second = Stated(target.Second ?? target.Example, x.Second.Shape);
        return Shaped(x, first, Product(second) == x.Second.Count ? second : null, said: target.Second is not null);
    }

    /// <summary>
    /// A reshape that follows the batch. In memory the batch stands behind the dimensions before it; the new dimension that begins there grows
    /// with it, so that each picture keeps the shape that the file gives it. The last dimension, what a dense layer reads, does not grow.
    /// </summary>
    /// <param name="x">What changes its shape.</param>
    /// <param name="first">The shape for the first example.</param>
    /// <param name="second">The shape that the file's numbers give for the second, where they fit it.</param>
    /// <param name="said">The file works the shape out from the batch.</param>
    private Symbol Shaped(Symbol x, long[] first, long[]? second, bool said = false)
    {
        if (!x.Batched) return second is null || first.SequenceEqual(second) ? Call("aten::reshape", x, first) : throw ShapeAlone();
        var grown = second is null ? [] : Enumerable.Range(0, first.Length).Where(k => first[k] != second[k]).ToArray();
        var before = Product(x.Shape[..Math.Max(0, x.BatchAxis)]) * (Inside(x) ? x.Shape[x.BatchAxis] / builder.Batch : 1);
        var behind = Enumerable.Range(0, first.Length).Where(k => Product(first[..k]) == before && first[k] % builder.Batch == 0).ToArray();
        var alone = behind.Where(k => first[k] == builder.Batch).ToArray();
        int free;
        if (grown.Length == 1 && (said || (!fixedBatch && alone.Contains(grown[0])))) free = grown[0];
        else if (alone.Length > 0) free = alone[0];
        else if (before > 1 && grown.Length == 1) free = grown[0];
        else if (behind.Length > 0) free = behind[0] > 0 && behind[0] == first.Length - 1 ? behind[0] - 1 : behind[0];
        else throw No($"it makes {string.Join('×', first)} of {string.Join('×', x.Shape)}, and the batch has no place in it. {GraphBuilder.Advice}");
        long[] shape = [.. first];
        shape[free] = -1;
        var y = Call("aten::reshape", x, shape);
        if (before > Product(first[..free]) && before * builder.Batch == Product(first[..(free + 1)])) _inside.Add(((Reference)y.Operand).Name);
        return y;
    }

    private GraftException ShapeAlone() => No("its shape depends on the batch's size, its values do not");

    // Values whose batch lies inside its dimension, behind what each picture has there: rows of positions × pictures.
    private readonly HashSet<string> _inside = [];

    private static bool SameRows(Symbol x, Symbol y) => x.BatchAxis >= 0 && x.BatchAxis == y.BatchAxis
        && x.Shape[x.BatchAxis] == y.Shape[y.BatchAxis];

    private bool Inside(Symbol x) => x.Operand is Reference { Name: var name } && _inside.Contains(name);

    private Symbol Transpose()
    {
        var x = In(0);
        var order = List("perm") ?? [.. Enumerable.Range(0, x.Shape.Length).Reverse().Select(k => (long)k)];
        // Two that undo each other are none.
        var undone = x.Operand is Reference { Name: var name } && _permuted.TryGetValue(name, out var found) && order.Select(k => found.Order[k])
            .SequenceEqual(order.Order());
        return undone ? _permuted[((Reference)x.Operand).Name].Source : Permuted(x, order);
    }

    /// <summary>Dimensions in another order.</summary>
    public Symbol Permuted(Symbol x, long[] order)
    {
        var y = Call("aten::permute", x, order);
        _permuted[((Reference)y.Operand).Name] = (x, order);
        return y;
    }

    // The batch stays, however large the example's is.
    private Symbol Squeeze()
    {
        var x = In(0);
        var axes = Axes(1) ?? [.. Enumerable.Range(0, x.Shape.Length).Where(k => x.Shape[k] == 1).Select(k => (long)k)];
        return axes.Select(axis => axis < 0 ? axis + x.Shape.Length : axis).Where(axis => !x.Batched || axis != x.BatchAxis).OrderDescending()
            .Aggregate(x, (y, axis) => Call("aten::squeeze.dim", y, axis));
    }

    private Symbol Concat()
    {
        var all = Enumerable.Range(0, _inputs.Length).Select(In).ToArray();
        var axis = Number("axis", 0);
        // A token that the file keeps for a batch of one goes to every picture.
        if (fixedBatch && all.FirstOrDefault(item => item is { Batched: true, BatchAxis: 0 }) is { } batched && axis is not 0)
            all = [.. all.Select(item => !item.Batched
                && item.Shape[0] == 1 ? Call("aten::add.Tensor", item, builder.ZerosLikeBatch(batched, Ones(item.Shape.Length - 1)), 1L) : item)];
        return Call("aten::cat", all, axis);
    }

    private Symbol Tile()
    {
        var (x, times) = (In(0), Sizes(1));
        if (!times.Contains(-1)) return Call("aten::repeat", x, times);
        if (x.Batched || times[0] != -1 || x.Shape[0] != 1) throw No("the batch stands elsewhere than first");
        return Call("aten::add.Tensor", Call("aten::repeat", x, (long[])[1, .. times.Skip(1)]),
            builder.ZerosLikeBatch(AnyBatched(), Ones(times.Length - 1)), 1L);
    }

    private Symbol AnyBatched() => _values.Values.First(value => value.Batched);

    private Symbol Slice()
    {
        var x = In(0);
        var (starts, ends) = (List("starts") ?? Numbers(1), List("ends") ?? Known(2).Example.ToArray<long>());
        var axes = Axes(3) ?? [.. Enumerable.Range(0, starts.Length).Select(k => (long)k)];
        var steps = Given(4) ? Numbers(4) : Ones(starts.Length);
        for (var k = 0; k < starts.Length; k++)
        {
            if (steps[k] == -1) { x = Call("aten::flip", x, (long[])[axes[k]]); continue; }
            if (steps[k] < 1) throw No($"a slice with the step {steps[k]} is not known");
            // All of it; of the batch as well, of which only the example's size is known.
            if (starts[k] == 0 && ends[k] >= x.Shape[axes[k] < 0 ? axes[k] + x.Shape.Length : axes[k]] && steps[k] == 1) continue;
            if (List("ends") is null) ends = Numbers(2);
            x = Call("aten::slice.Tensor", x, axes[k], starts[k], Math.Min(ends[k], long.MaxValue), steps[k]);
        }
        return x;
    }

    private Symbol Gather()
    {
        var (x, axis) = (In(0), Number("axis", 0));
        if (axis < 0) axis += x.Shape.Length;
        if (!x.Batched && In(1).Batched && axis == 0 && x.Shape.Length == 2) return Call("aten::embedding", Trained(0), In(1));
        var index = Fixed(1);
        if (index.Dimensions == 0) return Call("aten::select.int", x, axis, (long)index.Item());
        if (index.Dimensions > 1) throw No("a gather by a matrix of places is not known");
        var places = index.ToArray<long>().Select(place => place < 0 ? place + x.Shape[axis] : place).ToArray();
        return Call("aten::index_select", x, axis, Constant(TorchTensor.From(places)));
    }

    private Symbol Pad()
    {
        var x = In(0);
        var pads = List("pads") ?? Numbers(1);
        var fill = Attribute("value") is { } value ? value.F : Given(2) ? Fixed(2).Item() : 0;
        var n = pads.Length / 2;
        long[] sides = [.. Enumerable.Range(0, n).Reverse().SelectMany(k => new[] { pads[k], pads[n + k] })];
        // Dimensions from the outermost on that have no border are left off, as libtorch's reflection needs.
        var used = sides.Length;
        while (used > 2 && sides[used - 1] == 0 && sides[used - 2] == 0) used -= 2;
        return Text("mode", "constant") switch
        {
            "constant" => Call("aten::constant_pad_nd", x, sides[..used], (double)fill),
            "reflect" => Call("aten::reflection_pad2d", x, sides[..4]),
            "edge" => Call("aten::replication_pad2d", x, sides[..4]),
            var other => throw No($"a border by '{other}' is not known"),
        };
    }

    private Symbol Expand()
    {
        var (x, target) = (In(0), Sizes(1));
        if (!target.Contains(-1)) return Call("aten::add.Tensor", x, Constant(Ops.Zeros(target, dtype: x.Example.Type)), 1L);
        if (target[0] != -1) throw No("the batch stands elsewhere than first");
        return Call("aten::add.Tensor", x, builder.ZerosLikeBatch(AnyBatched(), [.. target.Skip(1)]), 1L);
    }

    private Symbol Resize()
    {
        var x = In(0);
        var scales = List("scales") is not null || Attribute("scales") is not null ? [.. Attribute("scales")!.Floats.Select(value => (double)value)]
            : _node.OpType == "Upsample" || opset == 10 ? Fixed(1).ToArray<double>() : Given(2) && Fixed(2).Count > 0 ? Fixed(2).ToArray<double>()
                : [];
        var sizes = scales.Length > 0 ? [.. x.Shape.Select((size, k) => (long)Math.Floor(size * scales[k]))] : Fixed(3).ToArray<long>();
        if (sizes.Length != 4 || sizes[1] != x.Shape[1]) throw No("a resize of anything but height and width is not known");
        var mode = Text("coordinate_transformation_mode", opset < 11 ? "asymmetric" : "half_pixel");
        long[] to = [sizes[2], sizes[3]];
        return (Text("mode", "nearest"), mode) switch
        {
            ("nearest", _) when to[0] % x.Shape[2] == 0 && to[1] % x.Shape[3] == 0 => Call("aten::upsample_nearest2d", x, to, null, null),
            ("nearest", "asymmetric") => Call("aten::upsample_nearest2d", x, to, null, null),
            ("linear", "align_corners") => Call("aten::upsample_bilinear2d", x, to, true, null, null),
            ("linear", "half_pixel" or "pytorch_half_pixel") => Call("aten::upsample_bilinear2d", x, to, false, null, null),
            ("cubic", "align_corners") => Call("aten::upsample_bicubic2d", x, to, true, null, null),
            ("cubic", "half_pixel" or "pytorch_half_pixel") => Call("aten::upsample_bicubic2d", x, to, false, null, null),
            var (kind, by) => throw No($"resizing by '{kind}' with '{by}' is not known"),
        };
    }

    private Symbol DepthToSpace()
    {
        if (Text("mode", "DCR") == "CRD") return Call("aten::pixel_shuffle", In(0), Number("blocksize", 1));
        var (x, side) = (In(0), Number("blocksize", 1));
        var (channels, h, w) = (x.Shape[1] / (side * side), x.Shape[2], x.Shape[3]);
        return Call("aten::reshape", Call("aten::permute", Call("aten::reshape", x, (long[])[-1, side, side, channels, h, w]),
            (long[])[0, 3, 4, 1, 5, 2]), (long[])[-1, channels, h * side, w * side]);
    }

    private Symbol Shape()
    {
        var x = In(0);
        var (from, to) = (Number("start", 0), Attribute("end") is { } end ? end.I : x.Shape.Length);
        if (from < 0) from += x.Shape.Length;
        if (to < 0) to += x.Shape.Length;
        var shape = x.Shape[(int)from..(int)Math.Min(to, x.Shape.Length)];
        var free = x.BatchAxis >= from && x.BatchAxis < to;
        return Constant(TorchTensor.From(shape)) with { Second = free
            ? TorchTensor.From(x.Second!.Shape[(int)from..(int)Math.Min(to, x.Shape.Length)]) : null };
    }

    private Symbol ConstantOfShape()
    {
        var shape = Sizes(0);
        var value = Attribute("value")?.T is { } tensor ? OnnxReader.Tensor(tensor) : TorchTensor.From([0f]);
        if (!shape.Contains(-1)) return Constant(Ops.Zeros(shape, dtype: value.Type) + value.Reshape([]));
        if (shape[0] != -1) throw No("the batch stands elsewhere than first");
        return Call("aten::add.Scalar", builder.ZerosLikeBatch(AnyBatched(), shape[1..]), value.Item(), 1L);
    }

    private Symbol Reduce()
    {
        var x = In(0);
        var axes = Axes(1) ?? [.. Enumerable.Range(0, x.Shape.Length).Select(k => (long)k)];
        var keep = Number("keepdims", 1) != 0;
        if (axes.Length == 0) return x;
        if (x.Batched && axes.Any(axis =>
            (axis < 0 ? axis + x.Shape.Length : axis) == x.BatchAxis)) throw No($"{_node.OpType} over the batch is not known");
        return _node.OpType switch
        {
            "ReduceMean" => Call("aten::mean.dim", x, axes, keep, null),
            "ReduceSum" => Call("aten::sum.dim_IntList", x, axes, keep, null),
            "ReduceMax" => Call("aten::amax", x, axes, keep),
            "ReduceMin" => Call("aten::amin", x, axes, keep),
            "ReduceProd" => axes.Length == 1 ? Call("aten::prod.dim_int", x, axes[0], keep, null)
                : throw No("a product over several dimensions is not known"),
            _ => Call("aten::sqrt", Call("aten::sum.dim_IntList", Call("aten::mul.Tensor", x, x), axes, keep, null)),
        };
    }
}
