using System.Text;
using Graft.Testing;

namespace Graft.Torch.Tests;

public class FileTests
{
    [Fact]
    public void Safetensors_come_back_as_they_were()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        Safetensors.Write(shop["a.safetensors"],
            new Dictionary<string, Tensor> { ["w"] = Tensor.From([1f, 2f, 3f], 3, 1), ["n"] = Tensor.From([5L]) },
            new Dictionary<string, string> { ["licence"] = "MIT" });
        var back = Safetensors.Read(shop["a.safetensors"]);
        Assert.Equal("MIT", back.Metadata["licence"]);
        Assert.Equal([3L, 1L], back.Tensors["w"].Shape);
        Assert.Equal([1f, 2f, 3f], back.Tensors["w"].ToArray<float>());
        Assert.Equal([5L], back.Tensors["n"].ToArray<long>());
    }

    [Fact]
    public void Writing_to_a_mapped_tensor_does_not_change_the_file()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        Safetensors.Write(shop["a.safetensors"], new Dictionary<string, Tensor> { ["w"] = Tensor.From([1f, 2f]) });
        var before = File.ReadAllBytes(shop["a.safetensors"]);
        Safetensors.Read(shop["a.safetensors"]).Tensors["w"].ZeroInPlace();
        Assert.Equal(before, File.ReadAllBytes(shop["a.safetensors"]));
    }

    private static string Refusal(Workshop shop, byte[] bytes)
    {
        File.WriteAllBytes(shop["bad.safetensors"], bytes);
        return Assert.Throws<InvalidDataException>(() => Safetensors.Read(shop["bad.safetensors"])).Message;
    }

    private static byte[] WithHeader(string json, int data = 0) =>
        [.. BitConverter.GetBytes((long)json.Length), .. Encoding.UTF8.GetBytes(json), .. new byte[data]];

    [Fact]
    public void A_header_that_lies_is_refused_by_name()
    {
        using var shop = new Workshop();
        Assert.Contains("cut off", Refusal(shop, [.. BitConverter.GetBytes(1L << 40), 0, 0]), StringComparison.Ordinal);
        Assert.Contains("'w'", Refusal(shop, WithHeader("""{"w":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}""", 16)), StringComparison.Ordinal);
        Assert.Contains("does not fit its shape", Refusal(shop, WithHeader("""{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 16)), StringComparison.Ordinal);
        Assert.Contains("'w'", Refusal(shop, WithHeader("""{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}""", 16)), StringComparison.Ordinal);
        Assert.Contains("no JSON", Refusal(shop, WithHeader("""{"w":""")), StringComparison.Ordinal);
        Assert.Contains("web page", Refusal(shop, "<!doctype html><title>404</title>"u8.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public void Random_damage_never_crashes()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        Safetensors.Write(shop["a.safetensors"],
            new Dictionary<string, Tensor> { ["w"] = Tensor.From([1f, 2f, 3f], 3, 1), ["n"] = Tensor.From([5L]) });
        var good = File.ReadAllBytes(shop["a.safetensors"]);
        var random = new Random(1);
        for (var k = 0; k < 500; k++)
        {
            var bytes = good[..random.Next(1, good.Length + 1)].ToArray();
            for (var n = random.Next(4); n > 0; n--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(shop["b.safetensors"], bytes);
            try
            {
                foreach (var tensor in Safetensors.Read(shop["b.safetensors"]).Tensors.Values) tensor.ToArray<double>();
            }
            catch (Exception reason) when (reason is InvalidDataException or IOException)
            {
                Assert.Contains("b.safetensors", reason.Message, StringComparison.Ordinal);
            }
        }
    }

    [SkippableFact]
    public void A_traced_module_runs_in_Python_with_its_own_names()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var model = new Sequential(new Conv2d(3, 4, 3), new BatchNorm2d(4), Lambda.Relu(), new Lambda(x => x.Mean([2, 3])), new Linear(4, 2));
        model.Eval();
        var x = Ops.Ones([1, 3, 8, 8]);
        using var script = Script.Trace(model, inputs => [model.Forward(inputs[0])], x);
        script.Save(shop["m.pt"]);
        var expected = model.Forward(x).ToArray<float>();
        Assert.Contains("4.weight", script.State().Tensors.Keys);
        using var mode = Autograd.Inference();
        using var loaded = Script.Load(shop["m.pt"]);
        Assert.Equal(expected, loaded.Run(x)[0].ToArray<float>());
        using var fast = script.Optimize();
        var quick = fast.Run(x)[0].ToArray<float>();
        for (var k = 0; k < 2; k++) Assert.Equal(expected[k], quick[k], 5);
        var python = Workshop.Python("import sys, torch\nm = torch.jit.load(sys.argv[1])\nprint('0.weight' in m.state_dict(), *['%.5f' % v for v in m(torch.ones(1, 3, 8, 8))[0].tolist()])", shop["m.pt"]);
        Assert.Equal($"True {expected[0]:F5} {expected[1]:F5}", python);
    }

    [Fact]
    public void An_atomic_file_is_whole_or_the_old_one()
    {
        using var shop = new Workshop();
        AtomicFile.WriteText(shop["a.txt"], "old");
        Assert.Throws<InvalidOperationException>(() =>
            AtomicFile.Write(shop["a.txt"], stream => { stream.Write("ne"u8); throw new InvalidOperationException(); }));
        Assert.Equal("old", File.ReadAllText(shop["a.txt"]));
        Assert.Single(Directory.GetFiles(shop.Root));
    }

    [SkippableFact]
    public void A_full_disk_is_told_and_leaves_nothing()
    {
        using var shop = new Workshop();
        Directory.CreateDirectory(shop["small"]);
        Skip.IfNot(Workshop.Run("/usr/bin/env", ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", shop["small"]])
            .Status == 0, "a small disk cannot be mounted here (not root)");
        try
        {
            using var scope = new TensorScope();
            var error = Assert.Throws<IOException>(() =>
                Safetensors.Write(shop["small", "a.safetensors"], new Dictionary<string, Tensor> { ["w"] = Ops.Zeros([1 << 20]) }));
            Assert.Contains("a.safetensors could not be written", error.Message, StringComparison.Ordinal);
            Assert.Empty(Directory.GetFiles(shop["small"]));
        }
        finally
        {
            Workshop.Run("/usr/bin/env", ["umount", shop["small"]]);
        }
    }
}
