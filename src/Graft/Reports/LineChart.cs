using System.Globalization;
using System.Net;
using System.Text;

namespace Graft.Reports;

/// <summary>A line of a chart: points from left to right; the second value is a share, 0 … 1.</summary>
internal sealed record ChartLine(string Name, IReadOnlyList<(double X, double Share)> Points);

/// <summary>Lines of shares (accuracies, error rates) over a number, as an SVG picture that needs nothing else.</summary>
internal sealed record LineChart(string Title, string Horizontal, IReadOnlyList<ChartLine> Lines)
{
    private const int Width = 640, Height = 380, Left = 52, Right = 190, Top = 40, Bottom = 48;

    // Told apart by colour-blind people too (Okabe and Ito).
    private static readonly string[] s_colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f"];

    /// <summary>Equal steps between the values of x, whatever their size: for 1, 2, 5, 10, 20.</summary>
    public bool Ordinal { get; init; }

    /// <summary>A place on the horizontal axis to be marked, and what it is.</summary>
    public (double X, string Name)? Mark { get; init; }

    /// <summary>The picture.</summary>
    public string ToSvg()
    {
        var xs = Lines.SelectMany(line => line.Points).Select(point => point.X).Distinct().Order().ToArray();
        var shares = Lines.SelectMany(line => line.Points).Select(point => point.Share).ToArray();
        var (floor, ceiling) = (Math.Floor(10 * shares.Min()) / 10, Math.Ceiling(10 * shares.Max()) / 10);
        if (ceiling <= floor) ceiling = floor + 0.1;
        double X(double x)
        {
            var place = Ordinal ? (double)Array.BinarySearch(xs, x) / Math.Max(1, xs.Length - 1) : (x - xs[0]) / Math.Max(1e-12, xs[^1] - xs[0]);
            return Left + place * (Width - Left - Right);
        }
        double Y(double share) => Height - Bottom - (share - floor) / (ceiling - floor) * (Height - Top - Bottom);
        var svg = new StringBuilder();
        void Add(FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Add($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">");
        Add($"<rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/><text x=\"{Left}\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{Text(Title)}</text>");
        for (var k = 0; k <= 5; k++)
        {
            var share = floor + (ceiling - floor) * k / 5;
            Add($"<line x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(share):0.0}\" y2=\"{Y(share):0.0}\" stroke=\"#ddd\"/><text x=\"{Left - 6}\" y=\"{Y(share) + 4:0.0}\" text-anchor=\"end\">{100 * share:0}%</text>");
        }
        foreach (var x in Ordinal ? xs : [.. Enumerable.Range(0, 5).Select(k => xs[0] + (xs[^1] - xs[0]) * k / 4)])
            Add($"<text x=\"{X(x):0.0}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{(Ordinal ? x.ToString("0.###", CultureInfo.InvariantCulture) : x.ToString("0.00", CultureInfo.InvariantCulture))}</text>");
        Add($"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 8}\" text-anchor=\"middle\">{Text(Horizontal)}</text>");
        if (Mark is { } mark) Add($"<line x1=\"{X(mark.X):0.0}\" x2=\"{X(mark.X):0.0}\" y1=\"{Top}\" y2=\"{Height - Bottom}\" stroke=\"#555\" stroke-dasharray=\"4 3\"/><text x=\"{X(mark.X):0.0}\" y=\"{Top - 4}\" text-anchor=\"middle\">{Text(mark.Name)}</text>");
        for (var k = 0; k < Lines.Count; k++)
        {
            var (line, colour) = (Lines[k], s_colours[k % s_colours.Length]);
            Add($"<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{string.Join(' ', line.Points.Select(point => string.Create(CultureInfo.InvariantCulture, $"{X(point.X):0.0},{Y(point.Share):0.0}")))}\"/>");
            if (line.Points.Count <= 12) Add($"{string.Concat(line.Points.Select(point => string.Create(CultureInfo.InvariantCulture, $"<circle cx=\"{X(point.X):0.0}\" cy=\"{Y(point.Share):0.0}\" r=\"3\" fill=\"{colour}\"/>")))}");
            Add($"<rect x=\"{Width - Right + 14}\" y=\"{Top + 20 * k}\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{Width - Right + 32}\" y=\"{Top + 20 * k + 10}\">{Text(line.Name)}</text>");
        }
        return svg.Append("</svg>\n").ToString();
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
