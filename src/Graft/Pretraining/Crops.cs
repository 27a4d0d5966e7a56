using Graft.Data;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Multi-crop (Caron et al. 2020, section 3.3): two large views and several small ones, which show a small part and cost little.</summary>
internal static class Crops
{
    private const int Small = 4;

    /// <summary>Two views at the backbone's size, and where it takes other sizes four at half of it.</summary>
    public static IReadOnlyList<Preprocessing> Of(Backbone backbone)
    {
        var usual = backbone.Preprocessing;
        var side = usual.Width / 2;
        var large = Enumerable.Repeat(Augmentations.Contrastive(usual, minArea: 0.4), 2);
        return Takes(backbone, side) ? [.. large, .. Enumerable.Repeat(Augmentations.Contrastive(usual, minArea: 0.1, side: side), Small)] : [.. large];
    }

    /// <summary>Whether pictures of another size than its own go through.</summary>
    private static bool Takes(Backbone backbone, int side)
    {
        if (side < 16) return false;
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var training = backbone.Training;
        backbone.Eval();
        try
        {
            _ = backbone.Forward(Ops.Zeros([1, 3, side, side]).To(backbone.Parameters().First().Device));
            return true;
        }
        catch (Exception reason) when (reason is TorchException or GraftException)
        {
            return false;
        }
        finally
        {
            backbone.Train(training);
        }
    }

    /// <summary>Views of one size go through together: what a module makes of each, in their order.</summary>
    public static Tensor[] Through(Tensor[] views, Func<Tensor, Tensor> module)
    {
        var made = new Tensor[views.Length];
        for (var from = 0; from < views.Length;)
        {
            var to = from + 1;
            while (to < views.Length && views[to].Shape[2] == views[from].Shape[2]) to++;
            var rows = module(Ops.Cat(views[from..to], 0));
            var n = views[from].Shape[0];
            for (var k = from; k < to; k++) made[k] = rows.Narrow(0, (k - from) * n, n);
            from = to;
        }
        return made;
    }
}
