using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Answers for queries that are known to be spread evenly over the classes: the plan of optimal transport from queries to classes, by
/// Sinkhorn's iteration (Cuturi 2013, algorithm 1), as Hu et al. 2021 do for few-shot learning. Transductive: an answer depends
/// on the other queries, and on their being balanced.
/// </summary>
internal static class BalancedAssignment
{
    private const int Iterations = 50;

    /// <summary>Q×way scores (log-odds) to Q×way shares, each row summing to 1 and each column to Q / way.</summary>
    public static Tensor Apply(Tensor scores)
    {
        var p = scores.LogSoftmax(1);
        for (var k = 0; k < Iterations; k++)
        {
            p = p - p.Logsumexp([0L], true);
            p = p - p.Logsumexp([1L], true);
        }
        return p.Exp();
    }
}
