using Graft.Torch;

namespace Graft.Models.Checkpoints;

/// <summary>Brings a checkpoint's names and a module's together; what does not fit is listed, never passed over.</summary>
internal static class CheckpointMatcher
{
    private static readonly string[] s_prefixes = ["module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder."];

    /// <summary>Names without the prefix that wrappers put before all of them, such as <c>module.</c>.</summary>
    public static IReadOnlyDictionary<string, Tensor> Bare(IReadOnlyDictionary<string, Tensor> state)
    {
        while (state.Count > 0 && s_prefixes.FirstOrDefault(prefix =>
            state.Keys.All(name => name.StartsWith(prefix, StringComparison.Ordinal))) is { } found)
            state = state.ToDictionary(item => item.Key[found.Length..], item => item.Value);
        return state;
    }

    /// <summary>Brings every tensor to its place; the module may share memory with <paramref name="state"/>, which nobody should write to
    /// afterwards.</summary>
    /// <returns>What was noticed: tensors left unused, and counters that older checkpoints lack.</returns>
    /// <exception cref="GraftException">A tensor is missing or has another shape; every one is named.</exception>
    public static IReadOnlyList<string> Load(Module module, IReadOnlyDictionary<string, Tensor> state, string from)
    {
        var slots = module.NamedSlots().ToList();
        var notes = new List<string>();
        var missing = slots.Where(slot => !state.ContainsKey(slot.Name)).Select(slot => slot.Name).ToList();
        // Checkpoints from before PyTorch 1.0 do not count batches; nothing depends on the count.
        var counters = missing.RemoveAll(name => name.EndsWith("num_batches_tracked", StringComparison.Ordinal));
        if (counters > 0) notes.Add($"{counters} num_batches_tracked missing (an older checkpoint): counted from 0");
        var shaped = slots.Where(slot => state.TryGetValue(slot.Name, out var tensor) && !tensor.Shape.SequenceEqual(slot.Slot.Value.Shape))
            .Select(slot => $"{slot.Name}: the file has [{string.Join("×", state[slot.Name].Shape)}], the network [{string.Join("×", slot.Slot.Value.Shape)}]").ToList();
        var known = slots.Select(slot => slot.Name).ToHashSet();
        var unexpected = state.Keys.Where(name => !known.Contains(name)).ToList();
        if (missing.Count > 0 || shaped.Count > 0)
        {
            throw new GraftException($"{from} does not fit: " + string.Join("; ", new[]
            {
                missing.Count > 0 ? $"{missing.Count} missing ({List(missing)})" : "",
                shaped.Count > 0 ? $"{shaped.Count} of another shape ({List(shaped)})" : "",
                unexpected.Count > 0 ? $"{unexpected.Count} unexpected ({List(unexpected)})" : "",
            }.Where(text => text.Length > 0)) + ". It is of another architecture: name the right one with --backbone");
        }
        if (unexpected.Count > 0) notes.Add($"{unexpected.Count} tensors not used: {List(unexpected)}");
        Adopt(slots.Select(slot => (slot.Name, slot.Slot)), state);
        return notes;
    }

    // A tensor on the mapped file serves as it is: a page is copied when training writes to it. What is shared, of another type or not in
    // order is copied now.
    private static void Adopt(IEnumerable<(string Name, Slot Slot)> slots, IReadOnlyDictionary<string, Tensor> state)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var taken = new HashSet<nint>();
        foreach (var (name, slot) in slots)
        {
            if (!state.TryGetValue(name, out var value)) continue;
            if (value.Type != slot.Value.Type || value.Device != slot.Value.Device || !value.IsContiguous || value.RequiresGrad
                || !taken.Add(value.Data)) { slot.Value.CopyInPlace(value); continue; }
            var trainable = slot.Value.RequiresGrad;
            slot.Value.Dispose();
            slot.Value = TensorScope.Detach(value.Detach());
            slot.Value.RequiresGrad = trainable;
        }
    }

    private static string List(List<string> names) => string.Join(", ", names.Take(12)) + (names.Count > 12 ? $", and {names.Count - 12} more" : "");
}
