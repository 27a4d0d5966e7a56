using System.Runtime.InteropServices;

namespace Graft.Data;

/// <summary>
/// Names as Unicode composes them (NFC). macOS writes 개 as three letters and é as two, and the same names are to be equal. By GLib,
/// which stands below libvips: .NET's own Normalize, which serves where Graft's libraries are not, does nothing where globalization is invariant.
/// </summary>
internal static class UnicodeNames
{
    /// <summary>The composed form.</summary>
    public static string Compose(string name)
    {
        // Letters that stand for themselves in the composed form and join no other: nearly all names end here.
        if (name.All(letter => letter is < '\u0300' or (>= '가' and <= '힣') or (>= '一' and <= '鿿') or (>= 'ァ' and <= 'ヺ'))) return name;
        if (!PictureRoad.IsNative) return name.Normalize();
        var composed = PictureNative.gv_compose(name);
        if (composed == 0) return name;
        var text = Marshal.PtrToStringUTF8(composed)!;
        PictureNative.gv_free(composed);
        return text;
    }
}
