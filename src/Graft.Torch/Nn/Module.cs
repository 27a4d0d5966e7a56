namespace Graft.Torch;

/// <summary>A place that holds a parameter or a buffer; what it holds can be exchanged for a while (<see cref="Module.With{T}"/>).</summary>
public sealed class Slot
{
    internal Slot(Tensor value, bool isBuffer) => (Value, IsBuffer) = (value, isBuffer);

    /// <summary>The tensor.</summary>
    public Tensor Value { get; set; }

    /// <summary>Whether it is state that no gradient reaches, such as running statistics.</summary>
    public bool IsBuffer { get; }
}

/// <summary>
/// A layer or a network: named parameters, buffers and children. Names joined by dots are the checkpoint's names.
/// </summary>
public abstract class Module : IDisposable
{
    private readonly List<(string Name, Slot Slot)> _slots = [];
    private readonly List<(string Name, Module Module)> _children = [];

    /// <summary>Whether layers that differ between training and inference (dropout, BatchNorm) act as in training.</summary>
    public bool Training { get; private set; } = true;

    /// <summary>What the module does.</summary>
    public abstract Tensor Forward(Tensor x);

    /// <summary>Adds a parameter: it requires gradients and belongs to no scope.</summary>
    protected Slot Parameter(string name, Tensor value)
    {
        value.RequiresGrad = true;
        return Add(name, value, false);
    }

    /// <summary>Adds a buffer: saved with the parameters, reached by no gradient.</summary>
    protected Slot Buffer(string name, Tensor value) => Add(name, value, true);

    private Slot Add(string name, Tensor value, bool isBuffer)
    {
        var slot = new Slot(TensorScope.Detach(value), isBuffer);
        _slots.Add((name, slot));
        return slot;
    }

    /// <summary>Adds a child under a name; with the name "" its parts are named as if they were this module's.</summary>
    protected T Child<T>(string name, T module) where T : Module
    {
        _children.Add((name, module));
        return module;
    }

    /// <summary>Every parameter and buffer below, with its full name.</summary>
    public IEnumerable<(string Name, Slot Slot)> NamedSlots(string prefix = "")
    {
        foreach (var (name, slot) in _slots) yield return (prefix + name, slot);
        foreach (var (name, child) in _children)
        {
            foreach (var found in child.NamedSlots(name.Length == 0 ? prefix : $"{prefix}{name}.")) yield return found;
        }
    }

    /// <summary>Parameters by full name.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> NamedParameters() => NamedSlots().Where(slot => !slot.Slot.IsBuffer).Select(slot => (slot.Name, slot.Slot.Value));

    /// <summary>Parameters.</summary>
    public IEnumerable<Tensor> Parameters() => NamedParameters().Select(parameter => parameter.Tensor);

    /// <summary>Parameters and buffers by full name: what a checkpoint holds.</summary>
    public Dictionary<string, Tensor> State() => NamedSlots().ToDictionary(slot => slot.Name, slot => slot.Slot.Value);

    /// <summary>How many numbers the parameters are.</summary>
    public long ParameterCount => Parameters().Sum(parameter => parameter.Count);

    /// <summary>This module and every one below it.</summary>
    public IEnumerable<Module> Modules() => _children.SelectMany(child => child.Module.Modules()).Prepend(this);

    /// <summary>Switches this and everything below to training or inference.</summary>
    public void Train(bool on = true)
    {
        Training = on;
        foreach (var (_, child) in _children) child.Train(on);
    }

    /// <summary>Switches to inference.</summary>
    public void Eval() => Train(false);

    /// <summary>Whether gradients are recorded for the parameters.</summary>
    public void SetTrainable(bool on)
    {
        foreach (var parameter in Parameters()) parameter.RequiresGrad = on;
    }

    /// <summary>
    /// Runs <paramref name="body"/> with other tensors in the place of some parameters and buffers: gradients flow to the
    /// tensors given (what MAML needs, and a trace). The module's own are back afterwards, whatever happens.
    /// </summary>
    /// <exception cref="ArgumentException">A name that the module does not have.</exception>
    public T With<T>(IReadOnlyDictionary<string, Tensor> substitutes, Func<T> body)
    {
        var slots = NamedSlots().ToDictionary(slot => slot.Name, slot => slot.Slot);
        if (substitutes.Keys.FirstOrDefault(name => !slots.ContainsKey(name)) is { } unknown) throw new ArgumentException($"the module has no parameter '{unknown}'");
        var own = substitutes.Keys.ToDictionary(name => name, name => slots[name].Value);
        try
        {
            foreach (var (name, tensor) in substitutes) slots[name].Value = tensor;
            return body();
        }
        finally
        {
            foreach (var (name, tensor) in own) slots[name].Value = tensor;
        }
    }

    /// <summary>Brings every parameter and buffer to a device.</summary>
    public void To(Device device)
    {
        foreach (var (_, slot) in NamedSlots())
        {
            if (slot.Value.Device == device) continue;
            var trainable = slot.Value.RequiresGrad;
            using var old = slot.Value;
            slot.Value = TensorScope.Detach(old.Detach().To(device));
            slot.Value.RequiresGrad = trainable;
        }
    }

    /// <summary>Copies values from tensors of the same names and shapes.</summary>
    public void CopyFrom(IReadOnlyDictionary<string, Tensor> values)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        foreach (var (name, slot) in NamedSlots())
        {
            if (values.TryGetValue(name, out var value)) slot.Value.CopyInPlace(value);
        }
    }

    /// <summary>Disposes parameters, buffers and children.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Disposes parameters, buffers and children.</summary>
    protected virtual void Dispose(bool disposing)
    {
        foreach (var (_, slot) in NamedSlots()) slot.Value.Dispose();
    }
}
