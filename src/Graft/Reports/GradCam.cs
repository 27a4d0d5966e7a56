using Graft.Data;
using Graft.Heads;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Reports;

/// <summary>
/// Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2): where in a picture the evidence for a class lies, from the last stage's
/// activations weighted by their mean gradients.
/// </summary>
internal static class GradCam
{
    /// <summary>A heat of 0 … 1 for each position of the stage's output, rows first; null where the stage has no positions.</summary>
    public static unsafe float[,]? Map(Backbone backbone, Head head, int stage, Picture picture, int label)
    {
        using var scope = new TensorScope();
        var (width, height) = (backbone.Preprocessing.Width, backbone.Preprocessing.Height);
        var input = Ops.Empty([1, 3, height, width]);
        var rng = new Rng(0);
        TransformRunner.Run(picture, backbone.Preprocessing, ref rng, true, (float*)input.Data);
        Tensor activations;
        using (Autograd.NoGrad()) activations = backbone.Forward(input, 0, stage + 1);
        if (activations.Dimensions != 4) return null;
        using var enabled = Autograd.EnableGrad();
        var leaf = activations.Detach().Clone();
        leaf.RequiresGrad = true;
        var score = head.Forward(backbone.Pool(leaf)).Select(1, label).Sum();
        var gradient = Autograd.Grad(score, [leaf])[0];
        using var mode = Autograd.NoGrad();
        var heat = (gradient.Mean([2, 3], true) * activations).Sum([1L]).Relu()[0];
        var (h, w) = ((int)heat.Shape[0], (int)heat.Shape[1]);
        var values = heat.ToArray<float>();
        var most = Math.Max(values.Max(), 1e-12f);
        var map = new float[h, w];
        for (var k = 0; k < values.Length; k++) map[k / w, k % w] = values[k] / most;
        return map;
    }

    /// <summary>What the network sees of a picture, with the heat laid over it.</summary>
    public static Picture Overlay(Picture seen, float[,] heat)
    {
        var made = Picture.Create(seen.Width, seen.Height);
        var from = seen.Pixels;
        var to = made.Pixels;
        int rows = heat.GetLength(0), columns = heat.GetLength(1);
        for (var y = 0; y < seen.Height; y++)
        {
            for (var x = 0; x < seen.Width; x++)
            {
                var v = Sample(heat, (y + 0.5) * rows / seen.Height - 0.5, (x + 0.5) * columns / seen.Width - 0.5);
                // From blue by green to red, fading out where there is little.
                double r = Math.Clamp(2 * v - 0.6, 0, 1), g = Math.Clamp(1 - Math.Abs(2 * v - 1), 0, 1), b = Math.Clamp(1 - 2 * v, 0, 1),
                    alpha = 0.15 + 0.45 * v;
                var at = 3 * (y * seen.Width + x);
                to[at] = (byte)((1 - alpha) * from[at] + alpha * 255 * r);
                to[at + 1] = (byte)((1 - alpha) * from[at + 1] + alpha * 255 * g);
                to[at + 2] = (byte)((1 - alpha) * from[at + 2] + alpha * 255 * b);
            }
        }
        return made;
    }

    private static double Sample(float[,] map, double y, double x)
    {
        int rows = map.GetLength(0), columns = map.GetLength(1);
        y = Math.Clamp(y, 0, rows - 1);
        x = Math.Clamp(x, 0, columns - 1);
        var (y0, x0) = ((int)y, (int)x);
        var (y1, x1) = (Math.Min(y0 + 1, rows - 1), Math.Min(x0 + 1, columns - 1));
        var (fy, fx) = (y - y0, x - x0);
        return (map[y0, x0] * (1 - fx) + map[y0, x1] * fx) * (1 - fy) + (map[y1, x0] * (1 - fx) + map[y1, x1] * fx) * fy;
    }
}
