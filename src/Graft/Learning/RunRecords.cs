using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>What the record of every run says, whatever kind of training it is of.</summary>
internal interface IRunRecord
{
    /// <summary>Whether there is nothing to go on with.</summary>
    bool IsFinished { get; }

    /// <summary>A digest of names, targets and bytes of what it learns from.</summary>
    string DataFingerprint { get; }

    /// <summary>Of the weights that it began with; null: of none.</summary>
    string? UpstreamSha256 { get; }
}

/// <summary>What all records say alike.</summary>
internal static class RunRecords
{
    /// <summary>Versions and machine.</summary>
    public static Dictionary<string, string> DescribeEnvironment(Device device) => new()
    {
        ["graft"] = typeof(RunRecords).Assembly.GetName().Version?.ToString(3) ?? "", ["libtorch"] = TorchRuntime.Version,
        ["dotnet"] = Environment.Version.ToString(), ["system"] = RuntimeInformation.OSDescription,
        ["processor"] = $"{RuntimeInformation.ProcessArchitecture}, {Environment.ProcessorCount} cores", ["device"] = device.ToString(),
    };
}

/// <summary>run.json of one kind of run: how it is written and read, and when a run may go on.</summary>
/// <typeparam name="TRecord">What it holds.</typeparam>
/// <param name="command">What begins such a run, such as graft train.</param>
/// <param name="model">The file that a finished run ends with.</param>
internal sealed class RunRecords<TRecord>(string command, string model) where TRecord : class, IRunRecord
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
            Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) },
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly JsonSerializerOptions s_strict = new(s_json) { RespectNullableAnnotations = true };

    /// <summary>Replaces the record of a run, as a whole.</summary>
    public void Write(string folder, TRecord record) =>
        AtomicFile.WriteText(Path.Combine(folder, RunFolder.Record), JsonSerializer.Serialize(record, s_json));

    /// <summary>Reads the record of a run.</summary>
    /// <exception cref="GraftException">There is none, or it is damaged.</exception>
    public TRecord Read(string folder)
    {
        var text = RunFolder.ReadRecord(folder, command);
        try
        {
            return JsonSerializer.Deserialize<TRecord>(text, s_strict) ?? throw new JsonException("it holds null, and no run");
        }
        catch (JsonException reason)
        {
            if (Begun(text) is { } other && other != command) throw new GraftException($"{folder} is a run of {other}, and not of {command}", reason);
            throw new GraftException($"{Path.Combine(folder, RunFolder.Record)} is damaged{JsonFault.Of(reason)}. The run cannot be read: start it anew", reason);
        }
    }

    // The command that a record names, where it names one.
    private static string? Begun(string text)
    {
        try
        {
            using var record = JsonDocument.Parse(text);
            return record.RootElement.TryGetProperty("command", out var begun) ? begun.GetString() : null;
        }
        catch (Exception reason) when (reason is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>The record of a run that is to go on.</summary>
    /// <exception cref="GraftException">It is finished.</exception>
    public TRecord Unfinished(string folder)
    {
        var record = Read(folder);
        return record.IsFinished ? throw new GraftException($"{folder} is finished: there is nothing to go on with. Its model is {Path.Combine(folder, model)}") : record;
    }

    /// <summary>Refuses to go on with other data or other weights than a run began with.</summary>
    /// <param name="record">Of the run.</param>
    /// <param name="fingerprint">Of the data as it is now.</param>
    /// <param name="data">Where it lies.</param>
    /// <param name="sha256">Of the weights as they are now; null: there are none.</param>
    /// <param name="weights">Where they lie.</param>
    /// <exception cref="GraftException">What has changed, and what to do.</exception>
    public void RequireSame(TRecord record, string fingerprint, string data, string? sha256, string? weights)
    {
        if (record.DataFingerprint != fingerprint)
            throw new GraftException($"{data} is not what the run began with: pictures were added, removed, renamed or changed. Start a new run, or bring them back");
        if ((record.UpstreamSha256 ?? "") != (sha256 ?? ""))
            throw new GraftException($"{weights ?? "the embedded backbone"} is not what the run began with: its weights have changed. Start a new run, or bring them back");
    }
}
