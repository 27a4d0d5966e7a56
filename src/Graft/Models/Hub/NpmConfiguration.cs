using System.Text.RegularExpressions;

namespace Graft.Models.Hub;

/// <summary>
/// What npm would ask, and with what: the registry and its token, from the environment (<c>npm_config_registry</c>), the <c>.npmrc</c> of the folder,
/// the user's, and the machine's, in npm's order.
/// </summary>
internal sealed partial class NpmConfiguration
{
    private const string PublicRegistry = "https://registry.npmjs.org/";

    private readonly Func<string, string?> _variable;
    private readonly IReadOnlyDictionary<string, string>[] _files;

    /// <param name="folder">Whose <c>.npmrc</c> counts.</param>
    /// <param name="home">The user's.</param>
    /// <param name="variable">Of the environment; null where it is not set.</param>
    public NpmConfiguration(string folder, string home, Func<string, string?> variable)
    {
        _variable = variable;
        var user = Setting("userconfig") ?? Path.Combine(home, ".npmrc");
        var machine = Setting("globalconfig") ?? Path.Combine(Setting("prefix") ?? "/usr", "etc", "npmrc");
        _files = [.. new[] { Path.Combine(folder, ".npmrc"), user, machine }.Distinct().Where(File.Exists).Select(Read)];
    }

    /// <summary>Of this process.</summary>
    public static NpmConfiguration Load() => new(Directory.GetCurrentDirectory(), Environment.GetFolderPath(Environment.SpecialFolder.UserProfile),
        Environment.GetEnvironmentVariable);

    /// <summary>Where packages are; it ends with a stroke.</summary>
    /// <exception cref="GraftException">It is no address.</exception>
    public Uri Registry
    {
        get
        {
            var text = Setting("registry") ?? Said("registry") ?? PublicRegistry;
            return Uri.TryCreate(text.TrimEnd('/') + "/", UriKind.Absolute, out var address) && address.Scheme is "http" or "https" ? address
                : throw new GraftException($"npm's registry is '{text}', which is no address: npm config set registry https://…");
        }
    }

    /// <summary>What the registry, or a folder above it, is to be shown; null: nothing.</summary>
    public string? Token
    {
        get
        {
            for (var place = $"//{Registry.Authority}{Registry.AbsolutePath}"; place.Length > 2; place = place[..(place.TrimEnd('/').LastIndexOf('/') + 1)])
            {
                if (Said($"{place}:_authToken") is { Length: > 0 } token) return token;
            }
            return null;
        }
    }

    private string? Setting(string name) =>
        new[] { $"npm_config_{name}", $"NPM_CONFIG_{name.ToUpperInvariant()}" }.Select(_variable).FirstOrDefault(value => value is { Length: > 0 });

    private string? Said(string key) => _files.Select(file => file.GetValueOrDefault(key)).FirstOrDefault(value => value is not null);

    private Dictionary<string, string> Read(string file)
    {
        var said = new Dictionary<string, string>();
        string[] lines;
        try
        {
            lines = File.ReadAllLines(file);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            throw new GraftException($"{file} cannot be read: {reason.Message}", reason);
        }
        foreach (var line in lines.Select(line => line.Trim()).Where(line => line is not ([] or [';' or '#', ..])))
        {
            if (line.Split('=', 2) is not [var key, var value]) continue;
            said[key.Trim()] = Variables().Replace(value.Trim().Trim('"', '\''), found => _variable(found.Groups[1].Value) ?? found.Value);
        }
        return said;
    }

    [GeneratedRegex(@"\$\{([^}]+)\}")]
    private static partial Regex Variables();
}
