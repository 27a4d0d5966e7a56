namespace Graft.Torch;

/// <summary>
/// Disposes, when it ends, every tensor made on this thread since it began, but for those that were handed out by
/// <see cref="Keep"/> (they then belong to the scope outside, if there is one).
/// </summary>
/// <example><code>using var scope = new TensorScope(); var loss = scope.Keep(Loss(model.Forward(x), y));</code></example>
public sealed class TensorScope : IDisposable
{
    [ThreadStatic] private static TensorScope? s_current;

    private readonly TensorScope? _outer;
    private readonly List<Tensor> _made = [];
    private bool _ended;

    /// <summary>Begins a scope on this thread.</summary>
    public TensorScope()
    {
        _outer = s_current;
        s_current = this;
    }

    internal static void Register(Tensor tensor)
    {
        if (s_current is not { } scope) return;
        tensor.Scope = scope;
        scope._made.Add(tensor);
    }

    /// <summary>Hands a tensor to the scope outside.</summary>
    public Tensor Keep(Tensor tensor)
    {
        if (tensor.Scope != this) return tensor;
        tensor.Scope = _outer;
        _outer?._made.Add(tensor);
        return tensor;
    }

    /// <summary>Takes a tensor out of every scope: it lives until it is disposed, or collected.</summary>
    public static Tensor Detach(Tensor tensor)
    {
        tensor.Scope = null;
        return tensor;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_ended) return;
        _ended = true;
        if (s_current == this) s_current = _outer;
        foreach (var tensor in _made)
        {
            if (tensor.Scope == this) tensor.Dispose();
        }
    }
}
