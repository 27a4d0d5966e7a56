using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Vinyals et al. 2016: a query's label is the support's labels weighed by a softmax of cosine similarities (eq. 1 and 2).
/// With full context embeddings, the support is embedded by a bidirectional LSTM over all of it (appendix A.2) and a query by
/// an LSTM that attends to the support (appendix A.1, eq. 3 to 6).
/// </summary>
internal sealed class MatchingNetwork : MetricLearner
{
    // The paper's softmax of bare cosines cannot be surer than e² to 1; a fixed scale lets it.
    private const double Scale = 10;

    private readonly LstmCell? _forward, _backward, _attend;
    private readonly int _steps;

    /// <param name="embedder">From pictures to embeddings; owned.</param>
    /// <param name="fullContext">Full context embeddings.</param>
    /// <param name="steps">Of the attention (K in the paper).</param>
    public MatchingNetwork(Embedder embedder, bool fullContext = true, int steps = 3) : base(embedder)
    {
        _steps = steps;
        if (!fullContext) return;
        var size = embedder.Size;
        _forward = Child("forward", new LstmCell(size, size));
        _backward = Child("backward", new LstmCell(size, size));
        _attend = Child("attend", new LstmCell(size, 2 * size, size));
    }

    /// <inheritdoc/>
    public override Tensor FromEmbeddings(Tensor support, Tensor labels, int way, Tensor queries) =>
        FromEmbeddings(support, labels, way, queries, logarithm: false);

    private Tensor FromEmbeddings(Tensor support, Tensor labels, int way, Tensor queries, bool logarithm)
    {
        var (g, f) = _forward is null ? (support, queries) : Context(support, queries);
        var attention = (Distances.Unit(f).Matmul(Distances.Unit(g).T()) * Scale).Softmax(1);
        var probabilities = attention.Matmul(labels.OneHot(way).To(DType.Float32));
        return logarithm ? (probabilities + 1e-8).Log() : probabilities;
    }

    private (Tensor Support, Tensor Queries) Context(Tensor support, Tensor queries)
    {
        var (n, size) = (support.Shape[0], support.Shape[1]);
        var inputs = Enumerable.Range(0, (int)n).Select(k => support.Narrow(0, k, 1)).ToArray();
        Tensor[] Along(LstmCell cell, IEnumerable<int> order)
        {
            var outputs = new Tensor[n];
            var (h, c) = (Ops.Zeros([1, size], device: support.Device), Ops.Zeros([1, size], device: support.Device));
            foreach (var k in order) (outputs[k], c) = (h, c) = cell.Step(inputs[k], h, c);
            return outputs;
        }
        var ahead = Along(_forward!, Enumerable.Range(0, (int)n));
        var back = Along(_backward!, Enumerable.Range(0, (int)n).Reverse());
        var g = support + Ops.Cat(ahead, 0) + Ops.Cat(back, 0);

        var hidden = queries;
        var cell = Ops.Zeros(queries.Shape, device: queries.Device);
        for (var k = 0; k < _steps; k++)
        {
            var read = hidden.Matmul(g.T()).Softmax(1).Matmul(g);
            (hidden, cell) = _attend!.Step(queries, Ops.Cat([hidden, read], 1), cell);
            hidden += queries;
        }
        return (g, hidden);
    }

    /// <inheritdoc/>
    protected override Tensor Loss(Episode episode)
    {
        var (z, q) = Both(episode.Support, episode.Queries);
        return FromEmbeddings(z, episode.Support.Targets, episode.Support.Way, q, logarithm: true).NllLoss(episode.QueryTargets);
    }
}
