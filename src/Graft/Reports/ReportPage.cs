using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;

namespace Graft.Reports;

/// <summary>A report: one HTML file that needs nothing else and no network.</summary>
internal static class ReportPage
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    /// <summary>The page.</summary>
    /// <param name="title">Of the window.</param>
    /// <param name="body">HTML.</param>
    /// <param name="charts">What the script draws charts from: see Graft.Report/src/report.js.</param>
    public static string Of(string title, string body, object charts)
    {
        var data = JsonSerializer.Serialize(charts, s_json);
        return Asset("report.html").Replace("{{title}}", Html(title), StringComparison.Ordinal).Replace("{{css}}", Asset("report.css"), StringComparison.Ordinal)
            .Replace("{{body}}", body, StringComparison.Ordinal)
            .Replace("{{script}}", Asset("report.js").Replace("</script", "<\\/script", StringComparison.OrdinalIgnoreCase), StringComparison.Ordinal)
            .Replace("{{data}}", data.Replace("<", "\\u003c", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    /// <summary>Text as HTML.</summary>
    public static string Html(string text) => WebUtility.HtmlEncode(text);

    /// <summary>A small copy of a picture, as the base64 of a JPEG.</summary>
    public static string Thumbnail(Picture picture, int side)
    {
        var scale = Math.Min(1, (double)side * 2 / Math.Max(picture.Width, picture.Height));
        using var small = picture.Resize(Math.Max(1, (int)(picture.Width * scale)), Math.Max(1, (int)(picture.Height * scale)));
        return Convert.ToBase64String(small.ToJpeg(80));
    }

    private static string Asset(string name)
    {
        using var reader = new StreamReader(typeof(ReportPage).Assembly.GetManifestResourceStream($"report/{name}")
            ?? throw new InvalidOperationException($"the report's {name} was not built in"));
        return reader.ReadToEnd();
    }
}
