using Graft.Inference;
using Graft.Torch;

namespace Graft.Features;

/// <summary>A function of libtorch's, traced and optimised for inference; on a graphics processor it runs as it is.</summary>
internal sealed class TorchNetwork : FrozenNetwork
{
    private Script? _script;
    private readonly Func<Tensor, Tensor> _forward;
    private readonly Module _module;
    private readonly Device _device;

    /// <param name="module">Stays the caller's; in inference mode from here on.</param>
    /// <param name="forward">N×3×H×W to N×….</param>
    /// <param name="height">Of the input.</param>
    /// <param name="width">Of the input.</param>
    /// <param name="device">Where it runs.</param>
    public TorchNetwork(Module module, Func<Tensor, Tensor> forward, int height, int width, Device device = default)
    {
        (_module, _forward, Height, Width, _device) = (module, forward, height, width, device);
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        module.Eval();
        var example = Ops.Zeros([1, 3, height, width]);
        Outputs = (int)forward(example).Count;
        if (device.IsCuda)
        {
            module.To(device);
            return;
        }
        var traced = Script.Trace(module, inputs => [forward(inputs[0])], example);
        _script = traced.Optimize();
        if (FrozenNetworks.Difference(this, forward) <= FrozenNetworks.Tolerance)
        {
            traced.Dispose();
            return;
        }
        // Seen of libtorch 1.13 and MobileNetV3: optimised, its squeezes and excitations give other numbers.
        _script.Dispose();
        _script = traced;
    }

    public override int Height { get; }

    public override int Width { get; }

    public override int Outputs { get; }

    public override string Engine => NameOf(_device);

    /// <summary>The engine, its version and the kind of device.</summary>
    public static string NameOf(Device device) => $"libtorch {TorchRuntime.Version} {(device.IsCuda ? "cuda" : "cpu")}";

    public override int Batch => _device.IsCuda ? 64 : 2;

    public override int Lanes => _device.IsCuda ? 1 : Cores.Count;

    public override void Run(Memory<float> inputs, int count, Memory<float> outputs)
    {
        var threads = TorchRuntime.Threads;
        // One batch to a core: a second thread in an operator only waits.
        TorchRuntime.Threads = _device.IsCuda ? Cores.Count : 1;
        try
        {
            using var mode = Autograd.Inference();
            using var scope = new TensorScope();
            var x = Ops.Empty([count, 3, Height, Width]);
            inputs.Span[..(count * InputLength)].CopyTo(x.Span<float>());
            var made = _script is null ? _forward(x.To(_device)).To(Device.Cpu) : _script.Run(x)[0];
            made.Contiguous().Flatten(1).Span<float>().CopyTo(outputs.Span);
        }
        finally
        {
            TorchRuntime.Threads = threads;
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (!disposing) return;
        _script?.Dispose();
        if (_device.IsCuda) _module.To(Device.Cpu);
    }
}
