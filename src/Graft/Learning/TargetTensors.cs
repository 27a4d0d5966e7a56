using Graft.Data;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>Targets as what a loss takes.</summary>
internal static class TargetTensors
{
    /// <summary>These items: N whole numbers for classes; N×labels of 0 and 1; N×columns in their own units.</summary>
    public static Tensor Batch(this Targets targets, IReadOnlyList<int> indices) => targets switch
    {
        ClassTargets classes => Tensor.From([.. indices.Select(k => (long)classes.Labels[k])]),
        LabelTargets labels => Tensor.From([.. indices.SelectMany(k => Ones(labels.Sets[k], labels.Names.Count))], indices.Count, labels.Names.Count),
        NumberTargets numbers => Tensor.From([.. indices.SelectMany(k => numbers.Rows[k])], indices.Count, numbers.Names.Count),
        _ => throw new NotSupportedException($"no tensor for {targets.Kind}"),
    };

    private static float[] Ones(int[] set, int count)
    {
        var row = new float[count];
        foreach (var label in set) row[label] = 1;
        return row;
    }
}
