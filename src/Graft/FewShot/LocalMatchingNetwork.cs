using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Two pictures are alike where each part of one finds its like in the other: cosine similarities of local descriptors (DN4, Li
/// et al. 2019, eq. 2 and 3), where a part may have moved by a few positions only, each part by itself, as the image distortion
/// model of handwriting has it (Keysers et al. 2007, section 4.2). Counted both ways.
/// </summary>
internal sealed class LocalMatchingNetwork : MetricLearner
{
    private readonly Conv2d _project;
    private readonly BatchNorm2d _norm;
    private readonly Slot _sharpness;
    private readonly int _reach;

    /// <param name="embedder">Gives maps of several positions (a ConvNet whose last blocks do not pool); owned.</param>
    /// <param name="reach">Positions that a part may have moved.</param>
    public LocalMatchingNetwork(Embedder embedder, int reach = 1) : base(embedder)
    {
        if (embedder.MapShape.Length != 3 || embedder.MapShape[1] < 3) throw new GraftException("local matching compares maps of at least 3×3 positions, and this backbone's last stage has fewer: use one that pools less, or larger pictures");
        _reach = reach;
        // Without a ReLU, so that parts can also be opposite.
        _project = Child("project", new Conv2d(embedder.MapShape[0], embedder.MapShape[0], 1, bias: false));
        _norm = Child("norm", new BatchNorm2d(embedder.MapShape[0]));
        _sharpness = Parameter("sharpness", Ops.Full([], Math.Log(12), dtype: DType.Float32));
    }

    /// <summary>Descriptors of length 1: N×C×h×w.</summary>
    public override Tensor Encode(Tensor pictures)
    {
        var maps = _norm.Forward(_project.Forward(Embedder.Maps(pictures)));
        return (maps / (maps.Square().Sum([1L], true) + 1e-8).Sqrt()).Contiguous();
    }

    /// <inheritdoc/>
    public override int Exchanges => 2;

    /// <inheritdoc/>
    public override bool EncodesVectors => false;

    /// <inheritdoc/>
    public override Tensor FromEmbeddings(Tensor support, Tensor labels, int way, Tensor queries)
    {
        // positions×Q×S: how well each part of a query is found in a support picture, and each part of that in the query.
        var there = Best(queries, support);
        var back = Best(support, queries).Mean([0L]).T();
        var numbers = labels.ToArray<long>();
        var sharpness = _sharpness.Value.Exp();
        if (way == numbers.Length && numbers.Select((label, k) => label == k).All(inOrder => inOrder)) return (there.Mean([0L]) + back) * sharpness;
        var columns = new List<Tensor>();
        for (var c = 0; c < way; c++)
        {
            var rows = Tensor.From([.. Enumerable.Range(0, numbers.Length).Where(k => numbers[k] == c).Select(k => (long)k)]).To(queries.Device);
            // A part may be found in any of the class's pictures.
            columns.Add(there.IndexSelect(2, rows).Amax([2]).Mean([0L]) + back.IndexSelect(1, rows).Mean([1L]));
        }
        return Ops.Stack(columns, 1) * sharpness;
    }

    /// <summary>For each part of the pictures a, its largest cosine to the parts of b around the same place: positions×|a|×|b|. Beyond the border it
    /// is 0.</summary>
    private Tensor Best(Tensor a, Tensor b)
    {
        var (size, around) = (a.Shape[1], (2 * _reach + 1) * (2 * _reach + 1));
        long[] window = [2 * _reach + 1, 2 * _reach + 1];
        var near = b.Im2col(window, [1, 1], [_reach, _reach], [1, 1]).View([b.Shape[0], size, around, -1]).Permute([3, 1, 0, 2]).Flatten(2);
        var parts = a.Flatten(2).Permute([2, 0, 1]);
        return parts.Bmm(near).View([-1, a.Shape[0], b.Shape[0], around]).Amax([3]);
    }
}
