using Graft.Data;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>What a method works with.</summary>
/// <param name="Items">Of which nothing is told.</param>
/// <param name="Usable">Indices of those that can be read.</param>
/// <param name="Backbone">What is pretrained; its weights are changed in place.</param>
/// <param name="Options">What was asked for.</param>
internal sealed record PretrainMaterial(Dataset Items, int[] Usable, Backbone Backbone, PretrainOptions Options)
{
    /// <summary>The pictures, decoded; null: they are sentences.</summary>
    public PictureStore? Pictures { get; init; }

    /// <summary>The sentences as tokens, one of each of <see cref="Usable"/>; empty: they are pictures.</summary>
    public Tokens[] Sentences { get; init; } = [];

    /// <summary>Class numbers, for a method that learns from labels; null: there are none.</summary>
    public int[]? Labels { get; init; }

    /// <summary>The encoder.</summary>
    public TextEncoder Encoder => (TextEncoder)Backbone;

    /// <summary>Views of the pictures.</summary>
    public ViewFeed Views(int batchSize, params IReadOnlyList<Preprocessing> views) => new(Pictures!, Usable, views, batchSize, Options.Seed);
}

/// <summary>A part of a pretraining: one objective on one feed. The objective holds the whole backbone, so that its state is saved with it.</summary>
/// <param name="Name">For logs and the report.</param>
/// <param name="How">Rates, epochs, batch size aside.</param>
internal abstract record PretrainPhase(string Name, Optimisation How)
{
    /// <summary>Trains in a run's place.</summary>
    public abstract Training Run(PretrainMaterial material, TrainingContext context, Action<PretrainProbe> begun);
}

/// <summary>What the monitor may ask of a training that goes on.</summary>
/// <param name="embed">What the loss compares of N pictures, N×D; null: nothing of the kind.</param>
/// <param name="steps">Of an epoch.</param>
/// <param name="prepare">To inference (true), and back to training.</param>
internal sealed class PretrainProbe(Func<Tensor, Tensor>? embed, int steps, Action<bool> prepare)
{
    /// <summary>What the loss compares of N pictures, N×D; null: nothing of the kind.</summary>
    public Func<Tensor, Tensor>? Embed => embed;

    /// <summary>Of an epoch.</summary>
    public int Steps => steps;

    /// <summary>What there is to say of the phase, once it has finished.</summary>
    public List<string> Remarks { get; } = [];

    /// <summary>Asks in inference mode: no statistics change by being looked at.</summary>
    public T Ask<T>(Func<T> question)
    {
        prepare(true);
        try
        {
            return question();
        }
        finally
        {
            prepare(false);
        }
    }
}

/// <inheritdoc/>
internal sealed record PretrainPhase<TBatch>(string Name, Optimisation How,
    Func<PretrainMaterial, (Objective<TBatch> Objective, Feed<TBatch> Feed)> Make) : PretrainPhase(Name, How)
{
    /// <summary>What the loss is taken of after every epoch, the weights of the least being kept; null: the last ones are.</summary>
    public Func<PretrainMaterial, Feed<TBatch>>? HeldOut { get; init; }

    public override Training Run(PretrainMaterial material, TrainingContext context, Action<PretrainProbe> begun)
    {
        var (objective, feed) = Make(material);
        using (objective)
        using (feed)
        using (var heldOut = HeldOut?.Invoke(material))
        {
            var probe = new PretrainProbe(objective is IEmbedding embedding ? embedding.Embed : null, feed.Batches, inference =>
            {
                if (inference) objective.PrepareInference();
                else objective.PrepareTraining();
            });
            begun(probe);
            var training = new Trainer<TBatch>(objective, feed, heldOut, How, context).Run();
            // Steps that are only timed have no folder, and nothing to say.
            if (training.Finished && context.Folder is not null && objective is IRemarks judge) probe.Remarks.AddRange(judge.Remarks(context.Seed));
            return training;
        }
    }
}

/// <summary>An objective that compares vectors of pictures.</summary>
internal interface IEmbedding
{
    /// <summary>N×3×H×W to what the loss compares, N×D, in inference mode.</summary>
    Tensor Embed(Tensor pictures);
}

/// <summary>An objective that can say how well it has learned.</summary>
internal interface IRemarks
{
    /// <summary>Sentences for the log and the report.</summary>
    IReadOnlyList<string> Remarks(long seed);
}

/// <summary>A way to pretrain: one method, one file.</summary>
internal abstract class PretrainMethod
{
    /// <summary>As <c>--method</c> takes it.</summary>
    public abstract string Name { get; }

    /// <summary>In a line, with the paper.</summary>
    public abstract string Summary { get; }

    /// <summary>Whether it learns from sentences, and not from pictures.</summary>
    public virtual bool IsForText => false;

    /// <summary>Whether it learns from labels.</summary>
    public virtual bool NeedsLabels => false;

    /// <summary>Items that it needs at least: with fewer there is nothing to compare.</summary>
    public virtual int LeastItems => 2;

    /// <summary>Whether embeddings that are all alike mean that it has failed.</summary>
    public virtual bool CanCollapse => false;

    /// <summary>The architecture where none is named; null: by the size of the pictures.</summary>
    public virtual string? UsualBackbone => null;

    /// <summary>The network where no weights are given.</summary>
    /// <param name="items">What it will see.</param>
    /// <param name="options">The architecture and the size that are asked for, if any.</param>
    /// <returns>Random weights, and what to say of the choice.</returns>
    public virtual (Backbone Backbone, IReadOnlyList<string> Notes) CreateBackbone(Dataset items, PretrainOptions options) =>
        PictureStart.Create(items, options, UsualBackbone);

    /// <summary>Refuses a network that it cannot work on.</summary>
    /// <exception cref="GraftException">Why.</exception>
    public virtual void Check(Backbone backbone) { }

    /// <summary>Refuses pictures, or sentences, that it cannot learn from.</summary>
    /// <exception cref="GraftException">Why.</exception>
    public virtual void Check(PretrainMaterial material) { }

    /// <summary>One after another, each on the weights that the one before left.</summary>
    public abstract IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material);

    /// <summary>The views' sides and what they go through, for the report; empty: pictures as they are.</summary>
    public virtual IReadOnlyList<Preprocessing> Views(Backbone backbone) => [];

    /// <summary>One phase, on this method's views.</summary>
    /// <param name="material">What it works with.</param>
    /// <param name="name">Of the phase.</param>
    /// <param name="usualBatch">Pictures of a batch, where nothing is said.</param>
    /// <param name="usual">The optimisation for a batch of so many.</param>
    /// <param name="objective">The loss.</param>
    protected IReadOnlyList<PretrainPhase> OnViews(PretrainMaterial material, string name, int usualBatch, Func<int, Optimisation> usual,
        Func<PretrainMaterial, Objective<ViewBatch>> objective)
    {
        var batch = Batch(material, usualBatch);
        return [new PretrainPhase<ViewBatch>(name, How(material, usual(batch)), given => (objective(given), given.Views(batch, Views(given.Backbone))))];
    }

    /// <summary>Items of a batch.</summary>
    protected static int Batch(PretrainMaterial material, int usual) => material.Options.BatchSize ?? usual;

    /// <summary>A method's usual optimisation, with what the options say in its place.</summary>
    protected static Optimisation How(PretrainMaterial material, Optimisation usual) => usual with
    {
        Epochs = material.Options.Epochs ?? usual.Epochs, Rate = material.Options.Rate ?? usual.Rate,
    };
}
