using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Sung et al. 2018: a second network looks at the maps of a class and of a query side by side and gives their relation, 0 to 1
/// (eq. 1); trained by the squared error to 1 for the right class and 0 for others (eq. 2). A class's maps are the sum over its
/// support (section 3.2), here their mean, which does not depend on the shots.
/// </summary>
internal sealed class RelationNetwork : MetricLearner
{
    private const int Hidden = 8;

    private readonly Conv2d _first, _second;
    private readonly BatchNorm2d _firstNorm, _secondNorm;
    private readonly Linear _hidden, _relation;
    private readonly bool _poolFirst, _poolSecond;

    /// <param name="embedder">Gives maps, best of several positions (a ConvNet whose last blocks do not pool); owned.</param>
    public RelationNetwork(Embedder embedder) : base(embedder)
    {
        var (channels, side) = (embedder.MapShape[0], embedder.MapShape[1]);
        if (embedder.MapShape.Length != 3) throw new GraftException("a relation network compares maps, and this backbone gives none: use a convolutional one");
        _first = Child("conv1", new Conv2d(2 * channels, 64, 3, 1, 1, bias: false));
        _firstNorm = Child("norm1", new BatchNorm2d(64));
        _second = Child("conv2", new Conv2d(64, 64, 3, 1, 1, bias: false));
        _secondNorm = Child("norm2", new BatchNorm2d(64));
        (_poolFirst, _poolSecond) = (side >= 2, side >= 4);
        var left = side / (_poolFirst ? 2 : 1) / (_poolSecond ? 2 : 1);
        _hidden = Child("fc1", new Linear(64 * left * left, Hidden));
        _relation = Child("fc2", new Linear(Hidden, 1));
        foreach (var convolution in new[] { _first, _second }) Initialisers.KaimingNormal(convolution.Weight);
    }

    /// <summary>Maps: N×C×h×w.</summary>
    public override Tensor Encode(Tensor pictures) => Embedder.Maps(pictures);

    /// <inheritdoc/>
    public override bool EncodesVectors => false;

    /// <summary>Q×way log-odds of the relation.</summary>
    public override Tensor FromEmbeddings(Tensor support, Tensor labels, int way, Tensor queries)
    {
        var count = queries.Shape[0];
        var classes = Distances.Means(support.Flatten(1), labels, way).View([way, .. support.Shape[1..]]);
        // A convolution of two maps side by side is the sum of one over each: they are run once for each map, not for each pair.
        var halves = _first.Weight.Chunk(2, 1);
        var left = classes.Contiguous(MemoryFormat.ChannelsLast).Conv2d(halves[0], null, [1, 1], [1, 1]);
        var right = queries.Conv2d(halves[1], null, [1, 1], [1, 1]);
        var pairs = (right.Unsqueeze(1) + left.Unsqueeze(0)).Flatten(0, 1).Contiguous(MemoryFormat.ChannelsLast);
        var y = _firstNorm.Forward(pairs);
        y = (_poolFirst ? y.MaxPool2d([2, 2]) : y).Relu();
        y = _secondNorm.Forward(_second.Forward(y));
        y = (_poolSecond ? y.MaxPool2d([2, 2]) : y).Relu();
        return _relation.Forward(_hidden.Forward(y.Flatten(1)).Relu()).View([count, way]);
    }

    /// <inheritdoc/>
    protected override Tensor Loss(Episode episode) =>
        Scores(episode.Support, episode.Queries).Sigmoid()
            .MseLoss(episode.QueryTargets.OneHot(episode.Support.Way).To(DType.Float32)) * episode.Support.Way;
}
