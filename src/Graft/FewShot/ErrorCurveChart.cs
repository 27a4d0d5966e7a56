using Graft.Inference;
using Graft.Reports;

namespace Graft.FewShot;

/// <summary>An error-rate curve as a picture.</summary>
public static class ErrorCurveChart
{
    /// <summary>Both errors by the threshold.</summary>
    /// <param name="curve">The errors.</param>
    /// <param name="threshold">To be marked; null: where the two errors together are least.</param>
    public static string ToSvg(this ErrorCurve curve, double? threshold = null)
    {
        var (points, marked) = (curve.Points, threshold ?? curve.Best.Threshold);
        return new LineChart($"Equal error rate {100 * curve.EqualErrorRate:0.0}%", "distance", [
            new ChartLine("same, but missed", [.. points.Select(point => (point.Threshold, point.Missed))]),
            new ChartLine("different, but accepted", [.. points.Select(point => (point.Threshold, point.WronglyAccepted))])])
        {
            Mark = (Math.Clamp(marked, points[0].Threshold, points[^1].Threshold), $"threshold {marked:0.000}"),
        }.ToSvg();
    }
}
