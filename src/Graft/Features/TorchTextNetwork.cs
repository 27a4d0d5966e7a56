using Graft.Inference.Text;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Features;

/// <summary>A function of a text encoder run by libtorch, in inference mode; the encoder stays the caller's.</summary>
internal sealed class TorchTextNetwork : TextNetwork
{
    private readonly TextEncoder _encoder;
    private readonly Func<Tensor, Tensor> _forward;
    private readonly Device _device;
    private readonly bool _was;

    /// <param name="encoder">With the weights.</param>
    /// <param name="forward">N×T numbers to N×outputs.</param>
    /// <param name="outputs">Of a sentence.</param>
    /// <param name="device">Where the weights are.</param>
    public TorchTextNetwork(TextEncoder encoder, Func<Tensor, Tensor> forward, int outputs, Device device)
    {
        (_encoder, _forward, _device, _was, Outputs) = (encoder, forward, device, encoder.Training, outputs);
        encoder.Eval();
    }

    public override int Outputs { get; }

    public override string Engine => TorchNetwork.NameOf(_device);

    // libtorch shares the cores itself.
    public override int Lanes => 1;

    public override void Run(Memory<long> ids, int count, Memory<float> outputs)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var rows = _forward(Tensor.From(ids.ToArray(), count, ids.Length / count).To(_device));
        rows.To(Device.Cpu).Contiguous().ToArray<float>().CopyTo(outputs);
    }

    protected override void Dispose(bool disposing) => _encoder.Train(_was);
}
