using Graft.Learning;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Devlin et al. 2019, section 3.1, task 1: some pieces of a sentence are hidden, and are told from the others.</summary>
internal class Mlm : TextMethod
{
    public override string Name => "mlm";

    public override string Summary => "Hidden word pieces told from the others (BERT, Devlin et al. 2019)";

    /// <summary>Whether the pieces of a word are hidden together.</summary>
    protected virtual bool WholeWords => false;

    protected override TextObjective Objective(PretrainMaterial material) => new Hidden(material, WholeWords);

    private sealed class Hidden : TextObjective
    {
        private readonly TokenMasking _masking;
        private readonly HiddenWordHead _head;

        public Hidden(PretrainMaterial material, bool wholeWords) : base(material)
        {
            _masking = new TokenMasking(Vocabulary, wholeWords);
            _head = Child("head", new HiddenWordHead(Encoder.FeatureSize, Words, Encoder.Shape.Epsilon));
        }

        protected override Tensor Loss(Batch batch, Step step)
        {
            var hidden = _masking.Hide(batch.Inputs.ToArray<long>(), (int)batch.Inputs.Shape[0], ref step.Rng);
            return _head.Loss(Tokens(Tensor.From(hidden.Inputs, batch.Inputs.Shape)), hidden, step);
        }
    }
}
