using Graft.Data;
using Graft.Inference;

namespace Graft.Transfer;

/// <summary>
/// What a model of several labels or of numbers needs beside its weights, found on pictures that it was not fitted to: a threshold for each
/// label, the interval about each number. Where the head was solved and nothing trained after it, on the folds that its cross-validation
/// held out; otherwise on the validation pictures.
/// </summary>
internal sealed record Judge(double[]? Thresholds, double[][]? Residuals, IReadOnlyList<string> Notes)
{
    public static Judge Of(PlanRunner trained, Dataset train, Plan plan, float[] answers, Targets truth)
    {
        if (train.Targets is ClassTargets) return new Judge(null, null, []);
        var solved = plan.Phases.All(phase => phase.Solve);
        var (said, targets) = solved && trained.Fit?.HeldOut is { } folds ? (folds, train.Targets.Subset(trained.FitIndices)) : (answers, truth);
        var what = train.Targets is LabelTargets ? "the thresholds of the labels were chosen" : "the intervals of the numbers were measured";
        if (targets.Count == 0)
        {
            var then = train.Targets is LabelTargets ? "each label is said from a probability of a half on" : "the numbers have no intervals";
            return new Judge(null, null, [$"nothing was held out: {then}"]);
        }
        IReadOnlyList<string> notes = ReferenceEquals(said, answers)
            ? [$"{what} on the {targets.Count} validation pictures, so that their own figures are a little kind"] : [];
        return targets is LabelTargets labels ? new Judge(LabelMetrics.Thresholds(said, labels), null, notes)
            : new Judge(null, NumberMetrics.Residuals(said, (NumberTargets)targets), notes);
    }
}
