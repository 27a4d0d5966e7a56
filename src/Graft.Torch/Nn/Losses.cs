namespace Graft.Torch;

/// <summary>Losses, reduced to their mean unless said otherwise.</summary>
public static class Losses
{
    /// <summary>Softmax cross-entropy; logits: N×classes, labels: N whole numbers, or N×classes probabilities.</summary>
    public static Tensor CrossEntropy(Tensor logits, Tensor labels, Tensor? classWeights = null, double smoothing = 0, Reduction reduction = Reduction.Mean) =>
        logits.CrossEntropyLoss(labels, classWeights, reduction, -100, smoothing);

    /// <summary>Sigmoid cross-entropy of each output by itself; both N×outputs.</summary>
    public static Tensor BinaryCrossEntropy(Tensor logits, Tensor targets) => logits.BinaryCrossEntropyWithLogits(targets);

    /// <summary>
    /// One against the rest, squared hinge: mean over pictures of Σ max(0, 1 − y·score)², weighted by the picture's class where there are
    /// weights; scores: N×classes, labels: N, weights: classes.
    /// </summary>
    public static Tensor SquaredHinge(Tensor scores, Tensor labels, Tensor? classWeights = null)
    {
        var signs = labels.OneHot(scores.Shape[1]).To(scores.Type).Mul((Scalar)2L).Sub((Scalar)1L);
        var each = (1 - signs * scores).Relu().Square().Sum([1L]);
        if (classWeights is null) return each.Mean();
        var weights = classWeights.IndexSelect(0, labels);
        return (each * weights).Sum() / weights.Sum();
    }
}
