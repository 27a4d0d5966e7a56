using System.Text.Json.Serialization;

namespace Graft.Inference;

/// <summary>Precision, recall and F1 of one class.</summary>
public sealed record ClassMetrics(string Name, int Count, double Precision, double Recall, double F1);

/// <summary>How well a classifier does on labelled pictures.</summary>
/// <param name="Count">Pictures.</param>
/// <param name="Accuracy">Share that is right.</param>
/// <param name="Low">Lower end of the accuracy's 95% interval (Wilson 1927).</param>
/// <param name="High">Upper end.</param>
/// <param name="Top5">Share whose class is among the five most likely.</param>
/// <param name="BalancedAccuracy">Mean recall over classes.</param>
/// <param name="MacroF1">Mean F1 over classes.</param>
/// <param name="Loss">Mean negative log-likelihood.</param>
/// <param name="CalibrationError">Expected calibration error, 15 bins (Guo et al. 2017, eq. 5).</param>
/// <param name="PerClass">Class by class.</param>
/// <param name="Confusion">Row: the true class; column: the predicted one.</param>
public sealed record Metrics(int Count, double Accuracy, double Low, double High, double Top5, double BalancedAccuracy, double MacroF1, double Loss,
    double CalibrationError,
    IReadOnlyList<ClassMetrics> PerClass, int[][] Confusion) : TaskMetrics(Count)
{
    private const int Bins = 15;

    /// <inheritdoc/>
    [JsonIgnore]
    public override Score Score => new("accuracy", Accuracy, true, Loss);

    /// <summary>From probabilities.</summary>
    /// <param name="probabilities">N×classes, row after row.</param>
    /// <param name="labels">N.</param>
    /// <param name="classes">Names.</param>
    public static Metrics Of(float[] probabilities, int[] labels, IReadOnlyList<string> classes)
    {
        var (n, k) = (labels.Length, classes.Count);
        var confusion = Enumerable.Range(0, k).Select(_ => new int[k]).ToArray();
        var (right, top, loss) = (0, 0, 0.0);
        var (binCount, binRight, binSure) = (new int[Bins], new int[Bins], new double[Bins]);
        for (var i = 0; i < n; i++)
        {
            var row = probabilities.AsSpan(i * k, k);
            var best = 0;
            var above = 0;
            for (var c = 0; c < k; c++)
            {
                if (row[c] > row[best]) best = c;
                if (row[c] > row[labels[i]]) above++;
            }
            confusion[labels[i]][best]++;
            var correct = best == labels[i];
            if (correct) right++;
            if (above < 5) top++;
            loss -= Math.Log(Math.Max(row[labels[i]], 1e-12));
            var bin = Math.Clamp((int)(row[best] * Bins), 0, Bins - 1);
            binCount[bin]++;
            binSure[bin] += row[best];
            if (correct) binRight[bin]++;
        }
        var perClass = classes.Select((name, c) =>
        {
            var truly = confusion[c].Sum();
            var said = confusion.Sum(row => row[c]);
            double precision = said == 0 ? 0 : (double)confusion[c][c] / said, recall = truly == 0 ? 0 : (double)confusion[c][c] / truly;
            return new ClassMetrics(name, truly, precision, recall, precision + recall == 0 ? 0 : 2 * precision * recall / (precision + recall));
        }).ToArray();
        var present = perClass.Where(found => found.Count > 0).ToArray();
        var (low, high) = Wilson(right, n);
        return new Metrics(n, n == 0 ? 0 : (double)right / n, low, high, n == 0 ? 0 : (double)top / n,
            present.Length == 0 ? 0 : present.Average(found => found.Recall), present.Length == 0 ? 0 : present.Average(found => found.F1), n == 0
                ? 0 : loss / n,
            Enumerable.Range(0, Bins).Sum(b => n == 0 ? 0 : Math.Abs(binRight[b] - binSure[b]) / n), perClass, confusion);
    }

    /// <summary>The 95% interval of a share.</summary>
    public static (double Low, double High) Wilson(int right, int n)
    {
        if (n == 0) return (0, 1);
        const double Z = 1.959964;
        var p = (double)right / n;
        var middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n);
        var half = Z * Math.Sqrt(p * (1 - p) / n + Z * Z / (4.0 * n * n)) / (1 + Z * Z / n);
        return (middle - half, middle + half);
    }
}
