namespace Graft.Inference;

/// <summary>What runs frozen networks.</summary>
public enum EngineKind
{
    /// <summary>ONNX Runtime where it can, libtorch where it cannot.</summary>
    Auto,

    /// <summary>ONNX Runtime, or an error that says why not.</summary>
    Onnx,

    /// <summary>libtorch.</summary>
    Torch,
}

/// <summary>Which engine this process runs frozen networks with.</summary>
public static class Engine
{
    /// <summary>At first <c>GRAFT_ENGINE</c>, or auto.</summary>
    public static EngineKind Wanted { get; private set; } = Environment.GetEnvironmentVariable("GRAFT_ENGINE") is { Length: > 0 } name
        ? Parse(name, "GRAFT_ENGINE=") : EngineKind.Auto;

    /// <summary>Uses this one from here on.</summary>
    public static void Use(EngineKind engine) => Wanted = engine;

    /// <summary>auto, onnx or torch.</summary>
    /// <exception cref="GraftException">Another name.</exception>
    public static EngineKind Parse(string name, string option = "--engine ") => name switch
    {
        "auto" => EngineKind.Auto, "onnx" => EngineKind.Onnx, "torch" => EngineKind.Torch,
            _ => throw Bounds.Refuse($"{option}{name}: auto, onnx or torch"),
    };
}
