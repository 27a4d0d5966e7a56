using System.Runtime.InteropServices;

namespace Graft.Torch;

/// <summary>libtorch as a file: loading it takes a good part of a short command's time.</summary>
internal static class TorchLibrary
{
    /// <summary>Begins to load it beside what the caller does next. What fails here fails again, with its reason, when it is first used.</summary>
    public static void Preload() =>
        new Thread(() => NativeLibrary.TryLoad("graft_torch", typeof(TorchLibrary).Assembly, null, out _)) { IsBackground = true }.Start();
}
