using System.Text.Json;
using Graft.Inference;

namespace Graft.Learning;

/// <summary>The folder of a run: which files are a run's own, and what may be written over. Of training and of few-shot training alike.</summary>
internal static class RunFolder
{
    /// <summary>What the run is: options, plan, results.</summary>
    public const string Record = "run.json";

    /// <summary>What a run ends with.</summary>
    public const string Model = "model.safetensors";

    /// <summary>The same model for ONNX Runtime.</summary>
    public const string Program = PictureModel.FileName;

    /// <summary>What a run of few-shot training ends with.</summary>
    public const string FewShotModel = "fewshot.safetensors";

    /// <summary>Both.</summary>
    public static readonly string[] Models = [Model, FewShotModel];

    /// <summary>TensorBoard's files.</summary>
    public const string Events = "events";

    /// <summary>The page for people.</summary>
    public const string Report = "report.html";

    private static readonly string[] s_own = [Record, .. Models, Program, TrainingState.FileName, Report];

    /// <summary>A folder below runs/ that is named after the time and is not there yet.</summary>
    public static string New(string prefix = "")
    {
        var name = Path.Combine("runs", $"{prefix}{DateTime.Now:yyyyMMdd-HHmmss}");
        return Enumerable.Range(1, int.MaxValue).Select(k => k == 1 ? name : $"{name}-{k}").First(free => !Path.Exists(free));
    }

    /// <summary>Refuses a folder that holds what a new run would destroy or mix with.</summary>
    /// <param name="folder">Where the run is to go.</param>
    /// <param name="overwrite">The files of a run that is there may be replaced; all others stay in any case.</param>
    /// <param name="reads">Files and folders that the run reads: it never writes over those.</param>
    /// <exception cref="GraftException">What is there, and what to do.</exception>
    public static void Check(string folder, bool overwrite, params IEnumerable<string?> reads)
    {
        if (File.Exists(folder)) throw Bounds.Refuse($"--out {folder} is a file, and a run is a folder: name another");
        foreach (var path in reads.OfType<string>())
        {
            if (Same(path, folder)) throw Bounds.Refuse($"--out {folder} is the folder of the pictures: name another for the run");
            if (s_own.Any(own => Same(path, Path.Combine(folder, own)))) throw Bounds.Refuse($"{path} is what the run reads, and a run in {folder} would write over it: name another folder with --out");
        }
        if (overwrite || !Directory.Exists(folder)) return;
        var held = Directory.EnumerateFileSystemEntries(folder).Select(entry => Path.GetFileName(entry)).Where(name => !IsPartial(name))
            .Order(StringComparer.Ordinal).FirstOrDefault();
        if (held is null) return;
        if (File.Exists(Path.Combine(folder, Record)))
        {
            throw Bounds.Refuse(GoesOn(folder) is { } command
                ? $"{folder} holds a run that is not finished: go on with {NextCommand.Of([.. command.Split(' ')[1..], "--resume", folder])}, name another folder with --out, or begin anew in its place with --overwrite"
                : $"{folder} holds a finished run: name another folder with --out, or replace it with --overwrite");
        }
        throw Bounds.Refuse($"{folder} holds other files already, such as {held}: name another folder with --out. With --overwrite a run goes there and leaves what is not a run's");
    }

    /// <summary>Removes the files of an earlier run, and nothing else.</summary>
    public static void Clear(string folder)
    {
        foreach (var own in s_own) File.Delete(Path.Combine(folder, own));
        foreach (var path in new[] { folder, Path.Combine(folder, Events) }.Where(Directory.Exists))
        {
            foreach (var file in Directory.EnumerateFiles(path)
                .Where(file => IsPartial(Path.GetFileName(file)) || EventWriter.IsOne(file))) File.Delete(file);
        }
    }

    /// <summary>The text of run.json.</summary>
    /// <param name="folder">The run.</param>
    /// <param name="command">What begins such a run.</param>
    /// <exception cref="GraftException">There is none.</exception>
    public static string ReadRecord(string folder, string command)
    {
        var path = Path.Combine(folder, Record);
        if (File.Exists(path)) return File.ReadAllText(path);
        throw new GraftException(!Directory.Exists(folder)
            ? $"{folder}: there is no such run. Start one with: {NextCommand.Of(command.Split(' ')[1..])} DATA --out {NextCommand.Quoted(folder)}"
            : $"{folder} has no {Record}: it is no run of {command}, or it was ended before anything had begun, and there is nothing to go on with. Start it with: {NextCommand.Of(command.Split(' ')[1..])} DATA --out {NextCommand.Quoted(folder)}");
    }

    /// <summary>A path that means the same from every folder; null stays null, and a name that is no path stays a name.</summary>
    public static string? Absolute(string? path) => path is not null && Path.Exists(path) ? Path.GetFullPath(path) : path;

    /// <summary>The command that goes on with the run in a folder, such as graft train; null: it is finished.</summary>
    public static string? GoesOn(string folder)
    {
        const string Train = "graft train", FewShot = "graft fewshot train";
        try
        {
            using var record = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, Record)));
            if (record.RootElement.TryGetProperty("status", out var status))
                return status.GetString() == "finished" ? null : record.RootElement.TryGetProperty("command", out var command) ? command.GetString() : Train;
            return record.RootElement.TryGetProperty("result", out var result) && result.ValueKind == JsonValueKind.Object
                && !File.Exists(Path.Combine(folder, TrainingState.FileName)) ? null : FewShot;
        }
        catch (Exception reason) when (reason is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    // What AtomicFile leaves of a write that was killed.
    private static bool IsPartial(string name) => name.EndsWith(".partial", StringComparison.Ordinal);

    private static bool Same(string a, string b) => Real(a) == Real(b);

    private static string Real(string path)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        return Directory.Exists(full) && new DirectoryInfo(full).ResolveLinkTarget(true) is { } target
            ? Path.TrimEndingDirectorySeparator(target.FullName) : full;
    }
}

/// <summary>Single files that a command writes where the user says.</summary>
internal static class OutputFile
{
    /// <summary>Refuses a file that is there, unless it may be replaced.</summary>
    /// <exception cref="GraftException">It is there.</exception>
    public static void Check(string path, bool overwrite)
    {
        if (Directory.Exists(path)) throw Bounds.Refuse($"{path} is a folder: name a file");
        if (!overwrite && File.Exists(path)) throw Bounds.Refuse($"{path} is there already: name another file, or replace it with --overwrite");
    }
}
