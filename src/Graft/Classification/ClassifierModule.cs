using Graft.Data;
using Graft.Torch;

namespace Graft.Classification;

/// <summary>A classifier's whole function as one module, its weights under <c>backbone</c> and <c>head</c>: to trace, to export, to serve. The
/// weights stay the classifier's.</summary>
internal sealed class ClassifierModule : Module
{
    private readonly Classifier _model;

    /// <summary>In inference mode.</summary>
    public ClassifierModule(Classifier model)
    {
        _model = model;
        Child("backbone", model.Backbone);
        if (model.Head is not null) Child("head", model.Head);
        Eval();
    }

    /// <summary>N×3×H×W to N×classes scores: their softmax is the probabilities; of several labels their sigmoid is, and of numbers they are the
    /// numbers.</summary>
    public override Tensor Forward(Tensor x)
    {
        if (_model.Head is not { } head)
        {
            var own = _model.Backbone.Classify(x).Flatten(1);
            // One score is the odds of the second of two classes.
            return own.Shape[1] == 1 && _model.Task == TargetKind.Classes ? Ops.Cat([own * 0.0, own], 1) : own;
        }
        var scores = head.Forward(_model.Backbone.Pool(_model.Backbone.Forward(x, 0, _model.Stage + 1)));
        return head.Temperature == 1 ? scores : scores * head.Temperature;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) { }
}
