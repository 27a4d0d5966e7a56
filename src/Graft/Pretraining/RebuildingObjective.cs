using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// The normalised pixels of a picture, rebuilt from the map of the backbone's last stage, which saw the picture, or what noise has left of it. The
/// way back goes through the sizes of the stages: nearest neighbours, a 3×3 convolution, a BatchNorm, a ReLU (Odena et al. 2016: no chequers).
/// The loss is the mean squared error of a number.
/// </summary>
internal sealed class RebuildingObjective : ViewObjective
{
    private const int MostWidth = 256;

    private readonly InputNoise _noise;
    private readonly (Conv2d Convolution, BatchNorm2d Norm, long[] Size)[] _steps;
    private readonly Conv2d _last;
    private readonly long[] _size;

    public RebuildingObjective(PretrainMaterial material, InputNoise noise) : base(material)
    {
        _noise = noise;
        TorchRuntime.ManualSeed(new Rng(material.Options.Seed, 9).NextSeed());
        var shapes = Shapes(Backbone);
        _size = [Backbone.Preprocessing.Height, Backbone.Preprocessing.Width];
        var (steps, inputs) = (new List<(Conv2d, BatchNorm2d, long[])>(), shapes[^1][1]);
        for (var k = shapes.Count - 2; k >= 0; k--)
        {
            var outputs = Math.Min(MostWidth, shapes[k][1]);
            var convolution = Child($"up{k}", new Conv2d(inputs, outputs, 3, padding: 1, bias: false));
            Initialisers.KaimingNormal(convolution.Weight);
            steps.Add((convolution, Child($"norm{k}", new BatchNorm2d(outputs)), shapes[k][2..]));
            inputs = outputs;
        }
        _steps = [.. steps];
        _last = Child("pixels", new Conv2d(inputs, 3, 3, padding: 1));
    }

    /// <summary>N×3×H×W to the same, rebuilt.</summary>
    public Tensor Rebuild(Tensor pictures)
    {
        var x = Backbone.Forward(Here(pictures), 0, Backbone.Stages.Count).X;
        foreach (var (convolution, norm, size) in _steps) x = norm.After(convolution, x.UpsampleNearest2dTo(size)).Relu();
        return _last.Forward(x.UpsampleNearest2dTo(_size));
    }

    protected override Tensor Loss(ViewBatch batch, Step step)
    {
        var x = Here(batch.First);
        return Rebuild(_noise.Of(x)).MseLoss(x);
    }

    /// <summary>Whether the last stage gives N×C×H×W.</summary>
    public static bool HasMap(Backbone backbone) => Shapes(backbone)[^1].Length == 4;

    private static List<long[]> Shapes(Backbone backbone)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var training = backbone.Training;
        backbone.Eval();
        Signal x = Ops.Zeros([1, 3, backbone.Preprocessing.Height, backbone.Preprocessing.Width]);
        var shapes = new List<long[]>();
        foreach (var stage in backbone.Stages)
        {
            x = stage.Run(x);
            shapes.Add(x.X.Shape);
        }
        backbone.Train(training);
        return shapes;
    }
}
