using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;

namespace Graft.Inference;

/// <summary>ONNX Runtime's library as Graft uses it: loaded once, and without its reports to its makers (a device's number, a data base in the user's
/// folder).</summary>
internal static partial class OnnxEnvironment
{
    private const string Silence = "ORT_DISABLE_TELEMETRY";

    private static readonly Lazy<bool> s_ready = new(Load);

    /// <summary>Loads the library on another thread, while this one reads options and files.</summary>
    public static void Preload() => ThreadPool.QueueUserWorkItem(_ =>
    {
        try
        {
            _ = s_ready.Value;
        }
        catch (GraftException)
        {
            return; // whoever needs it meets the reason
        }
    }, null);

    /// <summary>Loads the library.</summary>
    /// <exception cref="GraftException">It is not there, or cannot be loaded.</exception>
    public static void Require() => _ = s_ready.Value;

    private static bool Load()
    {
        try
        {
            if (Environment.GetEnvironmentVariable(Silence) is null)
            {
                // .NET's own copy of the environment is not what a native library reads.
                if (OperatingSystem.IsWindows()) Environment.SetEnvironmentVariable(Silence, "1");
                else _ = SetVariable(Silence, "1", 0);
            }
            OrtEnv.Instance().DisableTelemetryEvents();
            return true;
        }
        catch (Exception reason) when (reason is DllNotFoundException or TypeInitializationException or OnnxRuntimeException
            or BadImageFormatException)
        {
            throw new GraftException($"ONNX Runtime cannot be loaded ({(reason.InnerException ?? reason).Message.Split('\n')[0]}): --engine torch does without it", reason);
        }
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
