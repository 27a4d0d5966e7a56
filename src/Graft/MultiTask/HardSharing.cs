using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>Caruana 1997: one dense layer with ReLU that all tasks share; without units the features themselves.</summary>
internal sealed class HardSharing : Sharing
{
    private readonly int _tasks;

    public HardSharing(int inputs, int units, int tasks)
    {
        (_tasks, Outputs) = (tasks, units > 0 ? units : inputs);
        if (units > 0) Layer = Child("layer", new Linear(inputs, units));
    }

    public Linear? Layer { get; }

    public override int Outputs { get; }

    public override Tensor[] Of(Tensor features)
    {
        var shared = Layer is null ? features : Layer.Forward(features).Relu();
        return [.. Enumerable.Repeat(shared, _tasks)];
    }
}
