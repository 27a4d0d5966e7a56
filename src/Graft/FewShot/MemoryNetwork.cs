using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Sukhbaatar et al. 2015: sentences are memories, a question looks them over in several hops (eq. 1 to 3, section 2.2), each
/// hop's output embedding being the next one's input embedding (adjacent tying). Sentences are sums of word embeddings weighed by
/// their positions (position encoding, section 4.1) plus an embedding of how long ago they were (temporal encoding).
/// </summary>
public sealed class MemoryNetwork : Module
{
    private readonly Slot[] _words, _times;
    private readonly int _hops, _size, _memory;

    /// <param name="vocabulary">Words; number 0 is padding.</param>
    /// <param name="memory">At most so many sentences are remembered.</param>
    /// <param name="size">Of an embedding.</param>
    /// <param name="hops">Looks at the memory.</param>
    public MemoryNetwork(int vocabulary, int memory = 50, int size = 20, int hops = 3)
    {
        (_hops, _size, _memory) = (hops, size, memory);
        // Tables A₁ (also B), A₂ = C₁, …, C_K (whose transpose is W).
        _words = [.. Enumerable.Range(0, hops + 1).Select(k => Parameter($"words.{k}", Initialisers.Normal(Ops.Empty([vocabulary, size]), 0.1)))];
        _times = [.. Enumerable.Range(0, hops + 1).Select(k => Parameter($"times.{k}", Initialisers.Normal(Ops.Empty([memory, size]), 0.1)))];
    }

    /// <summary>Without the softmax over memories (section 4.2, linear start), training begins more safely.</summary>
    public bool Linear { get; set; }

    /// <summary>A batch: sentences B×M×L word numbers, newest first, ages B×M (their places in time), questions B×L; to B×vocabulary
    /// scores.</summary>
    public Tensor Scores(Tensor stories, Tensor ages, Tensor questions)
    {
        var weights = Positions(stories.Shape[2]);
        // Number 0 is no word.
        Tensor Embed(Slot table, Tensor words, Tensor positions) =>
            (Ops.Embedding(table.Value, words) * words.Ne(0).To(DType.Float32).Unsqueeze(-1) * positions).Sum([-2L]);
        var empty = stories.Ne(0).Any(2).LogicalNot();
        var u = Embed(_words[0], questions, Positions(questions.Shape[1]));
        for (var hop = 0; hop < _hops; hop++)
        {
            var input = Embed(_words[hop], stories, weights) + Ops.Embedding(_times[hop].Value, ages);
            var output = Embed(_words[hop + 1], stories, weights) + Ops.Embedding(_times[hop + 1].Value, ages);
            var match = input.Matmul(u.Unsqueeze(2)).Squeeze(2);
            var p = Linear ? match.MaskedFill(empty, 0L) : match.MaskedFill(empty, -1e9).Softmax(1);
            u += p.Unsqueeze(1).Bmm(output).Squeeze(1);
        }
        return u.Matmul(_words[_hops].Value.T());
    }

    // l_kj = (1 − j/J) − (k/d)(1 − 2j/J), section 4.1: J×d.
    private Tensor Positions(long length)
    {
        var values = new float[length * _size];
        for (var j = 1; j <= length; j++)
        {
            for (var k = 1; k <= _size; k++) values[(j - 1) * _size + k - 1] =
                (float)(1 - (double)j / length - (double)k / _size * (1 - 2.0 * j / length));
        }
        return Tensor.From(values, length, _size);
    }

    /// <summary>Questions as tensors; in training, a tenth of empty memories is put in between at random (random noise, section 4.1).</summary>
    /// <param name="questions">As many as the batch has.</param>
    /// <param name="words">Of the tables.</param>
    /// <param name="rng">For the noise; null: none.</param>
    internal (Tensor Stories, Tensor Ages, Tensor Questions,
        Tensor Answers) Batch(IReadOnlyList<StoryQuestion> questions, IReadOnlyDictionary<string, int> words, Rng? rng = null)
    {
        var length = questions.Max(item => Math.Max(item.Story.Max(sentence => sentence.Length), item.Question.Length));
        // No longer than the longest story: empty memories cost as much as full ones.
        var memory = Math.Min(_memory, questions.Max(item => item.Story.Count));
        var (stories, ages, asked) = (new long[questions.Count * memory * length], new long[questions.Count * memory],
            new long[questions.Count * length]);
        var draw = rng ?? new Rng(0);
        for (var b = 0; b < questions.Count; b++)
        {
            var age = 0;
            var story = questions[b].Story;
            for (var m = 0; m < Math.Min(memory, story.Count); m++)
            {
                if (rng is not null && draw.Next() < 0.1) age++;
                ages[b * memory + m] = Math.Min(_memory - 1, age++);
                var sentence = story[^(m + 1)];
                for (var k = 0; k < sentence.Length; k++) stories[(b * memory + m) * length + k] = words[sentence[k]];
            }
            for (var k = 0; k < questions[b].Question.Length; k++) asked[b * length + k] = words[questions[b].Question[k]];
        }
        return (Tensor.From(stories, questions.Count, memory, length), Tensor.From(ages, questions.Count, memory),
            Tensor.From(asked, questions.Count, length),
            Tensor.From([.. questions.Select(item => (long)words[item.Answer])]));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => throw new NotSupportedException("it answers questions about stories: use Scores");
}
