using Graft.Data;
using Graft.Heads;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>
/// Which class a picture is of: the head on the pooled output of a stage, trained by cross-entropy, or by the squared hinge loss where
/// the head is a support vector machine. The stages below the phase's first are frozen; they may have run already, and batches then hold
/// their output. Backbone and head stay the caller's.
/// </summary>
internal sealed class ClassificationObjective : Objective<Batch>
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
    public ClassificationObjective(Backbone backbone, Head head, Phase phase, int featureStage, Device device = default, Tensor? classWeights = null)
    {
        (_backbone, _head, _phase, _end, _device, _classWeights) = (Child("backbone", backbone), Child("head", head), phase, featureStage + 1, device, classWeights);
        _from = Math.Min(phase.TrainFrom, _end);
    }

    private bool FrozenHasRun => _phase is { TrainFrom: > 0, Views: > 0 };

    protected override Tensor Loss(Batch batch, Step step)
    {
        var (inputs, targets) = (batch.Inputs.To(_device), batch.Labels.To(_device));
        var labels = targets;
        if (_phase.Mixup > 0 && (_phase.CutMix <= 0 || step.Rng.Next() < 0.5)) (inputs, targets) = BatchMixing.Mixup(inputs, targets, _head.Classes, _phase.Mixup, ref step.Rng);
        else if (_phase.CutMix > 0) (inputs, targets) = BatchMixing.CutMix(inputs, targets, _head.Classes, _phase.CutMix, ref step.Rng);
        var scores = Scores(inputs).Scores;
        step.Count("right", scores.Detach().Argmax(1).Eq(labels).Sum().Item(), batch.Indices.Length);
        return _head.Kind == HeadKind.Svm
            ? Losses.SquaredHinge(scores, targets, _classWeights)
            : Losses.CrossEntropy(scores, targets, _classWeights, _phase.LabelSmoothing);
    }

    private (Tensor Features, Tensor Scores) Scores(Tensor inputs)
    {
        var x = inputs;
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
        var groups = new List<ParameterGroup> { new("head", [.. _head.Parameters()], _phase.HeadRate, _phase.WeightDecay) };
        for (var k = _phase.TrainFrom; k < _end; k++)
        {
            Tensor[] parameters = [.. _backbone.Stages[k].Modules.SelectMany(module => module.Parameters())];
            var rate = k < _phase.StageRates.Count ? _phase.StageRates[k] : _phase.HeadRate;
            if (parameters.Length > 0 && rate > 0) groups.Add(new ParameterGroup(_backbone.Stages[k].Name, parameters, rate, _phase.WeightDecay));
        }
        return groups;
    }

    /// <summary>Accuracy and mean cross-entropy on whole pictures, none of whose stages have run.</summary>
    public override Score Evaluate(Feed<Batch> heldOut, Workers workers, CancellationToken cancel)
    {
        using var mode = Autograd.NoGrad();
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
