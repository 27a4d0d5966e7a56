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

    /// <summary>A session for lanes, each of which brings its own thread: a batch to a core wastes less than a layer over all cores.</summary>
    /// <param name="open">Opens it.</param>
    /// <param name="name">What errors call the model.</param>
    /// <exception cref="GraftException">ONNX Runtime cannot run it.</exception>
    public static InferenceSession Open(Func<SessionOptions, InferenceSession> open, string name)
    {
        Require();
        using var options = new SessionOptions { IntraOpNumThreads = 1, InterOpNumThreads = 1,
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        try
        {
            return open(options);
        }
        catch (OnnxRuntimeException reason)
        {
            throw new GraftException($"{name}: ONNX Runtime cannot run it ({Sentence(reason)})", reason);
        }
    }

    /// <summary>The first line of what ONNX Runtime says.</summary>
    public static string Sentence(OnnxRuntimeException reason) => reason.Message.Split('\n')[0].TrimEnd('.');

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
