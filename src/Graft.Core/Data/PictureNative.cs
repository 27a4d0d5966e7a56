using System.Runtime.InteropServices;

namespace Graft.Data;

internal static unsafe partial class PictureNative
{
    public const int Ok = 0, TooLarge = 2, OtherReader = 3;

    private const string Pictures = "graft_pictures", Vips = "graft_vips";

    [LibraryImport(Pictures)] public static partial nint gp_error();
    [LibraryImport(Pictures)] public static partial int gp_jpeg_size(byte* bytes, long length, int* width, int* height);
    [LibraryImport(Pictures)] public static partial int gp_jpeg_decode(byte* bytes, long length, long pixelLimit, Box* region, byte** pixels,
        int* width, int* height);
    [LibraryImport(Pictures)] public static partial int gp_jpeg_encode(byte* pixels, int width, int height, int quality, byte** bytes, long* length);
    [LibraryImport(Vips)] public static partial nint gv_error();
    [LibraryImport(Vips)] public static partial int gv_decode(byte* bytes, long length, long pixelLimit, byte** pixels, int* width, int* height);
    [LibraryImport(Vips, StringMarshalling = StringMarshalling.Utf8)] public static partial nint gv_compose(string name);
    [LibraryImport(Vips)] public static partial void gv_free(nint memory);
}
