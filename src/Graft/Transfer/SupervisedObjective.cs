using Graft.Data;
using Graft.Heads;
using Graft.Inference;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>
/// What pictures are labelled with, by the head on the pooled output of a stage. Classes by cross-entropy, or by the squared hinge loss where
/// the head is a support vector machine; several labels by the sigmoid cross-entropy of each; numbers, in units of their standard deviation,
/// by the squared error, or by Huber's loss (1964) with δ = 1.345, in the same units. The stages below the phase's first are frozen; they may
/// have run already, and batches then hold their output. Backbone and head stay the caller's.
/// </summary>
internal sealed class SupervisedObjective : Objective<Batch>
{
    private readonly Backbone _backbone;
    private readonly Head _head;
    private readonly Phase _phase;
    private readonly int _end, _from;
    private readonly Device _device;
    private readonly Tensor? _classWeights;

    /// <param name="backbone">Below the head.</param>
    /// <param name="head">On the pooled output of a stage.</param>
    /// <param name="phase">What trains, and how.</param>
    /// <param name="featureStage">The head's stage.</param>
    /// <param name="device">Where both are.</param>
    /// <param name="classWeights">Of each class in the loss; null: the same.</param>
    public SupervisedObjective(Backbone backbone, Head head, Phase phase, int featureStage, Device device = default, Tensor? classWeights = null)
    {
        (_backbone, _head, _phase, _end, _device, _classWeights) = (Child("backbone", backbone), Child("head", head), phase, featureStage + 1, device, classWeights);
        _from = Math.Min(phase.TrainFrom, _end);
    }

    private bool FrozenHasRun => _phase is { TrainFrom: > 0, Views: > 0 };

    protected override Tensor Loss(Batch batch, Step step)
    {
        var (inputs, targets) = (batch.Inputs.To(_device), batch.Labels.To(_device));
        if (_head.Kind.Task() != TargetKind.Classes) return Loss(Scores(inputs).Scores, targets, Reduction.Mean);
        var labels = targets;
        if (_phase.Mixup > 0 && (_phase.CutMix <= 0 || step.Rng.Next() < 0.5)) (inputs, targets) = BatchMixing.Mixup(inputs, targets, _head.Classes, _phase.Mixup, ref step.Rng);
        else if (_phase.CutMix > 0) (inputs, targets) = BatchMixing.CutMix(inputs, targets, _head.Classes, _phase.CutMix, ref step.Rng);
        var scores = Scores(inputs).Scores;
        step.Count("right", scores.Detach().Argmax(1).Eq(labels).Sum().Item(), batch.Indices.Length);
        return _head.Kind == HeadKind.Svm
            ? Losses.SquaredHinge(scores, targets, _classWeights)
            : Losses.CrossEntropy(scores, targets, _classWeights, _phase.LabelSmoothing);
    }

    private Tensor Loss(Tensor scores, Tensor targets, Reduction reduction)
    {
        if (_head.Kind == HeadKind.Sigmoid) return scores.BinaryCrossEntropyWithLogits(targets, reduction: reduction);
        var wanted = _head.Units is { } units ? (targets - Head.Row(units.Mean).To(_device)) / Head.Row(units.Scale).To(_device) : targets;
        return _head.Kind == HeadKind.Huber ? scores.HuberLoss(wanted, reduction, NumberFitter.Efficient) : scores.MseLoss(wanted, reduction);
    }

    private (Tensor Features, Tensor Scores) Scores(Tensor inputs)
    {
        Signal x = inputs;
        if (!FrozenHasRun && _from > 0)
        {
            using var frozen = Autograd.NoGrad();
            x = _backbone.Forward(inputs, 0, _from);
        }
        x = _backbone.Forward(x, _from, _end);
        return (x, _head.Forward(_backbone.Pool(x)));
    }

    public override IReadOnlyList<ParameterGroup> Groups(Optimisation how)
    {
        var head = new ParameterGroup("head", [.. _head.Parameters()], _phase.HeadRate, _phase.WeightDecay);
        return [head, .. _phase.StageGroups(_backbone, _end)];
    }

    /// <summary>Accuracy, mean average precision or R², and the mean loss (of classes the cross-entropy), on whole pictures, none of whose stages have run.</summary>
    public override Score Evaluate(Feed<Batch> heldOut, Workers workers, CancellationToken cancel)
    {
        using var mode = Autograd.NoGrad();
        if (_head.Kind.Task() != TargetKind.Classes) return Ranked(heldOut);
        var (loss, right, count) = (0.0, 0, 0);
        foreach (var batch in heldOut.Epoch(0, 0))
        {
            using (batch)
            using (new TensorScope())
            {
                var labels = batch.Labels.To(_device);
                var scores = _head.Forward(_backbone.Pool(_backbone.Forward(batch.Inputs.To(_device), 0, _end)));
                loss += (scores * _head.Temperature).CrossEntropyLoss(labels, null, Reduction.Sum).Item();
                right += (int)scores.Argmax(1).Eq(labels).Sum().Item();
                count += batch.Indices.Length;
            }
        }
        return new Score("accuracy", (double)right / Math.Max(1, count), true, loss / Math.Max(1, count));
    }

    private Score Ranked(Feed<Batch> heldOut)
    {
        var (loss, answers, truths) = (0.0, new List<float>(), new List<float>());
        foreach (var batch in heldOut.Epoch(0, 0))
        {
            using (batch)
            using (new TensorScope())
            {
                var features = _backbone.Pool(_backbone.Forward(batch.Inputs.To(_device), 0, _end));
                loss += Loss(_head.Forward(features), batch.Labels.To(_device), Reduction.Sum).Item();
                answers.AddRange(_head.Answers(features).To(Device.Cpu).Contiguous().ToArray<float>());
                truths.AddRange(batch.Labels.ToArray<float>());
            }
        }
        var rows = truths.Chunk(_head.Classes).ToArray();
        string[] names = [.. Enumerable.Range(0, _head.Classes).Select(k => $"{k}")];
        Targets targets = _head.Kind == HeadKind.Sigmoid ? new LabelTargets([.. rows.Select(row => Enumerable.Range(0, row.Length).Where(k => row[k] > 0.5f).ToArray())], names) : new NumberTargets(rows, names);
        var score = TaskMetrics.Of([.. answers], targets, resamples: 0).Score;
        // Nothing can be ranked where no held-out picture has a label: the loss alone decides then.
        return score with { Value = double.IsFinite(score.Value) ? score.Value : 0, Loss = loss / Math.Max(1, truths.Count) };
    }

    protected internal override string? FirstBadOutput(Batch batch)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var (features, scores) = Scores(batch.Inputs.To(_device));
        static bool Bad(Tensor tensor) => !tensor.Isfinite().All().ToArray<bool>()[0];
        return Bad(features) ? "the stages' output" : Bad(scores) ? "the scores" : null;
    }

    // Backbone and head live on.
    protected override void Dispose(bool disposing) => _classWeights?.Dispose();
}
