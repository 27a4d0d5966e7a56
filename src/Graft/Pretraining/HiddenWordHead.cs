using Graft.Learning;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// What tells a hidden piece from the encoder's vector at its place (Devlin et al. 2019, as published): a dense layer, GELU and a norm, then the
/// product with the vectors that the encoder reads pieces by (Press and Wolf 2017), and a bias for each. Left behind when the pretraining ends.
/// </summary>
internal sealed class HiddenWordHead : Module
{
    private readonly Slot _words, _bias;
    private readonly Linear _dense;
    private readonly LayerNorm _norm;

    /// <param name="width">Numbers of a place.</param>
    /// <param name="words">Vectors of the pieces, V×E: the encoder's own, which stay its.</param>
    /// <param name="epsilon">Of the norm.</param>
    public HiddenWordHead(int width, Slot words, double epsilon)
    {
        _words = words;
        var (pieces, embedding) = (words.Value.Shape[0], words.Value.Shape[1]);
        _dense = Child("dense", new Linear(width, embedding));
        Initialisers.Normal(_dense.Weight, 0.02);
        Initialisers.Constant(_dense.Bias!, 0);
        _norm = Child("norm", new LayerNorm(embedding, epsilon));
        _bias = Parameter("bias", Ops.Zeros([pieces]));
    }

    /// <summary>K×width to K×V scores.</summary>
    public override Tensor Forward(Tensor x) => _norm.Forward(_dense.Forward(x).Gelu()).Linear(_words.Value, _bias.Value);

    /// <summary>The scores of the hidden places alone, since the product with the vocabulary is most of a small encoder's work; null: nothing is
    /// hidden.</summary>
    /// <param name="tokens">N×T×width.</param>
    /// <param name="hidden">Where.</param>
    public Tensor? Scores(Tensor tokens, HiddenPieces hidden) => hidden.Places.Length == 0 ? null
        : Forward(tokens.Reshape([-1, tokens.Shape[2]]).IndexSelect(0, Tensor.From(hidden.Places).To(tokens.Device)));

    /// <summary>The mean of −log softmax at the pieces that stood there; right ones are counted.</summary>
    public Tensor Loss(Tensor tokens, HiddenPieces hidden, Step step) => Loss(Scores(tokens, hidden), tokens, hidden, step);

    /// <summary>The same of scores that are there.</summary>
    public static Tensor Loss(Tensor? scores, Tensor tokens, HiddenPieces hidden, Step step)
    {
        // A batch of unknown words alone has nothing to tell.
        if (scores is null) return tokens.Sum() * 0;
        var labels = Tensor.From(hidden.Labels).To(scores.Device);
        step.Count("right", scores.Detach().Argmax(1).Eq(labels).Sum().Item(), hidden.Labels.Length);
        return Losses.CrossEntropy(scores, labels);
    }
}
