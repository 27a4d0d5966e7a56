using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Graves, Wayne and Danihelka 2014: an LSTM controller with a memory of N rows that it reads and writes at soft places. A place
/// is found by content (eq. 5 and 6), mixed with the last place (eq. 7), shifted (eq. 8) and sharpened (eq. 9).
/// </summary>
public sealed class NeuralTuringMachine : Module
{
    // Content key, its strength, the gate, three shifts, the sharpening.
    private const int Shifts = 3;

    // The same everywhere: learned several times faster than from random or learned contents (Collier and Beel 2018).
    private const double EmptyMemory = 1e-6;

    private readonly LstmCell _controller;
    private readonly Linear _readHead, _writeHead, _output;
    private readonly Slot _read;
    private readonly int _rows, _columns, _hidden;

    private sealed record Recall(Tensor Memory, Tensor H, Tensor C, Tensor Read, Tensor ReadPlace, Tensor WritePlace);

    /// <param name="inputs">Bits of an input.</param>
    /// <param name="outputs">Bits of an output.</param>
    /// <param name="rows">Of the memory.</param>
    /// <param name="columns">Of the memory.</param>
    /// <param name="hidden">Numbers of the controller.</param>
    public NeuralTuringMachine(int inputs, int outputs, int rows = 128, int columns = 20, int hidden = 100)
    {
        (_rows, _columns, _hidden) = (rows, columns, hidden);
        _controller = Child("controller", new LstmCell(inputs, hidden + columns, hidden));
        _readHead = Child("read_head", new Linear(hidden, columns + 3 + Shifts));
        _writeHead = Child("write_head", new Linear(hidden, columns + 3 + Shifts + 2 * columns));
        _output = Child("output", new Linear(hidden + columns, outputs));
        _read = Parameter("read", Initialisers.Uniform(Ops.Empty([1, columns]), 0.01));
    }

    /// <summary>Sequences in, sequences out: T×B×inputs to T×B×outputs of log-odds.</summary>
    public override Tensor Forward(Tensor x)
    {
        var batch = x.Shape[1];
        var place = Ops.Zeros([_rows]);
        place.Narrow(0, 0, 1).FillInPlace((Scalar)1L);
        var start = place.Expand([batch, _rows]);
        var state = new Recall(Ops.Full([batch, _rows, _columns], EmptyMemory, dtype: DType.Float32), Ops.Zeros([batch, _hidden]),
            Ops.Zeros([batch, _hidden]), _read.Value.Expand([batch, _columns]), start, start);
        var outputs = new List<Tensor>();
        for (var t = 0; t < x.Shape[0]; t++)
        {
            (var said, state) = Step(x[t], state);
            outputs.Add(said);
        }
        return Ops.Stack(outputs);
    }

    private (Tensor Output, Recall Next) Step(Tensor x, Recall state)
    {
        var (h, c) = _controller.Step(x, Ops.Cat([state.H, state.Read], 1), state.C);
        var write = _writeHead.Forward(h);
        var writePlace = Address(write, state.WritePlace, state.Memory);
        var (erase, add) = (write.Narrow(1, _columns + 3 + Shifts, _columns).Sigmoid(), write.Narrow(1, 2 * _columns + 3 + Shifts, _columns).Tanh());
        // Eq. 3 and 4: erased where and as far as the head is there, then added to.
        var at = writePlace.Unsqueeze(2);
        var memory = state.Memory * (1 - at * erase.Unsqueeze(1)) + at * add.Unsqueeze(1);
        var readPlace = Address(_readHead.Forward(h), state.ReadPlace, memory);
        var read = readPlace.Unsqueeze(1).Bmm(memory).Squeeze(1);
        return (_output.Forward(Ops.Cat([h, read], 1)), new Recall(memory, h, c, read, readPlace, writePlace));
    }

    /// <summary>Where a head goes: its B×(columns + 6) numbers, its last place B×rows and the memory to a place B×rows.</summary>
    private Tensor Address(Tensor head, Tensor last, Tensor memory)
    {
        var key = head.Narrow(1, 0, _columns).Tanh().Unsqueeze(1);
        var strength = head.Narrow(1, _columns, 1).Softplus();
        var gate = head.Narrow(1, _columns + 1, 1).Sigmoid();
        var sharpening = head.Narrow(1, _columns + 2, 1).Softplus() + 1;
        var shift = head.Narrow(1, _columns + 3, Shifts).Softmax(1);
        var likeness = (memory * key).Sum([2L]) / ((memory.Square().Sum([2L]) + 1e-8).Sqrt() * (key.Square().Sum([2L]) + 1e-8).Sqrt());
        var place = (likeness * strength).Softmax(1);
        place = place * gate + last * (1 - gate);
        place = place.Roll([-1], [1]) * shift.Narrow(1, 0, 1) + place * shift.Narrow(1, 1, 1) + place.Roll([1], [1]) * shift.Narrow(1, 2, 1);
        var sharp = (place + 1e-8).Pow(sharpening);
        return sharp / sharp.Sum([1L], true);
    }
}
