using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>A backbone whose deepest stages train, from its input to its features; frozen stages record nothing. It stays the caller's.</summary>
internal sealed class StagesBody : Module
{
    private readonly Backbone _backbone;
    private readonly int _from;

    /// <param name="backbone">Whose statistics of BatchNorm stay as they are.</param>
    /// <param name="from">The first stage that trains.</param>
    public StagesBody(Backbone backbone, int from)
    {
        (_backbone, _from) = (Child("", backbone), from);
        backbone.FreezeBelow(from, freezeStatistics: true);
    }

    public override Tensor Forward(Tensor x)
    {
        Signal signal = x;
        if (_from > 0)
        {
            using var frozen = Autograd.NoGrad();
            signal = _backbone.Forward(signal, 0, _from);
        }
        return _backbone.Pool(_backbone.Forward(signal, _from, _backbone.Stages.Count));
    }

    protected override void Dispose(bool disposing) { }
}
