using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>A method that learns from sentences: one phase, on batches of like length, some sentences held out.</summary>
internal abstract class TextMethod : PretrainMethod
{
    private const int UsualBatch = 64;

    // So much is held out, where there are so many sentences at least.
    private const double HeldOut = 0.02;
    private const int LeastToHoldOut = 500;

    public sealed override bool IsForText => true;

    /// <summary>What there must be is asked when the sentences are read: <see cref="TextMaterial"/>.</summary>
    public sealed override int LeastItems => 1;

    /// <summary>Whether the loss on other sentences tells which weights are best.</summary>
    protected virtual bool JudgesByLoss => true;

    /// <summary>Whether it hides words.</summary>
    protected virtual bool Hides => true;

    public sealed override (Backbone Backbone, IReadOnlyList<string> Notes) CreateBackbone(Dataset items, PretrainOptions options) =>
        TextStart.Create(items, options);

    public sealed override void Check(Backbone backbone)
    {
        if (Hides && ((TextEncoder)backbone).Tokenizer.Mask is null)
            throw new GraftException($"{backbone.Provenance.Source} has no piece that stands for a hidden word ([MASK], <mask>), which {Name} needs: "
                + "choose another --method");
    }

    public sealed override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material)
    {
        var (learned, heldOut) = Split(material);
        // An encoder that can read already is moved gently, as in Gururangan et al. 2020.
        var usual = new Optimisation
        {
            Optimizer = new AdamRule(Decoupled: true), Rate = material.Backbone.Provenance.IsPretrained ? 1e-4 : 5e-4, WeightDecay = 0.01,
            Epochs = material.Backbone.Provenance.IsPretrained ? 3 : 10, Schedule = new CosineSchedule { WarmUp = 0.06 }, ClipNorm = 1,
        };
        return
        [
            new PretrainPhase<Batch>(Name, How(material, usual), given => (Objective(given), Feed(given, learned, shuffle: true)))
            {
                HeldOut = JudgesByLoss && heldOut.Length > 0 ? given => Feed(given, heldOut, shuffle: false) : null,
            },
        ];
    }

    /// <summary>The loss.</summary>
    protected abstract TextObjective Objective(PretrainMaterial material);

    private (int[] Learned, int[] HeldOut) Split(PretrainMaterial material)
    {
        var count = material.Sentences.Length;
        if (!JudgesByLoss || count < LeastToHoldOut) return ([.. Enumerable.Range(0, count)], []);
        var order = new Rng(material.Options.Seed, 9).Permutation(count);
        var held = (int)Math.Ceiling(HeldOut * count);
        return ([.. order[held..].Order()], [.. order[..held].Order()]);
    }

    private static TextFeed Feed(PretrainMaterial material, int[] items, bool shuffle) => new([.. items.Select(k => material.Sentences[k].Ids)],
        material.Items.Targets.Subset(items), material.Encoder.Shape.Pad, Batch(material, UsualBatch), material.Options.Seed, shuffle);
}
