using System.Text.Json;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

public class ZooTests
{
    // Sides that leave something at every stage and keep the test short.
    private static readonly Dictionary<string, int> s_sides = new() { ["inception_v3"] = 139 };

    private static int Side(string name) => s_sides.GetValueOrDefault(name, name.StartsWith("vit", StringComparison.Ordinal) ? 224 : 96);

    public static TheoryData<string> Published()
    {
        var all = new TheoryData<string>();
        foreach (var card in BackboneCatalogue.Cards.Where(card => card.Torchvision)) all.Add(card.Name);
        return all;
    }

    // One process for all: importing torchvision takes longer than most networks.
    private static readonly Lazy<Dictionary<string, string>> s_peer = new(() =>
    {
        var names = BackboneCatalogue.Cards.Where(card => card.Torchvision).Select(card => card.Name).ToArray();
        var lines = Workshop.Python(File.ReadAllText(Path.Combine(Workshop.Repository, "tests", "Graft.Tests", "zoo_peer.py")), [.. names.Select(name => $"{name}:{Side(name)}")]).Split('\n');
        return names.Zip(lines).ToDictionary(pair => pair.First, pair => pair.Second);
    });

    /// <summary>Weights that only seeds decide, as zoo_peer.py makes them.</summary>
    internal static void Fill(Module module)
    {
        using var mode = Autograd.NoGrad();
        var index = 0;
        foreach (var (name, tensor) in module.State().OrderBy(item => item.Key, StringComparer.Ordinal))
        {
            var seed = index++;
            if (!tensor.Type.IsFloating()) continue;
            TorchRuntime.ManualSeed(seed);
            if (name.EndsWith("running_var", StringComparison.Ordinal)) tensor.UniformInPlace(0.5, 2);
            else if (tensor.Dimensions > 1) tensor.NormalInPlace(0, Math.Sqrt(2 / ((double)tensor.Count / tensor.Shape[0])));
            else if (name.EndsWith("weight", StringComparison.Ordinal)) tensor.UniformInPlace(0.5, 1.5);
            else tensor.NormalInPlace(0, 0.1);
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Published))]
    public void A_network_is_torchvisions_forward_and_backward(string name)
    {
        using var scope = new TensorScope();
        using var theirs = JsonDocument.Parse(s_peer.Value[name]);
        using var backbone = BackboneCatalogue.Create(name, 1000);
        Fill(backbone);
        foreach (var (_, slot) in backbone.NamedSlots().Where(item => item.Slot.Value.Type == DType.Float32))
        {
            slot.Value = TensorScope.Detach(slot.Value.Detach().To(DType.Float64));
            slot.Value.RequiresGrad = !slot.IsBuffer;
        }
        backbone.Eval();
        TorchRuntime.ManualSeed(1);
        var x = (Ops.Rand([2, 3, Side(name), Side(name)]) * 2L - 1L).To(DType.Float64);
        var y = backbone.Classify(x);
        (y * y).Mean().Backward();
        var parameters = backbone.NamedParameters().OrderBy(item => item.Name, StringComparer.Ordinal).ToArray();
        Assert.Equal(theirs.RootElement.GetProperty("parameters").GetInt64(), backbone.ParameterCount);
        var norm = Math.Sqrt(parameters.Sum(item => item.Tensor.Grad!.To(DType.Float64).Square().Sum().Item()));
        Near(theirs.RootElement.GetProperty("norm").GetDouble(), norm, name);
        Near(theirs.RootElement.GetProperty("first").GetDouble(), parameters[0].Tensor.Grad!.To(DType.Float64).LinalgVectorNorm().Item(), name);
        var expected = theirs.RootElement.GetProperty("scores").EnumerateArray().Select(value => value.GetDouble()).ToArray();
        var scale = expected.Max(Math.Abs);
        var ours = y.Flatten(0).ToArray<double>();
        for (var k = 0; k < expected.Length; k++) Assert.InRange(Math.Abs(ours[k] - expected[k]) / scale, 0, 1e-6);
    }

    private static void Near(double expected, double value, string what) => Assert.True(Math.Abs(value - expected) <= 1e-6 * Math.Abs(expected), $"{what}: {value:R} and not {expected:R}");
}
