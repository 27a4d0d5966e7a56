using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Santoro et al. 2016: a sequence of pictures, each with the label of the one before; an LSTM with an external memory learns to
/// write what it saw and to find it again. Reading is by cosine similarity (eq. 2 to 4); writing goes to the place read last or
/// to the one used least, by a learned gate (least recently used access, eq. 5 to 8). Class numbers mean something else in
/// every episode, so nothing but the memory can know them.
/// <para>
/// The paper trains for 100,000 episodes; five changes make a quarter of that enough. A ConvNet sees the pictures, and what it
/// gives is centred and of one length. What is written is a label with the picture that it belongs to, where the paper's
/// controller has to carry the picture to the next step itself. Reads have a learned strength, as those of a Neural Turing
/// Machine (Graves et al. 2014, eq. 5). And training sequences are of mixed lengths.
/// </para>
/// </summary>
internal sealed class Mann : EpisodeLearner
{
    private const int Rows = 128, Columns = 40, Heads = 4;

    // γ of eq. 5: how long a place counts as used.
    private const double UsageDecay = 0.95;

    // Where the strength of a read begins: cosines alone, within ±1, would leave it spread over all rows.
    private const double LeastStrength = 10;

    private readonly Embedder _embedder;
    private readonly BatchNorm2d _norm;
    private readonly LstmCell _controller;
    private readonly Linear _seen, _keys, _labels, _strength, _gate, _output;
    private readonly int _way, _hidden;

    private sealed record Recall(Tensor Picture, Tensor Memory, Tensor H, Tensor C, Tensor Read, Tensor ReadWeights, Tensor Usage);

    /// <param name="embedder">Sees the pictures; owned. The paper's controller sees raw pixels.</param>
    /// <param name="way">Classes of an episode.</param>
    /// <param name="hidden">Numbers of the controller.</param>
    public Mann(Embedder embedder, int way, int hidden = 200)
    {
        (_way, _hidden) = (way, hidden);
        _embedder = Child("embedder", embedder);
        _norm = Child("norm", new BatchNorm2d(embedder.Size));
        _controller = Child("controller", new LstmCell(embedder.Size + way, hidden + Heads * Columns, hidden));
        _seen = Child("seen", new Linear(embedder.Size, Heads * Columns));
        _keys = Child("keys", new Linear(hidden, Heads * Columns));
        _labels = Child("labels", new Linear(way, Heads * Columns, bias: false));
        _strength = Child("strength", new Linear(hidden, Heads));
        _gate = Child("gate", new Linear(hidden, Heads));
        _output = Child("output", new Linear(hidden + Heads * Columns, way));
    }

    /// <inheritdoc/>
    public override int? FixedWay => _way;

    internal override bool BatchesEpisodes => true;

    // Without what all pictures have in common, or every row of the memory would be like every other; and of one length, that the
    // few numbers of a label are not drowned in the controller's input.
    private Tensor Embed(Tensor pictures)
    {
        var z = _embedder.Forward(pictures);
        z = _norm.Forward(z.View([z.Shape[0], z.Shape[1], 1, 1])).Flatten(1);
        return z * 2 / (z.Square().Sum([1L], true) + 1e-8).Sqrt();
    }

    private Recall Begin(long batch)
    {
        var weights = new float[Heads * Rows];
        for (var k = 0; k < Heads; k++) weights[k * Rows + k] = 1;
        return new Recall(Ops.Zeros([batch, _embedder.Size]), Ops.Full([batch, Rows, Columns], 1e-6, dtype: DType.Float32),
            Ops.Zeros([batch, _hidden]), Ops.Zeros([batch, _hidden]), Ops.Zeros([batch, Heads * Columns]),
            Tensor.From(weights, 1, Heads, Rows).Expand([batch, Heads, Rows]), Ops.Zeros([batch, Rows]));
    }

    /// <summary>One picture and the label before it: B×d, B×way to B×way scores and the next state.</summary>
    private (Tensor Scores, Recall Next) Step(Tensor picture, Tensor before, Recall state)
    {
        var batch = picture.Shape[0];
        var (h, c) = _controller.Step(Ops.Cat([picture, before], 1), Ops.Cat([state.H, state.Read], 1), state.C);
        var own = _keys.Forward(h);
        var asked = (own + _seen.Forward(picture)).Tanh().View([batch, Heads, Columns]);
        var written = (own + _seen.Forward(state.Picture) + _labels.Forward(before)).Tanh().View([batch, Heads, Columns]);
        var gate = _gate.Forward(h).Sigmoid().Unsqueeze(2);

        // The places used least, one for each head, as one-hot rows: no gradient goes through which they are.
        var least = state.Usage.Detach().Topk(Heads, 1, false).Item2.OneHot(Rows).To(DType.Float32);
        var write = gate * state.ReadWeights + (1 - gate) * least;
        var memory = state.Memory * (1 - least.Sum([1L])).Unsqueeze(2) + write.Transpose(1, 2).Bmm(written);

        var unitKeys = asked / (asked.Square().Sum([2L], true) + 1e-8).Sqrt();
        var unitRows = memory / (memory.Square().Sum([2L], true) + 1e-8).Sqrt();
        var strength = (_strength.Forward(h) + LeastStrength).Softplus().Unsqueeze(2);
        var weights = (unitKeys.Bmm(unitRows.Transpose(1, 2)) * strength).Softmax(2);
        var read = weights.Bmm(memory).Flatten(1);
        var usage = state.Usage * UsageDecay + weights.Sum([1L]) + write.Sum([1L]);
        return (_output.Forward(Ops.Cat([h, read], 1)), new Recall(picture, memory, h, c, read, weights, usage));
    }

    private Tensor OneHot(long[] labels) => Tensor.From(labels).OneHot(_way).To(DType.Float32);

    /// <summary>Scores along sequences: embeddings T×B×d, labels T×B; T tensors of B×way.</summary>
    private List<Tensor> Run(Tensor embeddings, long[][] labels)
    {
        var state = Begin(embeddings.Shape[1]);
        var scores = new List<Tensor>();
        for (var t = 0; t < labels.Length; t++)
        {
            var before = t == 0 ? Ops.Zeros([embeddings.Shape[1], _way]) : OneHot(labels[t - 1]);
            (var said, state) = Step(embeddings[t], before, state);
            scores.Add(said);
        }
        return scores;
    }

    /// <summary>
    /// Pictures of each episode as one sequence in random order: T×B rows of embeddings, and the labels. Shorter than all of them
    /// (<paramref name="length"/>), a class may come more often than another.
    /// </summary>
    private (Tensor Embeddings, long[][] Labels) Sequences(IReadOnlyList<Episode> episodes, int? length = null)
    {
        var all = episodes[0].Support.Labels.Length + episodes[0].QueryLabels.Length;
        var pictures = new List<Tensor>();
        var labels = Enumerable.Range(0, length ?? all).Select(_ => new long[episodes.Count]).ToArray();
        for (var b = 0; b < episodes.Count; b++)
        {
            var episode = episodes[b];
            int[] order = [.. new Rng(episode.Seed, 6).Permutation(all).Take(length ?? all)];
            long[] own = [.. episode.Support.Labels, .. episode.QueryLabels];
            pictures.Add(Ops.Cat([episode.Support.Pictures, episode.Queries], 0).IndexSelect(0, Tensor.From(Array.ConvertAll(order, k => (long)k))));
            for (var t = 0; t < order.Length; t++) labels[t][b] = own[order[t]];
        }
        var z = Embed(Ops.Cat(pictures, 0)).View([episodes.Count, labels.Length, -1]).Transpose(0, 1);
        return (z, labels);
    }

    /// <summary>
    /// Of sequences of two pictures for each class up to all, short ones more often: what a memory is good for is hard to find out
    /// from long ones alone, and they cost more. In a short one, how often a label came says nothing about how often it will.
    /// </summary>
    protected override Tensor Loss(IReadOnlyList<Episode> episodes)
    {
        var most = (episodes[0].Support.Labels.Length + episodes[0].QueryLabels.Length) / episodes[0].Support.Way;
        var place = new Rng(episodes[0].Seed, 8).Next() * Enumerable.Range(2, Math.Max(1, most - 1)).Sum(n => 1.0 / (n * n));
        var each = 2;
        while (each < most && (place -= 1.0 / (each * each)) > 0) each++;
        var (embeddings, labels) = Sequences(episodes, each * episodes[0].Support.Way);
        var scores = Run(embeddings, labels);
        return Losses.CrossEntropy(Ops.Cat(scores, 0), Tensor.From([.. labels.SelectMany(row => row)]));
    }

    /// <summary>The share that is right when a class is seen for the first, second, … time in a sequence (table 1 of the paper).</summary>
    public double[] AccuracyByInstance(IReadOnlyList<Episode> episodes)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var (embeddings, labels) = Sequences(episodes);
        var said = Run(embeddings, labels).Select(scores => scores.Argmax(1).ToArray<long>()).ToArray();
        var most = labels.Length / _way;
        var (right, count) = (new double[most], new int[most]);
        for (var b = 0; b < episodes.Count; b++)
        {
            var seen = new int[_way];
            for (var t = 0; t < labels.Length; t++)
            {
                var instance = seen[labels[t][b]]++;
                count[instance]++;
                if (said[t][b] == labels[t][b]) right[instance]++;
            }
        }
        return [.. right.Zip(count, (r, n) => r / Math.Max(1, n))];
    }

    /// <summary>The support is shown first, picture by picture; then each query by itself, with the memory as the support left it.</summary>
    public override Tensor Scores(Support support, Tensor queries)
    {
        if (support.Way > _way) throw new GraftException($"this memory network tells {_way} classes apart, and the support set has {support.Way}: train it with --way {support.Way}");
        var all = Embed(Ops.Cat([support.Pictures, queries], 0));
        var (z, q) = (all.Narrow(0, 0, support.Labels.Length), all.Narrow(0, support.Labels.Length, queries.Shape[0]));
        // In turns, a picture of each class, as it would meet them in a mixed sequence.
        var turn = new int[support.Way];
        int[] order = [.. support.Labels.Select((label, k) => (Turn: turn[label]++, Label: label, Index: k)).OrderBy(item => item.Turn)
            .ThenBy(item => item.Label).Select(item => item.Index)];
        var state = Begin(1);
        var before = Ops.Zeros([1, _way]);
        foreach (var k in order)
        {
            (_, state) = Step(z.Narrow(0, k, 1), before, state);
            before = OneHot([support.Labels[k]]);
        }
        var count = queries.Shape[0];
        Tensor Spread(Tensor one) => one.Expand([count, .. one.Shape[1..]]);
        var (scores, _) = Step(q, Spread(before),
            new Recall(Spread(state.Picture), Spread(state.Memory), Spread(state.H), Spread(state.C), Spread(state.Read), Spread(state.ReadWeights),
            Spread(state.Usage)));
        return scores.Narrow(1, 0, support.Way);
    }
}
