using System.Text;
using Graft.Classification;
using Graft.Exports;
using Graft.FewShot;
using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

public class ForeignCheckpointTests
{
    private static string Refusal(string path) => Assert.Throws<GraftException>(() => Checkpoint.Read(path)).Message;

    [SkippableFact]
    public void Settings_and_numbers_beside_the_tensors_are_passed_over_in_both_formats()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        // What the scripts of torchvision, timm and many others write, and classes of a script's own.
        Workshop.Python("""
            import sys, argparse, collections, datetime, decimal, pathlib, types, uuid, random, numpy as np, torch
            class Config(dict): pass
            class Run:
                def __init__(self): self.lr, self.weights = .1, torch.ones(3)
            def train(): pass
            Fields = collections.namedtuple('Fields', 'a b'); Fields.__module__ = '__main__'
            args = argparse.Namespace(lr=np.float64(.1), when=datetime.datetime.now(), out=pathlib.Path('runs/1'), func=train, device=torch.device('cuda:0'), act=torch.nn.ReLU, dtype=torch.float16, opt={'betas': (.9, .999)})
            net = torch.nn.Linear(2, 3); optimizer = torch.optim.Adam(net.parameters()); net(torch.ones(1, 2)).sum().backward(); optimizer.step()
            state = collections.OrderedDict((k, v.detach()) for k, v in net.state_dict().items())
            file = {'rng_state': torch.get_rng_state(), 'numpy_rng': np.random.get_state(), 'python_rng': random.getstate(), 'generator': np.random.default_rng(1), 'model': state, 'optimizer': optimizer.state_dict(), 'args': args,
                'best': np.float32(.5), 'confusion': np.eye(3), 'classes': np.array(['a', 'b']), 'when': datetime.timedelta(1), 'run': Run(), 'config': Config(a=1), 'fields': Fields(1, 2), None: 0, 'seed': 2 ** 127,
                'counts': collections.Counter('aab'), 'names': collections.defaultdict(list, a=[1]), 'recent': collections.deque([1, 2], 5), 'frozen': frozenset([1]), 'complex': 1j, 'slice': slice(3), 'raw': b'\0' * 300, 'simple': types.SimpleNamespace(a=1),
                'size': torch.Size([1, 2]), 'version': torch.__version__, 'exact': decimal.Decimal('0.1'), 'id': uuid.uuid4()}
            for protocol in (2, 4):
                torch.save(file, f'{sys.argv[1]}/new{protocol}.pth', pickle_protocol=protocol)
                torch.save(file, f'{sys.argv[1]}/old{protocol}.pth', pickle_protocol=protocol, _use_new_zipfile_serialization=False)
            np.savetxt(f'{sys.argv[1]}/weight.txt', state['weight'].numpy())
            """, shop.Root);
        var weight = File.ReadAllText(shop["weight.txt"]).Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries).Select(float.Parse)
            .ToArray();
        foreach (var file in new[] { "new2.pth", "old2.pth", "new4.pth", "old4.pth" })
        {
            var state = Checkpoint.Read(shop[file]).Tensors;
            Assert.Equal(["bias", "weight"], state.Keys.Order());
            Assert.Equal(weight, state["weight"].ToArray<float>());
        }
    }

    [SkippableFact]
    public void A_call_of_what_is_not_known_is_refused_by_name_wherever_it_stands()
    {
        using var shop = new Workshop();
        var names = Workshop.Python("""
            import sys, os, argparse, builtins, functools, importlib, subprocess, torch
            touched = sys.argv[1] + '/touched'
            class Evil:
                def __init__(self, f, *a): self.call = (f, a)
                def __reduce__(self): return self.call
            def mine(): pass
            command = f'open({touched!r}, "w")'
            evils = {'posix.system': Evil(os.system, 'touch ' + touched), 'builtins.eval': Evil(eval, command), 'builtins.exec': Evil(exec, command), 'builtins.getattr': Evil(getattr, argparse.Namespace(), 'a'), 'subprocess.Popen': Evil(subprocess.Popen, ['touch', touched]),
                'importlib.import_module': Evil(importlib.import_module, 'antigravity'), '__main__.mine': Evil(mine), 'functools.partial': functools.partial(mine, 1), 'torch.hub.load': Evil(torch.hub.load, 'a/b', 'c'), 'posix.listdir': [os.listdir]}
            for name, evil in evils.items():
                for where, file in {'beside': {'state_dict': {'w': torch.zeros(2)}, 'x': evil}, 'within': {'state_dict': {'w': torch.zeros(2)}, 'args': argparse.Namespace(x=evil)}, 'key': {'state_dict': {'w': torch.zeros(2), 'v': evil}}}.items():
                    torch.save(file, f'{sys.argv[1]}/{name}.{where}.pth'); torch.save(file, f'{sys.argv[1]}/{name}.{where}.old.pth', _use_new_zipfile_serialization=False)
            print(*evils)
            """, shop.Root).Split(' ');
        Assert.Equal(10, names.Length);
        foreach (var file in Directory.GetFiles(shop.Root, "*.pth"))
        {
            // Python 2 has other names for two modules, and the older protocol has Python 2's.
            var error = Refusal(file).Replace("__builtin__", "builtins", StringComparison.Ordinal)
                .Replace("commands.", "subprocess.", StringComparison.Ordinal);
            Assert.Contains($"{names.Single(name => Path.GetFileName(file).StartsWith(name + ".", StringComparison.Ordinal))}, which is refused",
                error, StringComparison.Ordinal);
            Assert.Contains(file, error, StringComparison.Ordinal);
        }
        Assert.Equal(60, Directory.GetFiles(shop.Root, "*.pth").Length);
        Assert.False(File.Exists(shop["touched"]));
    }

    /// <summary>A file in the format from before PyTorch 1.6, around a pickle written by hand.</summary>
    private static byte[] Legacy(string root, string keys, params float[][] storages)
    {
        static byte[] Raw(string text) => Encoding.Latin1.GetBytes(text);
        byte[] start = [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, (byte)'.',
            .. Raw("\u0080\u0002M\u00e9\u0003.\u0080\u0002}."), .. Raw(root), .. Raw(keys)];
        return [.. start, .. storages.SelectMany(storage =>
            (byte[])[.. BitConverter.GetBytes((long)storage.Length), .. storage.SelectMany(BitConverter.GetBytes)])];
    }

    private static string Tensor(string storage,
        string offset = "K\0") => $"ctorch._utils\n_rebuild_tensor\n({storage}{offset}K\u0002\u0085K\u0001\u0085tR";

    private static string Storage(string count, string view = "N") => $"(U\u0007storagectorch\nFloatStorage\nU\u0001kU\u0006cuda:0K{count}{view}tQ";

    [Fact]
    public void A_tensor_depends_on_nothing_that_was_passed_over()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        string Write(string root)
        {
            File.WriteAllBytes(shop["a.pth"],
                root.Contains("storage", StringComparison.Ordinal) ? Legacy(root, "]U\u0001ka.", [1, 2, 3, 4]) : Legacy(root, "]."));
            return shop["a.pth"];
        }
        // The whole is right, and a view of older files begins where it says.
        Assert.Equal([1f, 2f], Checkpoint.Read(Write($"}}U\u0001w{Tensor(Storage("\u0004"))}s.")).Tensors["w"].ToArray<float>());
        Assert.Equal([3f, 4f], Checkpoint.Read(Write($"}}U\u0001w{Tensor(Storage("\u0004", "(U\u0001vK\u0002K\u0002t"))}s.")).Tensors["w"]
            .ToArray<float>());
        // A placeholder as its storage, its offset, its size, or the storage's name.
        const string Opaque = "cargparse\nNamespace\n)R";
        Assert.Contains("described wrongly", Refusal(Write($"}}U\u0001w{Tensor(Opaque)}s.")), StringComparison.Ordinal);
        Assert.Contains("described wrongly",
            Refusal(Write($"}}U\u0001w{Tensor(Storage("\u0004").Replace("U\u0001k", Opaque, StringComparison.Ordinal))}s.")),
            StringComparison.Ordinal);
        Assert.Contains("described wrongly", Refusal(Write($"}}U\u0001w{Tensor(Storage("\u0004"), Opaque)}s.")), StringComparison.Ordinal);
        Assert.Contains("described wrongly",
            Refusal(Write($"}}U\u0001wctorch._utils\n_rebuild_tensor\n({Storage("\u0004")}K\0{Opaque}K\u0001\u0085tRs.")), StringComparison.Ordinal);
        // A tensor within an object is not found; an object in a tensor's place is none.
        Assert.Contains("no state dict", Refusal(Write($"c__main__\nNet\n)\u0081}}U\u0001w{Tensor(Storage("\u0004"))}sb.")),
            StringComparison.Ordinal);
        Assert.Contains("__main__.Net", Refusal(Write($"c__main__\nNet\n)\u0081}}U\u0001w{Tensor(Storage("\u0004"))}sb.")), StringComparison.Ordinal);
        // It reaches beyond, or one storage is told of in two ways.
        Assert.Contains("beyond its storage", Refusal(Write($"}}U\u0001w{Tensor(Storage("\u0004"), "K\u0003")}s.")), StringComparison.Ordinal);
        Assert.Contains("cut off", Refusal(Write($"}}U\u0001w{Tensor(Storage("\u0005"))}s.")), StringComparison.Ordinal);
        // A dictionary that holds itself ends.
        Assert.Contains("no state dict", Refusal(Write("}q\0U\u0005modelh\0sU\nstate_dicth\0sU\u0003neth\0sU\u0007weightsh\0s.")),
            StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_pickle_of_2018_from_a_graphics_card_gives_what_PyTorch_reads()
    {
        using var scope = new TensorScope();
        var path = Workshop.Need("models", "legacy", "omniglot_feature_encoder_20way_1shot.pkl");
        var state = Checkpoint.Read(path).Tensors;
        var lines = Workshop.Python("""
            import sys, torch
            for name, t in torch.load(sys.argv[1], map_location='cpu').items(): print(name, *t.shape, t.double().sum().item(), (t.double() ** 2).sum().item())
            """, path).Split('\n');
        Assert.Equal(lines.Length, state.Count);
        foreach (var line in lines)
        {
            var parts = line.Split(' ');
            var tensor = state[parts[0]];
            Assert.Equal(parts[1..^2].Select(long.Parse), tensor.Shape);
            var values = tensor.ToArray<double>();
            Assert.Equal(double.Parse(parts[^2]), values.Sum(), 1e-9);
            Assert.Equal(double.Parse(parts[^1]), values.Sum(value => value * value), 1e-9);
        }
    }

    [Fact]
    public void A_file_of_a_kind_that_is_not_read_is_named_at_every_door()
    {
        using var shop = new Workshop();
        void Says(string name, byte[] bytes, params string[] words)
        {
            File.WriteAllBytes(shop[name], bytes);
            foreach (var door in new Action[] { () => Checkpoint.Read(shop[name]), () => ModelOpener.Load(shop[name]),
                () => Classifier.Open(shop[name]), () => FewShotModel.Load(shop[name]) })
            {
                var error = Assert.Throws<GraftException>(door).Message;
                Assert.All([.. words, shop[name]], word => Assert.Contains(word, error, StringComparison.Ordinal));
                Assert.DoesNotContain("header says", error, StringComparison.Ordinal);
            }
        }
        var pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"u8.ToArray();
        foreach (var name in new[] { "a.safetensors", "a.pth", "a.bin", "a.h5", "a.keras", "a.onnx", "a.caffemodel", "a.prototxt" }) Says(name,
            pointer, "Git LFS pointer", "git lfs pull");
        Says("a.tflite", [0x1c, 0, 0, 0, .. "TFL3"u8, .. new byte[64]], "TensorFlow Lite", "ONNX");
        Says("b.safetensors", [0x1c, 0, 0, 0, .. "TFL3"u8, .. new byte[64]], "TensorFlow Lite");
        Says("a.gguf", [.. "GGUF"u8, 3, 0, 0, 0, .. new byte[64]], "GGUF", "language model");
        Says("ggml.bin", [.. "lmgg"u8, .. new byte[64]], "GGML");
        Says("page.onnx", "\n\n<!DOCTYPE html><html><body>Not found</body></html>"u8.ToArray(), "web page", "Download it again");
        Says("page.h5", "<html></html>"u8.ToArray(), "web page");
        Says("config.json", "{\"architectures\": [\"ResNet\"]}"u8.ToArray(), "configuration", "model.safetensors");
        Says("error.safetensors", "{\"error\": \"Repository not found\"}"u8.ToArray(), "Repository not found");
        Says("empty.pth", [], "empty", "download it again");
        Says("saved_model.pb", [0x08, 0x01, 0x12, 0x05], "TensorFlow graph", "tf2onnx");
        Says("net.mlmodel", [0x08, 0x04, 0x12, 0x05], "Core ML");
        Says("net.engine", [.. "ftrt"u8, .. new byte[60]], "TensorRT");
        Says("w.npy", [0x93, .. "NUMPY"u8, 1, 0, .. new byte[60]], "NumPy");
        Says("w.pth.gz", [0x1f, 0x8b, 8, .. new byte[60]], "gzip", "gunzip");
        Says("photo.jpg", [0xff, 0xd8, 0xff, 0xe0, .. new byte[60]], "picture");
        Says("noise.safetensors", [.. Enumerable.Range(0, 200).Select(k => (byte)(k * 37 + 17))], "no kind that Graft reads", "11365b80a5caef14");
        Says("model.pkl", [0x80, 4, 0x95, .. new byte[8], 0x8c, 0x1e, .. "sklearn.linear_model._logistic"u8, 0x94, 0x8c, 0x12,
            .. "LogisticRegression"u8, 0x94, 0x93, 0x94, (byte)')', 0x81, 0x94, (byte)'.'], "pickle of sklearn", "only Python");
        Says("bare.pkl", [0x80, 2, (byte)'c', .. "mine\nNet\n"u8, (byte)')', 0x81, (byte)'.'], "bare pickle of a mine.Net");
    }

    [SkippableFact]
    public void A_folder_says_what_it_is_and_which_file_of_it_to_give()
    {
        using var shop = new Workshop();
        string Says(string folder) => Assert.Throws<GraftException>(() => ModelOpener.Load(folder)).Message;
        Directory.CreateDirectory(shop["saved"]);
        File.WriteAllBytes(shop["saved", "saved_model.pb"], [8, 1]);
        Assert.Contains("TensorFlow SavedModel", Says(shop["saved"]), StringComparison.Ordinal);
        Assert.Contains("TensorFlow SavedModel", Assert.Throws<GraftException>(() => Classifier.Open(shop["saved"])).Message,
            StringComparison.Ordinal);
        Directory.CreateDirectory(shop["face"]);
        File.WriteAllText(shop["face", "config.json"], "{}");
        File.WriteAllText(shop["face", "pytorch_model.bin"], "");
        Assert.Contains("Hugging Face", Says(shop["face"]), StringComparison.Ordinal);
        Assert.Contains(shop["face", "pytorch_model.bin"], Says(shop["face"]), StringComparison.Ordinal);
        Directory.CreateDirectory(shop["weights"]);
        Assert.Contains("without weights", Says(shop["weights"]), StringComparison.Ordinal);
        File.WriteAllText(shop["weights", "best.pth"], "");
        Assert.Contains("best.pth", Says(shop["weights"]), StringComparison.Ordinal);
    }

    private static Dictionary<string, Tensor> Spoiled(Backbone backbone, string name, float value, params int[] places)
    {
        var state = backbone.State().ToDictionary(item => item.Key, item => item.Value.Detach().Clone());
        var values = state[name].ToArray<float>();
        foreach (var place in places) values[place] = value;
        state[name] = Graft.Torch.Tensor.From(values, state[name].Shape);
        return state;
    }

    [Fact]
    public void Weights_that_are_not_finite_are_refused_with_the_first_tensor_and_how_many()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var backbone = BackboneCatalogue.Create("convnet", 3);
        var metadata = new Dictionary<string, string>(backbone.Spec.Options) { ["architecture"] = "convnet" };
        foreach (var value in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
        {
            Safetensors.Write(shop["bad.safetensors"], Spoiled(backbone, "block2.conv.weight", value, 0, 7, 18431), metadata);
            var error = Assert.Throws<GraftException>(() => ModelOpener.Load(shop["bad.safetensors"])).Message;
            Assert.Contains("'block2.conv.weight' holds 3 values of 18,432 that are not finite", error, StringComparison.Ordinal);
            Assert.Contains(shop["bad.safetensors"], error, StringComparison.Ordinal);
        }
        // Every type of number, in every place of a vector and behind the last.
        foreach (var type in new[] { DType.Float32, DType.Float64, DType.Float16, DType.BFloat16 })
        {
            for (var place = 0; place < 67; place++)
            {
                var values = new float[67];
                values[place] = place % 2 == 0 ? float.NaN : float.NegativeInfinity;
                Safetensors.Write(shop["one.safetensors"], [KeyValuePair.Create("w", Graft.Torch.Tensor.From(values, 67).To(type))]);
                Assert.Contains("'w' holds 1 values of 67", Refusal(shop["one.safetensors"]), StringComparison.Ordinal);
            }
            Safetensors.Write(shop["good.safetensors"],
                [KeyValuePair.Create("w", (Graft.Torch.Tensor.From([.. Enumerable.Repeat(65504f, 67)], 67) * -1).To(type)),
                KeyValuePair.Create("n", Graft.Torch.Tensor.From([-1L, 2], 2))]);
            Checkpoint.Read(shop["good.safetensors"]);
        }
        // A finished model, and whole networks.
        using var small = BackboneCatalogue.Create("convnet", 3, new Dictionary<string, string> { ["widths"] = "4-8", ["side"] = "16" });
        foreach (var slot in small.NamedSlots()
            .Where(slot => slot.Name == "block1.conv.weight")) slot.Slot.Value.CopyInPlace(slot.Slot.Value * float.NaN);
        using (var model = Classifier.Upstream(small))
        {
            foreach (var (file, format) in new[] { ("m.onnx", ExportFormat.Onnx), ("m.pt", ExportFormat.TorchScript),
                ("m.pth", ExportFormat.PyTorch), ("m.safetensors", ExportFormat.Safetensors) })
            {
                Exporter.Write(model, shop[file], format);
                var error = Assert.Throws<GraftException>(() => Classifier.Open(shop[file])).Message;
                Assert.Contains("not finite", error, StringComparison.Ordinal);
                Assert.Contains(file, error, StringComparison.Ordinal);
            }
        }
    }

    [SkippableFact]
    public void A_view_in_a_checkpoint_is_judged_by_what_belongs_to_it()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        Workshop.Python("""
            import sys, torch
            base = torch.arange(12.).view(3, 4); base[0, 0] = float('nan')
            torch.save({'rest': base[1:], 'turned': base[1:].t(), 'columns': base[:, 1:3], 'wide': base[2:, :1].expand(1 << 20, 1 << 20)}, sys.argv[1])
            torch.save({'turned': base.t()}, sys.argv[2]); torch.save({'columns': base[:, :2]}, sys.argv[3])
            """, shop["good.pth"], shop["turned.pth"], shop["columns.pth"]);
        Assert.Equal(4, Checkpoint.Read(shop["good.pth"]).Tensors.Count);
        Assert.Contains("'turned' holds 1 values of 12", Refusal(shop["turned.pth"]), StringComparison.Ordinal);
        Assert.Contains("'columns' holds 1 values of 6", Refusal(shop["columns.pth"]), StringComparison.Ordinal);
    }
}
