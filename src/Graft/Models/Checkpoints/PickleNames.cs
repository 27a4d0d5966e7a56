namespace Graft.Models.Checkpoints;

/// <summary>
/// What a pickle may name beside its tensors. Nothing is ever called, so the question is what is passed over and what is refused:
/// objects that are made without a call (any class: a configuration, a Namespace) and values of the classes below are passed over as
/// <see cref="PickledObject"/>; a call of any other function is refused with its name, and so is the mere name of what runs commands.
/// </summary>
internal static class PickleNames
{
    // Nobody keeps these as data: a file that names them is up to something.
    private static readonly HashSet<string> s_running = new(StringComparer.Ordinal)
    {
        "os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "pty", "pdb", "bdb", "code", "codeop", "commands", "importlib", "imp", "runpy", "ctypes", "webbrowser", "pickle", "_pickle", "cPickle", "marshal",
    };

    // Of the built-in names, the types of plain values; not eval, getattr and the like.
    private static readonly HashSet<string> s_builtins = new(StringComparer.Ordinal)
    {
        "set", "frozenset", "list", "dict", "tuple", "int", "long", "float", "complex", "bool", "str", "unicode", "bytes", "bytearray", "slice", "range", "xrange", "object", "NoneType", "Ellipsis",
    };

    private static readonly HashSet<string> s_containers = new(StringComparer.Ordinal)
    {
        "collections.OrderedDict", "collections.defaultdict", "collections.Counter", "collections.deque", "builtins.set", "builtins.frozenset", "builtins.list", "builtins.dict", "builtins.tuple",
    };

    // Called to make a value of: what torch.save writes for numbers of NumPy, dates, paths and settings.
    private static readonly HashSet<string> s_values = new(StringComparer.Ordinal)
    {
        "argparse.Namespace", "types.SimpleNamespace", "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone", "decimal.Decimal", "fractions.Fraction", "uuid.UUID",
        "numpy.core.multiarray.scalar", "numpy.core.multiarray._reconstruct", "numpy.core.numeric._frombuffer", "numpy._core.multiarray.scalar", "numpy._core.multiarray._reconstruct", "numpy._core.numeric._frombuffer",
        "numpy.dtype", "numpy.ndarray", "numpy.random._pickle.__randomstate_ctor", "numpy.random._pickle.__generator_ctor", "numpy.random._pickle.__bit_generator_ctor",
        "_codecs.encode", "torch.serialization._get_layout",
    };

    /// <summary>Whether the name is one of those that run things, refused wherever it stands.</summary>
    public static bool Runs(string module, string name) =>
        module is "builtins" or "__builtin__" ? !s_builtins.Contains(name) : s_running.Contains(module.Split('.')[0]);

    /// <summary>Whether it is a dictionary, list or tuple under another name.</summary>
    public static bool IsContainer(PickleGlobal name) => s_containers.Contains(Plain(name));

    /// <summary>What a call of a function or class gives that has nothing to do with tensors.</summary>
    /// <exception cref="InvalidDataException">It is none of those that are passed over.</exception>
    public static object? Call(PickleGlobal function, object?[] arguments) => (Plain(function), arguments) switch
    {
        ("collections.OrderedDict" or "builtins.dict" or "collections.Counter", []) => new Dictionary<object, object?>(),
        ("collections.OrderedDict" or "builtins.dict" or "collections.Counter", [var items]) => Filled(items),
        ("collections.defaultdict", _) => arguments.Length > 1 ? Filled(arguments[1]) : new Dictionary<object, object?>(),
        ("builtins.tuple", [List<object?> items]) => items.ToArray(),
        ("builtins.set" or "builtins.frozenset" or "builtins.list" or "collections.deque" or "builtins.tuple", [object?[] items, ..]) => items.ToList(),
        ("builtins.set" or "builtins.frozenset" or "builtins.list" or "collections.deque", [List<object?> items, ..]) => items,
        ("builtins.set" or "builtins.frozenset" or "builtins.list" or "collections.deque", []) => new List<object?>(),
        // Objects as protocols before 2 made them: of the class that is the first argument.
        ("copyreg._reconstructor" or "copyreg.__newobj__" or "copyreg.__newobj_ex__", [PickleGlobal type, ..]) => new PickledObject(type),
        var (name, _) when s_values.Contains(name) || name.StartsWith("builtins.", StringComparison.Ordinal) || IsPath(function) => new PickledObject(function),
        _ => throw Refusal(function),
    };

    /// <summary>The refusal of a name.</summary>
    public static InvalidDataException Refusal(PickleGlobal name) =>
        new($"it wants {name}, which is refused: only tensors, plain containers and settings are read, and nothing is executed. If you trust the file, load it in PyTorch and save its state_dict()");

    private static bool IsPath(PickleGlobal name) => name.Module is "pathlib" or "pathlib._local" && name.Name.EndsWith("Path", StringComparison.Ordinal);

    // Python 2 has other names for two modules.
    private static string Plain(PickleGlobal name) => $"{name.Module switch { "__builtin__" => "builtins", "copy_reg" => "copyreg", var module => module }}.{name.Name}";

    private static Dictionary<object, object?> Filled(object? items)
    {
        if (items is Dictionary<object, object?> map) return map;
        var filled = new Dictionary<object, object?>();
        foreach (var pair in (IEnumerable<object?>)items!)
        {
            var (key, value) = pair switch { List<object?> { Count: 2 } list => (list[0], list[1]), object?[] { Length: 2 } list => (list[0], list[1]), _ => throw new InvalidDataException("a dictionary is described wrongly") };
            if (key is not null) filled[key] = value;
        }
        return filled;
    }
}
