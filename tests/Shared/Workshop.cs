using System.Diagnostics;

namespace Graft.Testing;

/// <summary>Folders, the repository's places, and processes, for tests.</summary>
internal sealed class Workshop : IDisposable
{
    public string Root { get; } = Directory.CreateTempSubdirectory("graft-test-").FullName;

    public string this[params string[] parts] => Path.Combine([Root, .. parts]);

    public static string Repository { get; } = Find();

    public static string Data => Environment.GetEnvironmentVariable("GRAFT_DATA") is { Length: > 0 } set ? set : Path.Combine(Repository, "..", "shared", "data");

    /// <summary>Skips the test where the real data is absent.</summary>
    public static string Need(params string[] parts)
    {
        var path = Path.Combine([Data, .. parts]);
        Skip.IfNot(File.Exists(path) || Directory.Exists(path), $"{path} is not here: set GRAFT_DATA to the folder of the real data");
        return path;
    }

    private static string Find()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Directory.Packages.props"))) folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests run outside the repository");
        return folder;
    }

    private static readonly Lazy<bool> s_hasPython = new(() => File.Exists("/usr/bin/python3") && Run("/usr/bin/python3", ["-c", "import torch, torchvision, PIL, sklearn, onnx, h5py"]).Status == 0);

    /// <summary>Runs a script of tests/ in Node; skips the test where its packages are not installed.</summary>
    public static string Node(string script, params string[] arguments)
    {
        var path = Path.Combine(Repository, "tests", script);
        Skip.IfNot(Directory.Exists(Path.Combine(Path.GetDirectoryName(path)!, "node_modules")), $"run npm ci --ignore-scripts in {Path.GetDirectoryName(path)}");
        var (status, output, errors) = Run("node", [path, .. arguments]);
        return status == 0 ? output.Trim() : throw new InvalidOperationException(errors);
    }

    /// <summary>Runs Python with the peers' libraries; skips the test where they are absent.</summary>
    public static string Python(string script, params string[] arguments)
    {
        Skip.IfNot(s_hasPython.Value, "Debian's python3-torch, python3-torchvision, python3-sklearn, python3-pil, python3-onnx and python3-h5py are not here");
        var (status, output, errors) = Run("/usr/bin/python3", ["-c", script, .. arguments]);
        return status == 0 ? output.Trim() : throw new InvalidOperationException(errors);
    }

    public static (int Status, string Output, string Errors) Run(string program, string[] arguments, Action<Process>? meanwhile = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (key, value) in environment ?? new Dictionary<string, string>()) start.Environment[key] = value;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        meanwhile?.Invoke(process);
        process.WaitForExit();
        return (process.ExitCode, output.Result, errors.Result);
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(Root, recursive: true);
        }
        catch (UnauthorizedAccessException)
        {
            // A test that takes permissions away may leave a folder behind.
        }
    }
}
