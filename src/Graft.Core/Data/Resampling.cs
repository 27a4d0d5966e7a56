using System.Runtime.InteropServices;

namespace Graft.Data;

/// <summary>A rectangle of pixels.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct Box(int X, int Y, int Width, int Height);

/// <summary>Crop, antialiased resize, window, flip and normalisation in one pass.</summary>
internal static unsafe class Resampling
{
    /// <summary>The input's <paramref name="Source"/> is resized to Width×Height, of which only <paramref name="Window"/> is made.</summary>
    public readonly record struct Spec(Box Source, int Width, int Height, Box Window, bool Flip, bool Cubic = false);

    public static void ToBytes(Picture picture, Spec spec, Picture into)
    {
        var sink = new ResamplingKernel.Sink { Bytes = (byte*)into.Address };
        ResamplingKernel.Run((byte*)picture.Address, picture.Width, spec, ref sink);
    }

    /// <summary>Writes (level / 255 − mean) / std; planar is C×H×W, otherwise H×W×C.</summary>
    public static void ToFloats(Picture picture, Spec spec, Normalize normalize, bool planar, float* into)
    {
        var sink = new ResamplingKernel.Sink { Floats = into, Planar = planar };
        for (var c = 0; c < 3; c++)
        {
            sink.Scale[c] = (float)(1 / (255 * normalize.Std[c]));
            sink.Shift[c] = (float)(-normalize.Mean[c] / normalize.Std[c]);
        }
        ResamplingKernel.Run((byte*)picture.Address, picture.Width, spec, ref sink);
    }
}
