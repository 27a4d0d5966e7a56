namespace Graft.Models.Zoo;

/// <summary>What the parts of a text encoder are called in Hugging Face's checkpoints.</summary>
/// <param name="Words">Vectors of the pieces.</param>
/// <param name="Places">Vectors of the positions.</param>
/// <param name="Types">Vectors of the first and the second sentence.</param>
/// <param name="First">The normalisation behind the vectors.</param>
/// <param name="Project">From the vectors' width to the layers'.</param>
/// <param name="Layer">A layer, {0} its number.</param>
/// <param name="Query">Within a layer, as all that follow.</param>
/// <param name="Key">Of the attention.</param>
/// <param name="Value">Of the attention.</param>
/// <param name="Out">The dense layer behind the attention.</param>
/// <param name="AttentionNorm">The normalisation behind that.</param>
/// <param name="Up">To the inner width.</param>
/// <param name="Down">Back.</param>
/// <param name="Norm">The last normalisation.</param>
internal sealed record EncoderNames(string Words, string Places, string Types, string First, string Project, string Layer, string Query, string Key,
    string Value, string Out, string AttentionNorm, string Up, string Down, string Norm)
{
    private static readonly EncoderNames s_bert = new("embeddings.word_embeddings", "embeddings.position_embeddings",
        "embeddings.token_type_embeddings", "embeddings.LayerNorm", "embeddings_project", "encoder.layer.{0}", "attention.self.query",
        "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense",
        "output.LayerNorm");

    /// <summary>Of a kind of <see cref="EncoderShape"/>.</summary>
    public static EncoderNames Of(string kind) => kind switch
    {
        "distilbert" => s_bert with
        {
            Layer = "transformer.layer.{0}", Query = "attention.q_lin", Key = "attention.k_lin", Value = "attention.v_lin", Out = "attention.out_lin",
            AttentionNorm = "sa_layer_norm", Up = "ffn.lin1", Down = "ffn.lin2", Norm = "output_layer_norm",
        },
        "albert" => s_bert with
        {
            Project = "encoder.embedding_hidden_mapping_in", Layer = "encoder.albert_layer_groups.0.albert_layers.0", Query = "attention.query",
            Key = "attention.key", Value = "attention.value", Out = "attention.dense", AttentionNorm = "attention.LayerNorm", Up = "ffn",
            Down = "ffn_output", Norm = "full_layer_layer_norm",
        },
        _ => s_bert,
    };
}
