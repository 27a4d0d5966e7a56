using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// Clark et al. 2020: a small encoder guesses hidden pieces, its guesses are written into the sentence, and the encoder that is kept tells of every
/// piece whether it is the one that stood there: min Σ L_MLM(G) + λ L_Disc(D), eq. 3. The generator is a quarter as wide, and reads pieces by the
/// same vectors (section 3.2). No gradient passes through what is drawn.
/// </summary>
internal sealed class Electra : TextMethod
{
    /// <summary>λ of eq. 3.</summary>
    public const double Lambda = 50;

    private const int GeneratorShare = 4;

    public override string Name => "electra";

    public override string Summary => "Pieces that a small encoder guessed told from those that stood there (Clark et al. 2020)";

    // The better the generator, the harder is what the discriminator has to tell: the sum says nothing of it.
    protected override bool JudgesByLoss => false;

    protected override TextObjective Objective(PretrainMaterial material) => new Detection(material);

    /// <summary>The generator's guesses written in.</summary>
    /// <param name="original">N×T.</param>
    /// <param name="hidden">What it was asked.</param>
    /// <param name="guesses">A piece for each hidden place.</param>
    /// <returns>What the discriminator reads, and 1 where that is not what stood there.</returns>
    internal static (long[] Inputs, float[] Replaced) Write(long[] original, HiddenPieces hidden, long[] guesses)
    {
        var inputs = (long[])original.Clone();
        for (var k = 0; k < guesses.Length; k++) inputs[hidden.Places[k]] = guesses[k];
        return (inputs, [.. inputs.Select((id, k) => id == original[k] ? 0f : 1f)]);
    }

    private sealed class Detection : TextObjective
    {
        private readonly TokenMasking _masking;
        private readonly TextEncoder _generator;
        private readonly HiddenWordHead _guess;
        private readonly Linear _dense, _score;
        private readonly (string Name, Slot Slot)[] _shared;

        public Detection(PretrainMaterial material) : base(material)
        {
            // Hidden places all hold the mask: what would stay as it is has nothing to be found out.
            _masking = new TokenMasking(Vocabulary, hidden: 1, replaced: 0);
            var shape = Encoder.Shape;
            var heads = Math.Max(1, shape.Heads / GeneratorShare);
            var width = shape.Width / shape.Heads * heads;
            _generator = Child("generator", new TextEncoder(shape with { Width = width, Heads = heads,
                Inner = Math.Max(width, shape.Inner / GeneratorShare) }));
            string[] shared = [Encoder.Names.Words + ".weight", Encoder.Names.Places + ".weight", Encoder.Names.Types + ".weight"];
            _shared = [.. Encoder.NamedSlots().Where(slot => shared.Contains(slot.Name))];
            // Its own stand there unused.
            foreach (var (_, slot) in _generator.NamedSlots().Where(slot => shared.Contains(slot.Name))) slot.Value.RequiresGrad = false;
            _guess = Child("guess", new HiddenWordHead(width, Words, shape.Epsilon));
            (_dense, _score) = (Child("dense", new Linear(shape.Width, shape.Width)), Child("score", new Linear(shape.Width, 1)));
        }

        protected override Tensor Loss(Batch batch, Step step)
        {
            var original = batch.Inputs.ToArray<long>();
            var hidden = _masking.Hide(original, (int)batch.Inputs.Shape[0], ref step.Rng);
            var asked = Here(Tensor.From(hidden.Inputs, batch.Inputs.Shape));
            var tokens = _generator.With(_shared.ToDictionary(slot => slot.Name, slot => slot.Slot.Value),
                () => _generator.Forward(asked, 0, _generator.Stages.Count).X);
            var guesses = _guess.Scores(tokens, hidden);
            var (inputs, replaced) = Write(original, hidden, guesses is null ? [] : Draw(guesses, step));
            var found = _score.Forward(_dense.Forward(Tokens(Tensor.From(inputs, batch.Inputs.Shape)).X).Gelu()).Squeeze(-1);
            return HiddenWordHead.Loss(guesses, tokens, hidden, step) + Disc(found, original, replaced, step) * Lambda;
        }

        /// <summary>One piece for each place, from the generator's probabilities, by numbers of the step's own.</summary>
        private static long[] Draw(Tensor scores, Step step)
        {
            using var mode = Autograd.NoGrad();
            var below = scores.Detach().Softmax(1).Cumsum(1);
            var points = new float[scores.Shape[0]];
            for (var k = 0; k < points.Length; k++) points[k] = (float)step.Rng.Next();
            var before = below.Lt(Tensor.From(points, points.Length, 1).To(scores.Device)).To(DType.Int64).Sum([1L]);
            return before.Clamp(0, scores.Shape[1] - 1).ToArray<long>();
        }

        /// <summary>The mean over all pieces, what fills up aside.</summary>
        private Tensor Disc(Tensor found, long[] original, float[] replaced, Step step)
        {
            var there = Array.ConvertAll(original, id => id == Encoder.Shape.Pad ? 0f : 1f);
            var said = found.Detach().Flatten(0).ToArray<float>();
            var right = 0;
            for (var k = 0; k < said.Length; k++) right += there[k] > 0 && (said[k] > 0) == (replaced[k] > 0) ? 1 : 0;
            step.Count("told", right, there.Sum());
            var (truth, weight) = (Here(Tensor.From(replaced, found.Shape)), Here(Tensor.From(there, found.Shape)));
            return found.BinaryCrossEntropyWithLogits(truth, weight, null, Reduction.Sum) / Math.Max(1, there.Sum());
        }
    }
}
