using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

public class BackboneTests
{
    private static (string Forward, string Gradient) Sums(Backbone backbone, Tensor x, string parameter)
    {
        backbone.Eval();
        var y = backbone.Forward(x);
        var gradient = Autograd.Grad((y * y).Sum(), [backbone.NamedParameters().First(found => found.Name == parameter).Tensor])[0];
        return (string.Join(' ', y.Flatten(0).Narrow(0, 0, 32).ToArray<double>().Select(v => v.ToString("R"))), gradient.LinalgVectorNorm().Item()
            .ToString("R"));
    }

    private static void Close(string ours, string theirs, double tolerance)
    {
        var (a, b) = (ours.Split(' ').Select(double.Parse).ToArray(), theirs.Split(' ').Select(double.Parse).ToArray());
        Assert.Equal(b.Length, a.Length);
        var scale = b.Max(Math.Abs);
        for (var k = 0; k < a.Length; k++) Assert.InRange(Math.Abs(a[k] - b[k]) / scale, 0, tolerance);
    }

    [SkippableFact]
    public void MobileNetV2_is_torchvisions_forward_and_backward()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        Workshop.Python("""
            import sys, torch, torchvision
            torch.manual_seed(0)
            m = torchvision.models.mobilenet_v2()
            for k in m.modules():
                if isinstance(k, torch.nn.BatchNorm2d): k.running_mean.normal_(0, .1); k.running_var.uniform_(.5, 2)
            torch.save(m.state_dict(), sys.argv[1])
            """, shop["m.pth"]);
        var (backbone, notes) = ModelOpener.Load(shop["m.pth"]);
        Assert.Empty(notes);
        Assert.Equal(1000, backbone.UpstreamHead!.Weight.Shape[0]);
        var x = Ops.Linspace(-1L, 1L, 2 * 3 * 96 * 96).View([2, 3, 96, 96]);
        var (forward, gradient) = Sums(backbone, x, "features.1.conv.0.0.weight");
        var theirs = Workshop.Python("""
            import sys, torch, torchvision
            m = torchvision.models.mobilenet_v2(); m.load_state_dict(torch.load(sys.argv[1])); m.eval()
            x = torch.linspace(-1, 1, 2*3*96*96).view(2, 3, 96, 96)
            y = m.features(x).mean([2, 3]); (y * y).sum().backward()
            print(*y.flatten()[:32].double().tolist()); print(m.features[1].conv[0][0].weight.grad.norm().item())
            """, shop["m.pth"]).Split('\n');
        Close(forward, theirs[0], 1e-6);
        Close(gradient, theirs[1], 1e-6);
    }

    [SkippableFact]
    public void The_legacy_checkpoint_of_ResNet20_gives_what_PyTorch_reads()
    {
        using var scope = new TensorScope();
        var path = Workshop.Need("weights", "cifar10_resnet20-12fca82f.th");
        var (backbone, _) = ModelOpener.Load(path);
        Assert.Equal("cifar_resnet20", backbone.Architecture);
        var x = Ops.Linspace(-1L, 1L, 2 * 3 * 32 * 32).View([2, 3, 32, 32]);
        var (forward, gradient) = Sums(backbone, x, "conv1.weight");
        var theirs = Workshop.Python($$"""
            import sys, os, torch
            os.environ['GRAFT_DATA'] = '.'
            sys.path.insert(0, '{{Path.Combine(Workshop.Repository, "bench", "peers")}}')
            import peer
            state = {k[7:]: v for k, v in torch.load(sys.argv[1], map_location='cpu')['state_dict'].items()}
            m = peer.cifar_resnet()
            names = dict(zip([k for k in m.state_dict() if 'num_batches' not in k], [k for k in state if 'num_batches' not in k]))
            m.load_state_dict({k: state[names[k]] for k in names}, strict=False); m.eval()
            x = torch.linspace(-1, 1, 2*3*32*32).view(2, 3, 32, 32)
            y = m[:-1](x); (y * y).sum().backward()
            print(*y.flatten()[:32].double().tolist()); print(m[0].weight.grad.norm().item())
            """, path).Split('\n');
        Close(forward, theirs[0], 1e-6);
        Close(gradient, theirs[1], 1e-6);
    }

    [Fact]
    public void A_frozen_norm_folds_without_changing_the_function_or_its_gradients()
    {
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(0);
        using var backbone = BackboneCatalogue.Create("cifar_resnet20");
        backbone.Eval();
        var x = Ops.Randn([2, 3, 32, 32]);
        Tensor[] Gradients(Tensor y) => Autograd.Grad((y * y).Sum(), [.. backbone.Parameters()]);
        var (plain, plainGradients) = (backbone.Forward(x), Gradients(backbone.Forward(x)));
        backbone.FreezeBelow(0, freezeStatistics: true);
        var (folded, foldedGradients) = (backbone.Forward(x), Gradients(backbone.Forward(x)));
        Assert.InRange(((plain - folded).Abs().Max() / plain.Abs().Max()).Item(), 0, 1e-5);
        foreach (var (a, b) in plainGradients.Zip(foldedGradients)) Assert.InRange(((a - b).Abs().Max() / (a.Abs().Max() + 1e-6)).Item(), 0, 1e-3);
    }

    [Fact]
    public void A_clone_can_be_trained_without_changing_its_upstream()
    {
        using var upstream = BackboneCatalogue.Create("convnet");
        var before = upstream.Fingerprint();
        using var clone = upstream.Clone();
        Assert.Equal(before, clone.Fingerprint());
        using (Autograd.NoGrad()) clone.Parameters().First().ZeroInPlace();
        Assert.NotEqual(before, clone.Fingerprint());
        Assert.Equal(before, upstream.Fingerprint());
    }

    [Fact]
    public void A_block_of_several_convolutions_has_a_shortcut_around_them_and_is_made_again_from_its_description()
    {
        using var scope = new TensorScope();
        using var backbone = BackboneCatalogue.Create("convnet", null,
            new Dictionary<string, string> { ["widths"] = "4-8", ["side"] = "8", ["channels"] = "1", ["depths"] = "1-3" });
        Assert.Equal("convnet widths=4-8 side=8 channels=1 depths=1-3", backbone.Spec.ToString());
        using var clone = backbone.Clone();
        Assert.Equal(backbone.Fingerprint(), clone.Fingerprint());
        using var mode = Autograd.NoGrad();
        backbone.Eval();
        // Convolutions that give nothing leave the shortcut, a convolution of 1×1 with a norm that divides by √(1 + ε).
        foreach (var (name, tensor) in backbone.State()
            .Where(item => item.Key.StartsWith("block2.conv", StringComparison.Ordinal)
            && !item.Key.Contains("shortcut", StringComparison.Ordinal))) tensor.ZeroInPlace();
        var x = Ops.Randn([2, 4, 4, 4]);
        var expected = x.Conv2d(backbone.State()["block2.conv_shortcut.weight"]) / Math.Sqrt(1 + 1e-5);
        Assert.InRange((backbone.Forward(x, 1, 2) - expected.MaxPool2d([2, 2]).Relu()).Abs().Max().Item(), 0, 1e-5);
        Assert.Contains("2 blocks take as many depths",
            Assert.Throws<GraftException>(() =>
            BackboneCatalogue.Create("convnet", null, new Dictionary<string, string> { ["widths"] = "4-8", ["depths"] = "1" })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_frozen_stage_does_not_change()
    {
        using var scope = new TensorScope();
        using var backbone = BackboneCatalogue.Create("convnet");
        backbone.FreezeBelow(2, freezeStatistics: true);
        backbone.Train();
        var frozen = backbone.Stages.Take(2).SelectMany(stage => stage.Modules).SelectMany(module => module.NamedSlots())
            .Select(slot => slot.Slot.Value.ToArray<float>()).ToArray();
        using var optimizer = new Sgd([new ParameterGroup("top",
            [.. backbone.Stages.Skip(2).SelectMany(stage => stage.Modules).SelectMany(module => module.Parameters())], 0.1)]);
        backbone.Forward(Ops.Randn([4, 3, 32, 32])).Square().Sum().Backward();
        optimizer.Step();
        var after = backbone.Stages.Take(2).SelectMany(stage => stage.Modules).SelectMany(module => module.NamedSlots())
            .Select(slot => slot.Slot.Value.ToArray<float>()).ToArray();
        Assert.Equal(frozen, after);
        Assert.All(backbone.Stages[0].Modules[0].Parameters(), parameter => Assert.Null(parameter.Grad));
    }

    [Fact]
    public void What_is_missing_unexpected_or_of_another_shape_is_listed()
    {
        using var scope = new TensorScope();
        using var backbone = BackboneCatalogue.Create("convnet");
        var state = new Dictionary<string, Tensor>(backbone.State());
        state.Remove("block1.conv.weight");
        state["block2.conv.weight"] = Ops.Zeros([1]);
        state["extra"] = Ops.Zeros([1]);
        var error = Assert.Throws<GraftException>(() => CheckpointMatcher.Load(backbone, state, "file")).Message;
        Assert.Contains("1 missing (block1.conv.weight)", error, StringComparison.Ordinal);
        Assert.Contains("block2.conv.weight: the file has [1], the network [64×32×3×3]", error, StringComparison.Ordinal);
        Assert.Contains("1 unexpected (extra)", error, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_pickle_that_wants_os_system_is_refused_by_name()
    {
        using var shop = new Workshop();
        Workshop.Python("""
            import sys, os, torch
            class Evil:
                def __reduce__(self): return (os.system, ('touch ' + sys.argv[2],))
            torch.save({'state_dict': {'w': torch.zeros(2)}, 'x': Evil()}, sys.argv[1])
            torch.save({'state_dict': {'w': torch.zeros(2)}, 'x': Evil()}, sys.argv[1] + '.old', _use_new_zipfile_serialization=False)
            """, shop["evil.pth"], shop["touched"]);
        foreach (var file in new[] { "evil.pth", "evil.pth.old" })
        {
            var error = Assert.Throws<GraftException>(() => Checkpoint.Read(shop[file])).Message;
            Assert.Contains("posix.system", error, StringComparison.Ordinal);
            Assert.Contains(file, error, StringComparison.Ordinal);
        }
        Assert.False(File.Exists(shop["touched"]));
    }

    [SkippableFact]
    public void Both_formats_of_PyTorch_are_read_with_views_and_types()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        Workshop.Python("""
            import sys, torch
            base = torch.arange(12.).view(3, 4)
            state = {'module.t': base.t(), 'module.part': base[1:], 'module.n': torch.tensor(7), 'module.h': torch.ones(2).half(), 'module.p': torch.nn.Parameter(torch.zeros(2))}
            torch.save({'epoch': 3, 'best': 0.5, 'state_dict': state}, sys.argv[1])
            torch.save({'epoch': 3, 'best': 0.5, 'state_dict': state}, sys.argv[2], _use_new_zipfile_serialization=False)
            """, shop["new.pth"], shop["old.pth"]);
        foreach (var file in new[] { "new.pth", "old.pth" })
        {
            var state = CheckpointMatcher.Bare(Checkpoint.Read(shop[file]).Tensors);
            Assert.Equal([0f, 4f, 8f, 1f], state["t"].ToArray<float>()[..4]);
            Assert.Equal([4f, 5f], state["part"].ToArray<float>()[..2]);
            Assert.Equal(7, state["n"].Item());
            Assert.Equal(DType.Float16, state["h"].Type);
            Assert.Equal([2L], state["p"].Shape);
        }
        var random = new Random(3);
        foreach (var file in new[] { "new.pth", "old.pth" })
        {
            var good = File.ReadAllBytes(shop[file]);
            for (var k = 0; k < 400; k++)
            {
                var bytes = random.Next(3) == 0 ? good[..random.Next(1, good.Length)].ToArray() : [.. good];
                for (var n = random.Next(1, 5); n > 0; n--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                File.WriteAllBytes(shop["bad.pth"], bytes);
                try
                {
                    foreach (var tensor in Checkpoint.Read(shop["bad.pth"]).Tensors.Values) tensor.ToArray<double>();
                }
                catch (GraftException reason)
                {
                    Assert.Contains("bad.pth", reason.Message, StringComparison.Ordinal);
                }
            }
        }
    }

    [Fact]
    public void A_checkpoint_that_is_none_says_what_it_is()
    {
        using var shop = new Workshop();
        string Refusal(string name, byte[] bytes)
        {
            File.WriteAllBytes(shop[name], bytes);
            return Assert.Throws<GraftException>(() => Checkpoint.Read(shop[name])).Message;
        }
        Assert.Contains("web page", Refusal("a.pth", "<html><body>Not found</body></html>"u8.ToArray()), StringComparison.Ordinal);
        Assert.Contains("empty", Refusal("b.safetensors", []), StringComparison.Ordinal);
        Assert.Contains("cut off", Refusal("c.safetensors", [9, 1, 0, 0, 0, 0, 0, 0, (byte)'{']), StringComparison.Ordinal);
        Assert.Contains("no such file", Assert.Throws<GraftException>(() => Checkpoint.Read(shop["none"])).Message, StringComparison.Ordinal);
    }
}
