using Graft.Inference;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>
/// What the vectors of two items should be to one another, the vectors being what the backbone itself pools at a stage. The stages below the
/// phase's first are frozen. The backbone stays the caller's.
/// </summary>
internal abstract class PairObjective : Objective<PairBatch>
{
    private readonly Backbone _backbone;
    private readonly Phase _phase;
    private readonly int _from, _end;
    private readonly Device _device;

    /// <param name="backbone">That trains.</param>
    /// <param name="phase">What trains, and how.</param>
    /// <param name="featureStage">Whose pooled output is the vector.</param>
    /// <param name="device">Where the backbone is.</param>
    protected PairObjective(Backbone backbone, Phase phase, int featureStage, Device device)
    {
        (_backbone, _phase, _end, _device) = (Child("backbone", backbone), phase, featureStage + 1, device);
        _from = Math.Min(phase.TrainFrom, _end);
    }

    /// <summary>The mean over the batch.</summary>
    /// <param name="u">B×C, the first of each pair.</param>
    /// <param name="v">B×C, the second.</param>
    /// <param name="targets">B.</param>
    /// <param name="step">To count what is shown.</param>
    protected abstract Tensor Loss(Tensor u, Tensor v, Tensor targets, Step step);

    protected override Tensor Loss(PairBatch batch, Step step)
    {
        var (u, v) = Vectors(batch);
        return Loss(u, v, Tensor.From(batch.Targets).To(_device), step);
    }

    private (Tensor U, Tensor V) Vectors(PairBatch batch)
    {
        var vectors = Ops.Cat([.. batch.Inputs.Select(Pooled)], 0);
        Tensor Rows(long[] rows) => vectors.IndexSelect(0, Tensor.From(rows).To(_device));
        return (Rows(batch.First), Rows(batch.Second));
    }

    private Tensor Pooled(Tensor inputs)
    {
        Signal x = inputs.To(_device);
        if (_from > 0)
        {
            using var frozen = Autograd.NoGrad();
            x = _backbone.Forward(x, 0, _from);
        }
        return _backbone.Pool(_backbone.Forward(x, _from, _end));
    }

    public override IReadOnlyList<ParameterGroup> Groups(Optimisation how) => _phase.StageGroups(_backbone, _end);

    /// <summary>Spearman's correlation of the cosines with the targets, and the mean loss.</summary>
    public override Score Evaluate(Feed<PairBatch> heldOut, Workers workers, CancellationToken cancel)
    {
        using var mode = Autograd.NoGrad();
        var (loss, said, truth) = (0.0, new List<double>(), new List<double>());
        foreach (var batch in heldOut.Epoch(0, 0))
        {
            using (batch)
            using (new TensorScope())
            {
                cancel.ThrowIfCancellationRequested();
                var (u, v) = Vectors(batch);
                loss += Loss(u, v, Tensor.From(batch.Targets).To(_device), new Step(0, 0, 0, 0, 0, 1)).Item() * batch.Targets.Length;
                said.AddRange(Ops.CosineSimilarity(u, v).To(Device.Cpu).To(DType.Float64).ToArray<double>());
                truth.AddRange(batch.Targets.Select(target => (double)target));
            }
        }
        var mean = loss / Math.Max(1, said.Count);
        // Where all are alike there is no order: the loss alone decides.
        var order = Ranking.Spearman([.. said], [.. truth]);
        return new Score("Spearman", double.IsFinite(order) ? order : 0, true, mean);
    }

    protected internal override string? FirstBadOutput(PairBatch batch)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var (u, v) = Vectors(batch);
        static bool Bad(Tensor tensor) => !tensor.Isfinite().All().ToArray<bool>()[0];
        return Bad(u) || Bad(v) ? "the stages' output" : null;
    }

    // The backbone lives on.
    protected override void Dispose(bool disposing) { }
}
