using Graft.Learning;

namespace Graft.FewShot;

/// <summary>Episodes of a step by their numbers; they are drawn where they are used.</summary>
/// <param name="Sampler">Draws them.</param>
/// <param name="Numbers">Of the episodes.</param>
public sealed record EpisodeBatch(EpisodeSampler Sampler, IReadOnlyList<long> Numbers)
{
    /// <summary>The episodes, drawn.</summary>
    public Episode[] Draw() => [.. Numbers.Select(Sampler.Draw)];
}

/// <summary>Episodes without end: what they hold follows from their number.</summary>
/// <param name="sampler">Draws them.</param>
/// <param name="perStep">Episodes of a batch.</param>
/// <param name="batches">Of an epoch, after which the trainer looks at the validation classes.</param>
/// <param name="together">Whether the learner takes the episodes of a part at once, and so loses by many parts.</param>
internal sealed class EpisodeFeed(EpisodeSampler sampler, int perStep, int batches, bool together = false) : Feed<EpisodeBatch>
{

    /// <summary>Draws the episodes.</summary>
    public EpisodeSampler Sampler { get; } = sampler;

    /// <inheritdoc/>
    public override int Batches => batches;

    /// <inheritdoc/>
    public override int Size(EpisodeBatch batch) => batch.Numbers.Count;

    /// <inheritdoc/>
    public override string Unit => "episodes";

    /// <inheritdoc/>
    public override int Parts => Math.Min(perStep, together ? 2 : 8);

    /// <inheritdoc/>
    public override (EpisodeBatch Batch, double Share) Part(EpisodeBatch batch, int part, int parts)
    {
        long[] own = [.. batch.Numbers.Where((_, k) => k % parts == part)];
        return (batch with { Numbers = own }, (double)own.Length / batch.Numbers.Count);
    }

    /// <inheritdoc/>
    public override IEnumerable<EpisodeBatch> Epoch(int epoch, int skip)
    {
        for (var k = skip; k < batches; k++)
        {
            var first = ((long)epoch * batches + k) * perStep;
            yield return new EpisodeBatch(Sampler, [.. Enumerable.Range(0, perStep).Select(e => first + e)]);
        }
    }
}
