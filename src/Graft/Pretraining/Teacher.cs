using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Copies of a backbone and of what stands above it that follow them slowly: θ′ ← m θ′ + (1 − m) θ. No gradient reaches them; their
/// BatchNorms have statistics of their own.</summary>
internal sealed class Teacher : Module
{
    private readonly Backbone _backbone;
    private readonly Module _above;
    private readonly (Module Own, Module Student)[] _pairs;

    /// <param name="backbone">What is followed.</param>
    /// <param name="above">What stands on its features.</param>
    /// <param name="like">The same shape as <paramref name="above"/>; the teacher takes it over.</param>
    public Teacher(Backbone backbone, Module above, Module like)
    {
        _backbone = Child("backbone", backbone.Clone());
        _above = Child("above", like);
        _above.CopyFrom(above.State());
        _pairs = [(_backbone, backbone), (_above, above)];
        SetTrainable(false);
    }

    /// <summary>N×3×H×W to what the student gives, without gradients.</summary>
    public override Tensor Forward(Tensor x)
    {
        using var mode = Autograd.NoGrad();
        return _above.Forward(_backbone.Forward(x));
    }

    /// <summary>A step towards the student.</summary>
    /// <param name="momentum">m: the share that stays.</param>
    public void Follow(double momentum)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        foreach (var (own, student) in _pairs)
        {
            foreach (var (mine, theirs) in own.Parameters().Zip(student.Parameters())) mine.LerpInPlace(theirs.Detach(), 1 - momentum);
        }
    }

    /// <summary>From a first momentum to 1 along half a cosine (Grill et al. 2020, section 3.2).</summary>
    public static double Momentum(double first, long step, long total) => 1 - (1 - first) * (Math.Cos(Math.PI * step / Math.Max(1, total)) + 1) / 2;
}
