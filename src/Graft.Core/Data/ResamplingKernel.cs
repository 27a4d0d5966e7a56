using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Graft.Data;

/// <summary>
/// Antialiased resizing as PIL's Image.resize does it (BILINEAR, BICUBIC), to one level: a filter whose support grows with the reduction. Crop,
/// resize,
/// window, flip and normalisation are one pass: only pixels that are kept are made. Products and sums are rounded each by itself, so that every
/// processor gives the same levels.
/// </summary>
internal static unsafe class ResamplingKernel
{
    /// <summary>Input positions First … First + Count − 1, their weights from Weights on.</summary>
    private struct Taps
    {
        public int First, Count, Weights;
    }

    private readonly record struct FilterOf(Taps[] Taps, float[] Weights)
    {
        /// <summary>For outputs from … to−1 of <paramref name="outputs"/> made from <paramref name="inputs"/> samples. Centres and clamping follow
        /// PIL's Resample.c.</summary>
        public static FilterOf Make(int inputs, int outputs, int from, int to, bool cubic)
        {
            double scale = (double)inputs / outputs, stretch = Math.Max(scale, 1.0), support = stretch * (cubic ? 2 : 1);
            var taps = new Taps[to - from];
            var weights = new float[(to - from) * ((int)(2 * support) + 2)];
            var used = 0;
            for (var k = from; k < to; k++)
            {
                var centre = (k + 0.5) * scale;
                var first = Math.Max(0, (int)(centre - support + 0.5));
                var last = Math.Min(inputs, (int)(centre + support + 0.5));
                taps[k - from] = new Taps { First = first, Count = last - first, Weights = used };
                var sum = 0.0;
                for (var x = first; x < last; x++) sum += Kernel(Math.Abs((x - centre + 0.5) / stretch), cubic);
                for (var x = first; x < last; x++) weights[used++] = (float)(Kernel(Math.Abs((x - centre + 0.5) / stretch), cubic) / sum);
            }
            return new FilterOf(taps, weights);
        }

        // Keys 1981, eq. 4, with a = −1/2.
        private static double Kernel(double t, bool cubic) =>
            !cubic ? Math.Max(0.0, 1.0 - t) : t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0.0;

        public int End => Taps.Max(tap => tap.First + tap.Count);
    }

    /// <summary>What becomes of the whole levels of a finished row.</summary>
    public struct Sink
    {
        /// <summary>Written as they are, three a pixel; null: the floats are written.</summary>
        public byte* Bytes;

        /// <summary>level × Scale + Shift of each channel.</summary>
        public float* Floats;

        /// <summary>C×H×W; otherwise H×W×C.</summary>
        public bool Planar;

        public fixed float Scale[3];
        public fixed float Shift[3];
    }

    /// <summary>Runs a spec on a picture of 8-bit RGB.</summary>
    public static void Run(byte* pixels, int width, in Resampling.Spec spec, ref Sink sink)
    {
        var (box, window) = (spec.Source, spec.Window);
        var stride = 3L * width;
        var across = FilterOf.Make(box.Width, spec.Width, window.X, window.X + window.Width, spec.Cubic);
        var down = FilterOf.Make(box.Height, spec.Height, window.Y, window.Y + window.Height, spec.Cubic);
        var (left, right) = (across.Taps[0].First, across.End);
        if (spec.Flip) Array.Reverse(across.Taps);
        var origin = pixels + box.Y * stride + 3L * box.X;
        var wide = 3 * window.Width;
        // A few floats behind each row, for the last read and write of a whole register.
        var row = GC.AllocateUninitializedArray<float>(wide + 8);
        fixed (float* made = row)
        fixed (Taps* columns = across.Taps)
        fixed (float* columnWeights = across.Weights)
        fixed (float* rowWeights = down.Weights)
        {
            if (spec.Cubic)
            {
                ColumnsFirst(origin, stride, columns, columnWeights, down, rowWeights, window, made, ref sink);
                return;
            }
            var tall = new float[3 * (right - left) + 8];
            fixed (float* blended = tall)
            {
                for (var y = 0; y < window.Height; y++)
                {
                    var tap = down.Taps[y];
                    BlendRows(origin + tap.First * stride + 3 * left, stride, rowWeights + tap.Weights, tap.Count, blended, 3 * (right - left));
                    for (var x = 0; x < window.Width; x++)
                    {
                        float* from = blended + 3 * (columns[x].First - left), weights = columnWeights + columns[x].Weights;
                        var sum = Vector128.Create(0.5f);
                        for (var k = 0; k < columns[x].Count; k++) sum = Vector128.Create(weights[k]) * Vector128.Load(from + 3 * k) + sum;
                        // Three channels and a spare one, which the next pixel writes over.
                        sum.Store(made + 3 * x);
                    }
                    Levels(made, wide);
                    Put(ref sink, window, y, made);
                }
            }
        }
    }

    /// <summary>A bicubic filter overshoots, and PIL cuts off what does after each of its two passes, columns first: so the order matters.</summary>
    private static void ColumnsFirst(byte* origin, long stride, Taps* columns, float* columnWeights, FilterOf down, float* rowWeights, Box window,
        float* made, ref Sink sink)
    {
        var (top, bottom, wide) = (down.Taps[0].First, down.End, 3 * window.Width);
        var narrow = GC.AllocateUninitializedArray<byte>(wide * (bottom - top));
        fixed (byte* kept = narrow)
        {
            for (var y = top; y < bottom; y++)
            {
                byte* from = origin + y * stride, to = kept + (long)wide * (y - top);
                for (var x = 0; x < window.Width; x++)
                {
                    for (var c = 0; c < 3; c++)
                    {
                        var sum = 0f;
                        for (var k = 0; k < columns[x].Count; k++) sum += columnWeights[columns[x].Weights + k] * from[3 * (columns[x].First + k)
                            + c];
                        to[3 * x + c] = (byte)Whole(sum);
                    }
                }
            }
            for (var y = 0; y < window.Height; y++)
            {
                var tap = down.Taps[y];
                BlendRows(kept + (long)wide * (tap.First - top), wide, rowWeights + tap.Weights, tap.Count, made, wide);
                for (var k = 0; k < wide; k++) made[k] = Whole(made[k]);
                Put(ref sink, window, y, made);
            }
        }
    }

    private static float Whole(float value) => (int)Math.Max(0f, Math.Min(255f, value + 0.5f));

    /// <summary>Weighted sums of rows of bytes. The sums stay in registers while the rows are gone through.</summary>
    private static void BlendRows(byte* rows, long stride, float* weights, int count, float* into, int n)
    {
        var i = 0;
        if (Avx2.IsSupported)
        {
            for (; i <= n - 16; i += 16)
            {
                var (a, b) = (Vector256<float>.Zero, Vector256<float>.Zero);
                var from = rows + i;
                for (var k = 0; k < count; k++, from += stride)
                {
                    var weight = Vector256.Create(weights[k]);
                    a += weight * Avx.ConvertToVector256Single(Avx2.ConvertToVector256Int32(from));
                    b += weight * Avx.ConvertToVector256Single(Avx2.ConvertToVector256Int32(from + 8));
                }
                a.Store(into + i);
                b.Store(into + i + 8);
            }
        }
        for (; i < n; i++)
        {
            var sum = 0f;
            for (var k = 0; k < count; k++) sum += weights[k] * rows[k * stride + i];
            into[i] = sum;
        }
    }

    /// <summary>Cut to 0 … 255 and to whole levels; a half was added before.</summary>
    private static void Levels(float* row, int n)
    {
        var i = 0;
        for (; i <= n - 8; i += 8)
        {
            var cut = Vector256.Min(Vector256.Max(Vector256.Load(row + i), Vector256<float>.Zero), Vector256.Create(255f));
            Vector256.ConvertToSingle(Vector256.ConvertToInt32(cut)).Store(row + i);
        }
        for (; i < n; i++) row[i] = (int)Math.Max(0f, Math.Min(255f, row[i]));
    }

    private static void Put(ref Sink sink, Box window, int y, float* row)
    {
        var wide = 3 * window.Width;
        if (sink.Bytes != null)
        {
            var bytes = sink.Bytes + (long)y * wide;
            for (var k = 0; k < wide; k++) bytes[k] = (byte)row[k];
            return;
        }
        for (var c = 0; c < 3; c++)
        {
            var (scale, shift) = (sink.Scale[c], sink.Shift[c]);
            if (sink.Planar)
            {
                var plane = sink.Floats + ((long)c * window.Height + y) * window.Width;
                for (var x = 0; x < window.Width; x++) plane[x] = row[3 * x + c] * scale + shift;
            }
            else
            {
                var into = sink.Floats + (long)y * wide;
                for (var x = 0; x < window.Width; x++) into[3 * x + c] = row[3 * x + c] * scale + shift;
            }
        }
    }
}
