using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>A loss over views of pictures.</summary>
internal abstract class ViewObjective : BackboneObjective<ViewBatch>, IEmbedding
{
    protected ViewObjective(PretrainMaterial material) : base(material) => Backbone = material.Backbone;

    protected Backbone Backbone { get; }

    protected int Width => Backbone.FeatureSize;

    /// <summary>N×3×H×W to pooled features N×D.</summary>
    protected Tensor Features(Tensor view) => Backbone.Forward(Here(view));

    /// <inheritdoc/>
    public virtual Tensor Embed(Tensor pictures) => Features(pictures);
}
