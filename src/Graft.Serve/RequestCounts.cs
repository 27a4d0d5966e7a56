using System.Globalization;
using System.Text;

namespace Graft.Serve;

/// <summary>Requests by status, and their times.</summary>
internal sealed class RequestCounts
{
    private static readonly double[] s_bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    private readonly Lock _lock = new();
    private readonly SortedDictionary<int, long> _statuses = [];
    private readonly long[] _buckets = new long[s_bounds.Length + 1];
    private double _seconds;

    public void Count(int status, double seconds)
    {
        lock (_lock)
        {
            _statuses[status] = _statuses.GetValueOrDefault(status) + 1;
            _seconds += seconds;
            var bucket = Array.FindIndex(s_bounds, bound => seconds <= bound);
            _buckets[bucket < 0 ? s_bounds.Length : bucket]++;
        }
    }

    public string Text(IPredictor predictor)
    {
        var text = new StringBuilder();
        void Line(string name, double value) => text.Append(CultureInfo.InvariantCulture, $"{name} {value:R}\n");
        lock (_lock)
        {
            text.Append("# TYPE graft_requests_total counter\n");
            foreach (var (status, count) in _statuses) Line($"graft_requests_total{{status=\"{status}\"}}", count);
            text.Append("# TYPE graft_request_seconds histogram\n");
            long sum = 0;
            for (var k = 0; k < s_bounds.Length; k++) Line($"graft_request_seconds_bucket{{le=\"{s_bounds[k].ToString(CultureInfo.InvariantCulture)}\"}}", sum += _buckets[k]);
            Line("graft_request_seconds_bucket{le=\"+Inf\"}", sum += _buckets[^1]);
            Line("graft_request_seconds_sum", _seconds);
            Line("graft_request_seconds_count", sum);
        }
        var (pictures, batches, waited, ran) = predictor.Totals;
        text.Append("# TYPE graft_pictures_total counter\n");
        Line("graft_pictures_total", pictures);
        text.Append("# TYPE graft_batches_total counter\n");
        Line("graft_batches_total", batches);
        text.Append("# TYPE graft_wait_seconds_total counter\n");
        Line("graft_wait_seconds_total", waited);
        text.Append("# TYPE graft_run_seconds_total counter\n");
        Line("graft_run_seconds_total", ran);
        return text.ToString();
    }
}
