using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// One step of a long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates), for loops that do something
/// between steps. The forget gates start open.
/// </summary>
internal sealed class LstmCell : Module
{
    private readonly Linear _gates;
    private readonly int _cells;

    /// <param name="inputs">Numbers of x.</param>
    /// <param name="hidden">Numbers of what comes back as h.</param>
    /// <param name="cells">Numbers of the state; null: as many as h.</param>
    public LstmCell(int inputs, int hidden, int? cells = null)
    {
        _cells = cells ?? hidden;
        _gates = Child("gates", new Linear(inputs + hidden, 4 * _cells));
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        Initialisers.Constant(_gates.Bias!.Narrow(0, _cells, _cells), 1);
    }

    /// <summary>x: N×inputs, h: N×hidden, c: N×cells to the next h and c, N×cells.</summary>
    public (Tensor H, Tensor C) Step(Tensor x, Tensor h, Tensor c)
    {
        var gates = _gates.Forward(Ops.Cat([x, h], 1)).Chunk(4, 1);
        var next = gates[1].Sigmoid() * c + gates[0].Sigmoid() * gates[2].Tanh();
        return (gates[3].Sigmoid() * next.Tanh(), next);
    }

    public override Tensor Forward(Tensor x) => throw new NotSupportedException("it has a state: use Step");
}
