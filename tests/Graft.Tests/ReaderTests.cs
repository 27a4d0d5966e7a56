using Graft.Classification;
using Graft.Exports;
using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

public class ReaderTests
{
    private static double Accuracy(string model, InputOptions? input = null)
    {
        using var classifier = Classifier.Open(Workshop.Need("models", model), input);
        return classifier.Judge(classifier.Open(Workshop.Need("mnist"), "test")).Metrics.Accuracy;
    }

    [SkippableFact]
    public void Keras_2_reads_as_Keras_reads_it() => Assert.Equal(0.9832, Accuracy("keras2_mnist_cnn.h5"), 6);

    [SkippableFact]
    public void Keras_3_reads_as_Keras_reads_it() => Assert.Equal(0.9936, Accuracy("keras3_mnist_cnn.h5"), 6);

    [SkippableFact]
    public void Caffes_LeNet_reaches_its_published_accuracy_from_either_of_its_files()
    {
        var scaled = new InputOptions { Scale = "1/256" };
        Assert.Equal(0.9914, Accuracy("caffe_lenet.caffemodel", scaled), 6);
        Assert.Equal(0.9914, Accuracy("caffe_lenet.prototxt", scaled), 6);
    }

    [SkippableFact]
    public void A_traced_and_a_scripted_archive_are_the_function_that_PyTorch_saved_and_can_be_trained()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        var lines = Workshop.Python("""
            import sys, torch, torchvision
            torch.manual_seed(0)
            m = torchvision.models.resnet18(num_classes=7).eval()
            torch.jit.trace(m, torch.zeros(1, 3, 224, 224)).save(sys.argv[1])
            torch.jit.script(m).save(sys.argv[2])
            x = torch.linspace(-1, 1, 2*3*224*224).view(2, 3, 224, 224)
            with torch.no_grad(): print(*m(x).flatten().tolist())
            """, shop["traced.pt"], shop["scripted.pt"]);
        var expected = lines.Split(' ').Select(double.Parse).ToArray();
        foreach (var file in new[] { "traced.pt", "scripted.pt" })
        {
            var (backbone, _) = ModelOpener.Load(shop[file]);
            using var owned = backbone;
            backbone.Eval();
            var y = backbone.Classify(Ops.Linspace(-1L, 1L, 2 * 3 * 224 * 224).View([2, 3, 224, 224]));
            var ours = y.ToArray<double>();
            for (var k = 0; k < expected.Length; k++) Assert.InRange(Math.Abs(ours[k] - expected[k]), 0, 1e-4);
            Assert.Equal(7, backbone.UpstreamClasses);
            Assert.InRange(backbone.Stages.Count, 3, 7);
            y.Sum().Backward();
            Assert.All(backbone.Parameters(), parameter => Assert.NotNull(parameter.Grad));
        }
    }

    [SkippableFact]
    public void Keras_layers_of_sequences_give_what_their_formulas_give()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        // Written with h5py as Keras lays it out; the expected values are PyTorch's own layers with the same weights.
        var expected = Workshop.Python("""
            import sys, json, h5py, numpy as np, torch
            rng = np.random.default_rng(0)
            V, T, C, U = 20, 6, 4, 5
            E = rng.normal(size=(V, C)).astype('f4')
            W, R, B = [rng.normal(size=s).astype('f4') * .5 for s in ((C, 4*U), (U, 4*U), (4*U,))]
            GW, GR, GB = [rng.normal(size=s).astype('f4') * .5 for s in ((U, 3*U), (U, 3*U), (2, 3*U))]
            D, DB = rng.normal(size=(U, 3)).astype('f4'), rng.normal(size=(3,)).astype('f4')
            layers = [
                {'class_name': 'Embedding', 'config': {'name': 'words', 'input_dim': V, 'output_dim': C, 'batch_input_shape': [None, T]}},
                {'class_name': 'LSTM', 'config': {'name': 'lstm', 'units': U, 'activation': 'tanh', 'recurrent_activation': 'sigmoid', 'use_bias': True, 'return_sequences': True}},
                {'class_name': 'GRU', 'config': {'name': 'gru', 'units': U, 'activation': 'tanh', 'recurrent_activation': 'sigmoid', 'use_bias': True, 'return_sequences': False, 'reset_after': True}},
                {'class_name': 'Dense', 'config': {'name': 'out', 'units': 3, 'activation': 'softmax', 'use_bias': True}}]
            with h5py.File(sys.argv[1], 'w') as f:
                f.attrs['model_config'] = json.dumps({'class_name': 'Sequential', 'config': {'name': 's', 'layers': layers}})
                g = f.create_group('model_weights')
                for name, items in {'words': {'embeddings:0': E}, 'lstm': {'lstm_cell/kernel:0': W, 'lstm_cell/recurrent_kernel:0': R, 'lstm_cell/bias:0': B}, 'gru': {'gru_cell/kernel:0': GW, 'gru_cell/recurrent_kernel:0': GR, 'gru_cell/bias:0': GB}, 'out': {'kernel:0': D, 'bias:0': DB}}.items():
                    l = g.create_group(name); l.attrs['weight_names'] = [f'{name}/{k}'.encode() for k in items]
                    for k, v in items.items(): l.create_dataset(f'{name}/{k}', data=v, chunks=v.shape, compression='gzip', shuffle=True)
            def sig(a): return 1 / (1 + np.exp(-a))
            words = np.arange(T) % V
            x = E[words]; h = np.zeros(U); c = np.zeros(U); seq = []
            for t in range(T):
                i, fo, g_, o = np.split(x[t] @ W + h @ R + B, 4)
                c = sig(fo) * c + sig(i) * np.tanh(g_); h = sig(o) * np.tanh(c); seq.append(h)
            h = np.zeros(U)
            for t in range(T):
                xz, xr, xh = np.split(seq[t] @ GW + GB[0], 3); hz, hr, hh = np.split(h @ GR + GB[1], 3)
                z, r = sig(xz + hz), sig(xr + hr); h = z * h + (1 - z) * np.tanh(xh + r * hh)
            y = h @ D + DB; print(*y.tolist())
            """, shop["text.h5"]).Split(' ').Select(double.Parse).ToArray();
        var (backbone, _) = ModelOpener.Load(shop["text.h5"]);
        using var owned = backbone;
        backbone.Eval();
        // The softmax is taken off: scores come out.
        var ours = backbone.Classify(Tensor.From([0L, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5], 2, 6)).ToArray<double>();
        for (var k = 0; k < 6; k++) Assert.InRange(Math.Abs(ours[k] - expected[k % 3]), 0, 1e-4);
    }

    [SkippableFact]
    public void A_keras_archive_with_branches_gives_what_PyTorch_gives_with_the_same_weights()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        // Laid out as Keras 3 writes it: folders after classes, variables by number; the expected values are PyTorch's.
        var expected = Workshop.Python("""
            import sys, json, io, zipfile, h5py, numpy as np, torch, torch.nn.functional as F
            rng = np.random.default_rng(1)
            n = lambda *s: rng.normal(size=s).astype('f4') * .3
            K, B = n(3, 3, 3, 8), n(8); D = n(3, 3, 8, 1); DB = n(8); P, PB = n(1, 1, 8, 8), n(8)
            g, b, m, v = n(8) + 1, n(8), n(8), np.abs(n(8)) + .5; W, WB = n(4 * 4 * 8, 5), n(5)
            def tensor(name): return {'class_name': '__keras_tensor__', 'config': {'keras_history': [name, 0, 0]}}
            def layer(kind, name, inputs, **config):
                args = [[tensor(i) for i in inputs]] if len(inputs) > 1 else [tensor(i) for i in inputs]
                return {'class_name': kind, 'name': name, 'config': {'name': name, **config}, 'inbound_nodes': [{'args': args, 'kwargs': {}}] if inputs else []}
            conv = dict(strides=[1, 1], dilation_rate=[1, 1], padding='same', use_bias=True, activation='linear', data_format='channels_last')
            layers = [layer('InputLayer', 'in', [], batch_shape=[None, 8, 8, 3]), layer('Rescaling', 'scale', ['in'], scale=1 / 127.5, offset=-1.0),
                layer('Conv2D', 'a', ['scale'], filters=8, kernel_size=[3, 3], groups=1, **{**conv, 'activation': 'relu'}),
                layer('DepthwiseConv2D', 'b', ['a'], kernel_size=[3, 3], **conv), layer('Conv2D', 'c', ['b'], filters=8, kernel_size=[1, 1], groups=1, **conv),
                layer('BatchNormalization', 'n', ['c'], axis=-1, epsilon=1e-3, momentum=.99, center=True, scale=True), layer('Add', 'sum', ['n', 'a']),
                layer('MaxPooling2D', 'pool', ['sum'], pool_size=[2, 2], strides=[2, 2], padding='valid'), layer('Flatten', 'flat', ['pool']), layer('Dense', 'out', ['flat'], units=5, use_bias=True, activation='softmax')]
            config = {'class_name': 'Functional', 'config': {'name': 'm', 'layers': layers, 'input_layers': [['in', 0, 0]], 'output_layers': [['out', 0, 0]]}}
            memory = io.BytesIO()
            with h5py.File(memory, 'w') as f:
                for name, items in {'conv2d': [K, B], 'depthwise_conv2d': [D, DB], 'conv2d_1': [P, PB], 'batch_normalization': [g, b, m, v], 'dense': [W, WB]}.items():
                    for k, value in enumerate(items): f[f'layers/{name}/vars/{k}'] = value
            with zipfile.ZipFile(sys.argv[1], 'w') as z: z.writestr('config.json', json.dumps(config)); z.writestr('metadata.json', '{}'); z.writestr('model.weights.h5', memory.getvalue())
            t = torch.from_numpy; x = torch.linspace(0, 255, 3 * 64).view(1, 3, 8, 8) / 127.5 - 1
            a = F.relu(F.conv2d(x, t(K).permute(3, 2, 0, 1), t(B), padding=1))
            y = F.conv2d(F.conv2d(a, t(D).permute(2, 3, 0, 1), t(DB), padding=1, groups=8), t(P).permute(3, 2, 0, 1), t(PB))
            y = F.max_pool2d(F.batch_norm(y, t(m), t(v), t(g), t(b), eps=1e-3) + a, 2)
            print(*(y.permute(0, 2, 3, 1).flatten(1) @ t(W) + t(WB)).flatten().tolist())
            """, shop["m.keras"]).Split(' ').Select(double.Parse).ToArray();
        var (backbone, _) = ModelOpener.Load(shop["m.keras"]);
        using var owned = backbone;
        backbone.Eval();
        var ours = backbone.Classify(Ops.Linspace(0L, 255L, 3 * 64).View([1, 3, 8, 8])).ToArray<double>();
        for (var k = 0; k < 5; k++) Assert.InRange(Math.Abs(ours[k] - expected[k]), 0, 1e-4);
        // It rescales by itself: levels go in as they are.
        Assert.Equal(1 / 255.0, backbone.Preprocessing.Normalize.Std[0], 9);
    }

    [SkippableFact]
    public void A_whole_module_is_explained_by_its_class()
    {
        using var shop = new Workshop();
        Workshop.Python("import sys, torch, torchvision\ntorch.save(torchvision.models.resnet18(), sys.argv[1])", shop["whole.pth"]);
        var error = Assert.Throws<GraftException>(() => ModelOpener.Load(shop["whole.pth"])).Message;
        Assert.Contains("torchvision.models.resnet.ResNet", error, StringComparison.Ordinal);
        Assert.Contains("state_dict()", error, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_Hugging_Face_index_in_several_files_is_one_checkpoint_and_stays_in_its_folder()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var backbone = BackboneCatalogue.Create("convnet", 3);
        var state = backbone.State().ToArray();
        Safetensors.Write(shop["a.safetensors"], state.Take(7).ToDictionary(), new Dictionary<string, string>());
        Safetensors.Write(shop["b.safetensors"], state.Skip(7).ToDictionary(), new Dictionary<string, string>());
        string Index(string second) =>
            System.Text.Json.JsonSerializer.Serialize(
            new { weight_map = state.Select((item, k) => (item.Key, File: k < 7 ? "a.safetensors" : second))
            .ToDictionary(item => item.Key, item => item.File) });
        File.WriteAllText(shop["model.safetensors.index.json"], Index("b.safetensors"));
        Assert.Equal(state.Length, Checkpoint.Read(shop["model.safetensors.index.json"]).Tensors.Count);
        File.WriteAllText(shop["model.safetensors.index.json"], Index("../b.safetensors"));
        Assert.Contains("refused", Assert.Throws<GraftException>(() => Checkpoint.Read(shop["model.safetensors.index.json"])).Message,
            StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("timm")]
    [InlineData("huggingface")]
    public void A_vision_transformer_under_other_names_is_recognised(string dialect)
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var original = BackboneCatalogue.Create("vit_tiny_16", 5);
        var renamed = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in original.State())
        {
            var parts = System.Text.RegularExpressions.Regex.Match(name, @"^encoder\.layers\.encoder_layer_(\d+)\.(.*)$");
            var (n, rest) = (parts.Groups[1].Value, parts.Groups[2].Value);
            if (dialect == "timm")
            {
                renamed[!parts.Success ? name switch { "class_token" => "cls_token", "encoder.pos_embedding" => "pos_embed",
                    _ => name.Replace("conv_proj.", "patch_embed.proj.").Replace("encoder.ln.", "norm.").Replace("heads.head.", "head.") }
                    : $"blocks.{n}." + rest.Replace("ln_", "norm").Replace("self_attention.in_proj_", "attn.qkv.")
                        .Replace("self_attention.out_proj.", "attn.proj.").Replace("mlp.0.", "mlp.fc1.").Replace("mlp.3.", "mlp.fc2.")] = tensor;
                continue;
            }
            if (rest.StartsWith("self_attention.in_proj_", StringComparison.Ordinal))
            {
                foreach (var (part, k) in new[] { "query", "key", "value" }.Select((part, k) =>
                    (part, k))) renamed[$"vit.encoder.layer.{n}.attention.attention.{part}.{rest["self_attention.in_proj_".Length..]}"] =
                    tensor.Chunk(3, 0)[k].Contiguous();
                continue;
            }
            renamed[!parts.Success ? name switch
                { "class_token" => "vit.embeddings.cls_token", "encoder.pos_embedding" => "vit.embeddings.position_embeddings",
                _ => name.Replace("conv_proj.", "vit.embeddings.patch_embeddings.projection.").Replace("encoder.ln.", "vit.layernorm.")
                .Replace("heads.head.", "classifier.") }
                : $"vit.encoder.layer.{n}." + rest.Replace("ln_1.", "layernorm_before.").Replace("ln_2.", "layernorm_after.")
                    .Replace("self_attention.out_proj.", "attention.output.dense.").Replace("mlp.0.", "intermediate.dense.")
                    .Replace("mlp.3.", "output.dense.")] = tensor;
        }
        Safetensors.Write(shop["vit.safetensors"], renamed, new Dictionary<string, string>());
        var (backbone, notes) = ModelOpener.Load(shop["vit.safetensors"]);
        using var owned = backbone;
        Assert.Empty(notes);
        Assert.StartsWith("vit_tiny", backbone.Architecture, StringComparison.Ordinal);
        Assert.Equal(original.Fingerprint(), backbone.Fingerprint());
    }

    /// <summary>Mutations of a good file: bytes changed, cut off, a piece repeated, a length made large.</summary>
    private static byte[] Mutate(byte[] good, Random random)
    {
        var bytes = random.Next(4) == 0 ? good[..random.Next(1, good.Length)].ToArray() : [.. good];
        // Structure stands at the beginning and the end: half of the changes go there.
        for (var n = random.Next(1, 6); n > 0; n--)
        {
            var at = random.Next(2) == 0 ? random.Next(bytes.Length) : random.Next(2) == 0 ? random.Next(Math.Min(bytes.Length, 4096))
                : bytes.Length - 1 - random.Next(Math.Min(bytes.Length, 4096));
            bytes[at] = random.Next(3) switch { 0 => 0xff, 1 => (byte)(bytes[at] ^ (1 << random.Next(8))), _ => (byte)random.Next(256) };
        }
        return bytes;
    }

    [SkippableTheory]
    [InlineData("keras2_mnist_cnn.h5")]
    [InlineData("keras3_mnist_cnn.h5")]
    [InlineData("caffe_lenet.caffemodel")]
    [InlineData("caffe_lenet.prototxt")]
    [InlineData("small.onnx")]
    [InlineData("small.pt")]
    [InlineData("small.safetensors")]
    [InlineData("small.pth")]
    public void A_damaged_file_gives_an_error_that_names_it_and_nothing_worse(string name)
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        byte[] good;
        if (name.StartsWith("small", StringComparison.Ordinal))
        {
            // A state dict says nothing of the network's options.
            using var model = Classifier.Upstream(
                BackboneCatalogue.Create("convnet", 3,
                name.EndsWith(".pth", StringComparison.Ordinal) ? null : new Dictionary<string, string> { ["widths"] = "4-8", ["side"] = "16" }));
            Exporter.Write(model, shop[name],
                name[6..] switch { "onnx" => ExportFormat.Onnx, "pt" => ExportFormat.TorchScript, "pth" => ExportFormat.PyTorch,
                _ => ExportFormat.Safetensors });
            good = File.ReadAllBytes(shop[name]);
        }
        else
        {
            good = File.ReadAllBytes(Workshop.Need("models", name));
        }
        var bad = shop["bad" + Path.GetExtension(name)];
        if (name.StartsWith("caffe", StringComparison.Ordinal))
        {
            var other = name.EndsWith(".prototxt", StringComparison.Ordinal) ? ".caffemodel" : ".prototxt";
            File.Copy(Workshop.Need("models", "caffe_lenet" + other), shop["bad" + other]);
        }
        if (name.StartsWith("small", StringComparison.Ordinal)) ModelOpener.Load(shop[name]).Backbone.Dispose();
        var count = int.TryParse(Environment.GetEnvironmentVariable("GRAFT_FUZZ"), out var asked) ? asked : 150;
        var random = new Random(7);
        var refused = 0;
        for (var k = 0; k < count; k++)
        {
            File.WriteAllBytes(bad, Mutate(good, random));
            var before = GC.GetAllocatedBytesForCurrentThread();
            using var each = new TensorScope();
            try
            {
                ModelOpener.Load(bad).Backbone.Dispose();
            }
            catch (GraftException reason)
            {
                refused++;
                Assert.Contains("bad", reason.Message, StringComparison.Ordinal);
            }
            // Managed memory of a few times the file, whatever lengths it claims.
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64L * good.Length + (64 << 20));
        }
        Assert.InRange(refused, count / 20, count);
    }
}
