using System.Text.RegularExpressions;
using Graft.Torch;

namespace Graft.Models.Checkpoints;

/// <summary>Names that other projects give to the same tensors, brought to torchvision's.</summary>
internal static class Renames
{
    /// <summary>One project's names: known by a tensor that only they have.</summary>
    /// <param name="Sign">A pattern that one of the names matches.</param>
    /// <param name="Rules">Patterns and what they become, the first that matches.</param>
    private sealed record Dialect(string Sign, params (string From, string To)[] Rules);

    private static readonly Dialect[] s_dialects =
    [
        // torchvision's own DenseNet files are older than its names.
        new(@"denselayer\d+\.norm\.1\.weight$", (@"(denselayer\d+)\.(norm|conv)\.([12])\.", "$1.$2$3.")),
        // torchvision's ViT before 0.12.
        new(@"^encoder\.layers\.encoder_layer_0\.mlp\.linear_1\.weight$", (@"\.mlp\.linear_1\.", ".mlp.0."), (@"\.mlp\.linear_2\.", ".mlp.3.")),
        // timm and DeiT.
        new(@"^blocks\.0\.attn\.qkv\.weight$",
            ("^cls_token$", "class_token"), ("^pos_embed$", "encoder.pos_embedding"), (@"^patch_embed\.proj\.", "conv_proj."), (@"^norm\.", "encoder.ln."), (@"^head\.", "heads.head."),
            (@"^blocks\.(\d+)\.norm([12])\.", "encoder.layers.encoder_layer_$1.ln_$2."), (@"^blocks\.(\d+)\.attn\.qkv\.(weight|bias)$", "encoder.layers.encoder_layer_$1.self_attention.in_proj_$2"),
            (@"^blocks\.(\d+)\.attn\.proj\.", "encoder.layers.encoder_layer_$1.self_attention.out_proj."), (@"^blocks\.(\d+)\.mlp\.fc1\.", "encoder.layers.encoder_layer_$1.mlp.0."),
            (@"^blocks\.(\d+)\.mlp\.fc2\.", "encoder.layers.encoder_layer_$1.mlp.3.")),
        // Hugging Face's ViT; query, key and value are joined afterwards.
        new(@"^(vit\.)?encoder\.layer\.0\.attention\.attention\.query\.weight$",
            (@"^(?:vit\.)?embeddings\.cls_token$", "class_token"), (@"^(?:vit\.)?embeddings\.position_embeddings$", "encoder.pos_embedding"), (@"^(?:vit\.)?embeddings\.patch_embeddings\.projection\.", "conv_proj."),
            (@"^(?:vit\.)?layernorm\.", "encoder.ln."), (@"^classifier\.", "heads.head."), (@"^(?:vit\.)?encoder\.layer\.(\d+)\.layernorm_before\.", "encoder.layers.encoder_layer_$1.ln_1."),
            (@"^(?:vit\.)?encoder\.layer\.(\d+)\.layernorm_after\.", "encoder.layers.encoder_layer_$1.ln_2."),
            (@"^(?:vit\.)?encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.(weight|bias)$", "encoder.layers.encoder_layer_$1.self_attention.in_proj_$3.$2"),
            (@"^(?:vit\.)?encoder\.layer\.(\d+)\.attention\.output\.dense\.", "encoder.layers.encoder_layer_$1.self_attention.out_proj."),
            (@"^(?:vit\.)?encoder\.layer\.(\d+)\.intermediate\.dense\.", "encoder.layers.encoder_layer_$1.mlp.0."), (@"^(?:vit\.)?encoder\.layer\.(\d+)\.output\.dense\.", "encoder.layers.encoder_layer_$1.mlp.3.")),
    ];

    /// <summary>The same tensors under torchvision's names, where another project's are recognised.</summary>
    public static IReadOnlyDictionary<string, Tensor> Apply(IReadOnlyDictionary<string, Tensor> state)
    {
        if (state.Keys.Any(name => Regex.IsMatch(name, @"(^|\.)embedder\.embedder\.convolution\.weight$"))) return HuggingFaceResNet(state);
        if (s_dialects.FirstOrDefault(dialect => state.Keys.Any(name => Regex.IsMatch(name, dialect.Sign))) is not { } dialect) return state;
        var renamed = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in state)
        {
            var rule = dialect.Rules.FirstOrDefault(rule => Regex.IsMatch(name, rule.From));
            renamed[rule.From is null ? name : Regex.Replace(name, rule.From, rule.To)] = tensor;
        }
        foreach (var joined in renamed.Keys.Where(name => name.EndsWith(".query", StringComparison.Ordinal)).Select(name => name[..^".query".Length]).ToList())
        {
            var parts = new[] { "query", "key", "value" }.Select(part => $"{joined}.{part}").ToArray();
            if (!parts.All(renamed.ContainsKey)) continue;
            renamed[joined] = Ops.Cat([.. parts.Select(part => renamed[part])], 0);
            foreach (var part in parts) renamed.Remove(part);
        }
        return renamed;
    }

    // Its stages count from 0 where torchvision's count from 1.
    private static Dictionary<string, Tensor> HuggingFaceResNet(IReadOnlyDictionary<string, Tensor> state)
    {
        static string Kind(string kind, string number) => (kind == "convolution" ? "conv" : "bn") + number;
        return state.ToDictionary(item => Regex.Replace(Regex.Replace(Regex.Replace(Regex.Replace(item.Key, @"^resnet\.", ""),
            @"^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.(convolution|normalization)\.", match => $"layer{int.Parse(match.Groups[1].Value) + 1}.{match.Groups[2].Value}.{Kind(match.Groups[4].Value, $"{int.Parse(match.Groups[3].Value) + 1}")}."),
            @"^encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.(convolution|normalization)\.", match => $"layer{int.Parse(match.Groups[1].Value) + 1}.{match.Groups[2].Value}.downsample.{(match.Groups[3].Value == "convolution" ? 0 : 1)}."),
            @"^(?:embedder\.embedder\.(convolution|normalization)|classifier\.1)\.", match => match.Groups[1].Success ? $"{Kind(match.Groups[1].Value, "1")}." : "fc."), item => item.Value);
    }
}
