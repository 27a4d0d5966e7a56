using System.Text.Json.Nodes;
using Graft.Data;

namespace Graft.Models.Hub;

/// <summary>What a Hugging Face repository says beside its weights.</summary>
internal static class HuggingFaceCard
{
    /// <summary>preprocessor_config.json beside a file, as a preprocessing; null where there is none, or it says nothing of use.</summary>
    public static Preprocessing? Preprocessing(string weights, Preprocessing own)
    {
        var path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(weights))!, "preprocessor_config.json");
        if (!File.Exists(path)) return null;
        try
        {
            var config = JsonNode.Parse(File.ReadAllText(path))!;
            double[]? Three(string key) => config[key] is JsonArray { Count: 3 } list ? [.. list.Select(value => (double)value!)] : null;
            if (Three("image_mean") is not { } mean || Three("image_std") is not { } std) return null;
            var filter = (int?)config["resample"] == 3 ? Filter.Bicubic : Filter.Bilinear;
            var size = config["size"] is JsonObject map ? map : null;
            var side = (int?)size?["height"] ?? own.Width;
            var shortest = (int?)size?["shortest_edge"] ?? (config["size"] is JsonValue value && value.TryGetValue<int>(out var plain) ? plain : 0);
            // Without a crop, such models squeeze the picture to the square.
            IReadOnlyList<Transform> steps = shortest > 0 && side == own.Width ? [new Resize((int)Math.Round(shortest / ((double?)config["crop_pct"] ?? 1)), filter), new CenterCrop(own.Width)] : [new ResizeExact(own.Width, own.Height)];
            return own with { Steps = steps, Normalize = new Normalize(mean, std) };
        }
        catch (Exception reason) when (reason is System.Text.Json.JsonException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }
}
