using System.Runtime.InteropServices;

namespace Graft.Data;

/// <summary>A rectangle of pixels.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct Box(int X, int Y, int Width, int Height);

/// <summary>Crop, antialiased resize, window, flip and normalisation in one pass (native/resample.cpp).</summary>
internal static unsafe class Resampling
{
    /// <summary>The input's <paramref name="Source"/> is resized to Width×Height, of which only <paramref name="Window"/> is made.</summary>
    public readonly record struct Spec(Box Source, int Width, int Height, Box Window, bool Flip, bool Cubic = false);

    public static void ToBytes(Picture picture, Spec spec, Picture into)
    {
        var native = Native(spec);
        PictureNative.gp_resample((byte*)picture.Address, picture.Width, &native, (byte*)into.Address, null);
    }

    /// <summary>Writes (level / 255 − mean) / std; planar is C×H×W, otherwise H×W×C.</summary>
    public static void ToFloats(Picture picture, Spec spec, Normalize normalize, bool planar, float* into)
    {
        var native = Native(spec);
        native.Planar = planar ? 1 : 0;
        for (var c = 0; c < 3; c++)
        {
            native.Scale[c] = (float)(1 / (255 * normalize.Std[c]));
            native.Shift[c] = (float)(-normalize.Mean[c] / normalize.Std[c]);
        }
        PictureNative.gp_resample((byte*)picture.Address, picture.Width, &native, null, into);
    }

    private static NativeResample Native(Spec spec) =>
        new() { Box = spec.Source, Width = spec.Width, Height = spec.Height, Window = spec.Window, Flip = spec.Flip ? 1 : 0, Cubic = spec.Cubic ? 1 : 0 };
}
