using Graft.Learning;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>What the made-up tasks have in common: a question whose answer is known because it was made.</summary>
internal static class Guess
{
    /// <summary>Cross-entropy of scores N×K, and how often the best is the right one.</summary>
    public static Tensor Loss(Tensor scores, long[] answers, Step step)
    {
        var truth = Tensor.From(answers).To(scores.Device);
        step.Count("right", scores.Detach().Argmax(1).Eq(truth).Sum().Item(), answers.Length);
        return Losses.CrossEntropy(scores, truth);
    }

    /// <summary>Cross-entropy of yes or no: scores N, answers of 0 and 1.</summary>
    public static Tensor YesOrNo(Tensor scores, float[] answers, Step step)
    {
        var truth = Tensor.From(answers).To(scores.Device);
        step.Count("right", scores.Detach().Gt(0).Eq(truth.Gt(0.5)).Sum().Item(), answers.Length);
        return Losses.BinaryCrossEntropy(scores, truth);
    }
}
