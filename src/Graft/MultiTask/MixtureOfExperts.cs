using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>Ma et al. 2018 (MMoE), eq. 6 and 7: experts are dense layers with ReLU; each task's gate, a softmax of a linear layer on the input, mixes
/// them.</summary>
internal sealed class MixtureOfExperts : Sharing
{
    private const int Experts = 4;

    private readonly Linear[] _experts, _gates;

    public MixtureOfExperts(int inputs, int units, int tasks)
    {
        Outputs = units;
        _experts = [.. Enumerable.Range(0, Experts).Select(k => Child($"expert{k}", new Linear(inputs, units)))];
        _gates = [.. Enumerable.Range(0, tasks).Select(k => Child($"gate{k}", new Linear(inputs, Experts)))];
    }

    public override int Outputs { get; }

    public override Tensor[] Of(Tensor features)
    {
        Tensor[] said = [.. _experts.Select(expert => expert.Forward(features).Relu())];
        return [.. _gates.Select(gate =>
        {
            var shares = gate.Forward(features).Softmax(1);
            return said.Select((expert, k) => expert * shares.Narrow(1, k, 1)).Aggregate((a, b) => a + b);
        })];
    }
}
