using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// Annealed importance sampling (Neal 2001) of a restricted Boltzmann machine's partition function, as Salakhutdinov and Murray 2008 do it
/// (section 4): from a machine of biases alone, whose Z is known, through machines between the two. W: hidden×visible, b: hidden, a: visible.
/// </summary>
internal static class AnnealedImportance
{
    // The paper's spacing of 14,500 temperatures: few where the machines are alike, most near the end (section 5).
    private static readonly (double From, double To, double Share)[] s_parts =
        [(0, 0.5, 500 / 14500.0), (0.5, 0.9, 4000 / 14500.0), (0.9, 1, 10000 / 14500.0)];

    /// <summary>F(v) = −aᵀv − Σ log(1 + exp(b + Wv)), of N×visible: N.</summary>
    public static Tensor FreeEnergy(Tensor v, Tensor w, Tensor b, Tensor a) => -v.Matmul(a) - v.Linear(w, b).Softplus().Sum([1L]);

    /// <summary>log Z, and the standard error of Z as a share of it.</summary>
    /// <param name="w">W.</param>
    /// <param name="b">Hidden biases.</param>
    /// <param name="a">Visible biases.</param>
    /// <param name="first">Visible biases of the machine that it begins at: the data's log-odds.</param>
    /// <param name="chains">Runs, side by side.</param>
    /// <param name="temperatures">Machines on the way, about.</param>
    public static (double LogZ, double Error) LogPartition(Tensor w, Tensor b, Tensor a, Tensor first, int chains = 64, int temperatures = 2000)
    {
        using var mode = Autograd.NoGrad();
        // Thousands of small operators: threads would wait for one another longer than they work.
        using var alone = TorchRuntime.OneThread();
        var (hidden, visible) = (w.Shape[0], w.Shape[1]);
        double[] betas = [.. s_parts.SelectMany(part =>
        {
            var count = Math.Max(2, (int)Math.Round(temperatures * part.Share));
            return Enumerable.Range(0, count).Select(k => part.From + (part.To - part.From) * k / count);
        }), 1];
        // log p*_β(v) of eq. 16, the first machine's hidden units being free.
        Tensor Log(Tensor v, Tensor sums, double beta) => v.Matmul(first) * (1 - beta) + v.Matmul(a) * beta + (sums * beta).Softplus().Sum([1L]);
        using var outer = new TensorScope();
        var v = first.Sigmoid().Unsqueeze(0).Expand([chains, visible]).Bernoulli();
        var log = new double[chains];
        for (var k = 1; k < betas.Length; k++)
        {
            using var scope = new TensorScope();
            var sums = v.Linear(w, b);
            var gain = (Log(v, sums, betas[k]) - Log(v, sums, betas[k - 1])).ToArray<double>();
            for (var c = 0; c < chains; c++) log[c] += gain[c];
            if (k == betas.Length - 1) break;
            var h = (sums * betas[k]).Sigmoid().Bernoulli();
            var before = v;
            v = scope.Keep((first * (1 - betas[k]) + (h.Matmul(w) + a) * betas[k]).Sigmoid().Bernoulli());
            before.Dispose();
        }
        var most = log.Max();
        var weights = Array.ConvertAll(log, value => Math.Exp(value - most));
        var mean = weights.Average();
        var deviation = Math.Sqrt(weights.Sum(weight => (weight - mean) * (weight - mean)) / Math.Max(1, chains - 1));
        var start = hidden * Math.Log(2) + first.Softplus().Sum().Item();
        return (start + most + Math.Log(mean), deviation / mean / Math.Sqrt(chains));
    }
}
