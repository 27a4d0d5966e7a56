namespace Graft.Pretraining;

/// <summary>As <see cref="Mlm"/>, a word's pieces hidden together (the authors of BERT, release of May 2019; Cui et al. 2021): a part of a word
/// alone is told from the rest of the word, with little reading.</summary>
internal sealed class MlmWholeWord : Mlm
{
    public override string Name => "mlm-whole-word";

    public override string Summary => "The same, a word's pieces hidden together (whole word masking, Cui et al. 2021)";

    protected override bool WholeWords => true;
}
