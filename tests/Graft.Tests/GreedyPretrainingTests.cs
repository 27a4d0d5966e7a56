using System.Buffers.Binary;
using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Pretraining;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>Pretraining by rebuilding: Boltzmann machines against sums over all states, autoencoders, masked squares.</summary>
public sealed class GreedyPretrainingTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    /// <summary>Pictures as IDX files: bars of two directions at random places, so that rows tell of one another.</summary>
    private string Bars(int count = 96, int side = 8, bool alike = false)
    {
        var folder = Directory.CreateDirectory(_shop[$"bars{count}-{side}-{alike}"]).FullName;
        foreach (var (part, items, seed) in new[] { ("train", count, 1), ("t10k", 24, 2) })
        {
            var rng = new Rng(seed);
            var (pixels, labels) = (new byte[items * side * side], new byte[items]);
            for (var k = 0; k < items; k++)
            {
                labels[k] = (byte)(k % 2);
                var at = alike ? 0 : rng.Below(side - 1);
                for (var p = 0; p < side * side; p++)
                {
                    var along = labels[k] == 0 || alike ? p / side : p % side;
                    pixels[k * side * side + p] = (byte)(along == at || along == at + 1 ? 230 : 20);
                }
            }
            Write(Path.Combine(folder, $"{part}-images-idx3-ubyte"), [items, side, side], pixels);
            Write(Path.Combine(folder, $"{part}-labels-idx1-ubyte"), [items], labels);
        }
        return folder;
    }

    private static void Write(string path, int[] sizes, byte[] bytes)
    {
        var head = new byte[4 + 4 * sizes.Length];
        (head[2], head[3]) = (8, (byte)sizes.Length);
        for (var k = 0; k < sizes.Length; k++) BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(4 + 4 * k), sizes[k]);
        File.WriteAllBytes(path, [.. head, .. bytes]);
    }

    private static PretrainMaterial Material(string data, Backbone backbone, PretrainOptions? options = null)
    {
        var items = DatasetReader.Bare(DatasetReader.Open(data).Train);
        var store = new PictureStore(items);
        var given = (options ?? new PretrainOptions()) with { Data = data };
        return new PretrainMaterial(items, store.Check().Usable, backbone, given) { Pictures = store };
    }

    private PretrainOptions Options(string method, string? backbone, string run, string? data = null) => new()
    {
        Data = data ?? Bars(), Method = method, Backbone = backbone, Epochs = 2, BatchSize = 16, Seed = 3, Out = _shop[run], NoReport = true, LookEvery = 2,
    };

    private static float[] Draw(int count, double scale, long seed)
    {
        var rng = new Rng(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(rng.Normal() * scale))];
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    // A machine of 3 hidden and 4 visible units with large weights.
    private (RestrictedBoltzmannMachine Machine, Mlp Network, float[] W, float[] B, float[] A) Machine(ReconstructionOptions how, int chains)
    {
        var network = new Mlp([3], 2, activation: "sigmoid");
        var material = Material(Bars(32, 2), network, new PretrainOptions { Reconstruction = how });
        var machine = new RestrictedBoltzmannMachine(material, 0, new LayerFeed(material, network, 0, 8), chains);
        var (w, b, a) = (Draw(12, 1, 5), Draw(3, 0.5, 6), Draw(4, 0.5, 7));
        machine.CopyFrom(new Dictionary<string, Tensor>
        {
            ["backbone.dense1.weight"] = Tensor.From(w, 3, 4), ["backbone.dense1.bias"] = Tensor.From(b), ["below"] = Tensor.From(a),
        });
        return (machine, network, w, b, a);
    }

    private static double[][] States(int units) =>
        [.. Enumerable.Range(0, 1 << units).Select(bits => Enumerable.Range(0, units).Select(k => (double)(bits >> k & 1)).ToArray())];

    private static double[] Above(float[] w, float[] b, double[] v) =>
        [.. Enumerable.Range(0, 3).Select(j => Sigmoid(b[j] + Enumerable.Range(0, 4).Sum(i => w[4 * j + i] * v[i])))];

    private static double[] Below(float[] w, float[] a, double[] h) =>
        [.. Enumerable.Range(0, 4).Select(i => Sigmoid(a[i] + Enumerable.Range(0, 3).Sum(j => w[4 * j + i] * h[j])))];

    private static double Chance(double[] p, double[] state) =>
        p.Zip(state).Aggregate(1.0, (product, pair) => product * (pair.Second > 0.5 ? pair.First : 1 - pair.First));

    private static float[] Found(RestrictedBoltzmannMachine machine, Tensor rows)
    {
        TorchRuntime.ManualSeed(11);
        var parameters = machine.Groups(new Optimisation()).SelectMany(group => group.Parameters).ToArray();
        var (gradients, _) = machine.Gradient(new RowBatch(rows), new Step(1, 0, 0, 0, 0, 1), parameters);
        // W, the hidden units' biases, those of what is below.
        return [.. gradients.OfType<Tensor>().OrderByDescending(one => one.Dimensions).ThenBy(one => one.Count).SelectMany(one => one.ToArray<float>())];
    }

    [Fact]
    public void Contrastive_divergence_is_what_the_sum_over_all_hidden_states_says()
    {
        var (machine, network, w, b, a) = Machine(new ReconstructionOptions(), 8);
        using (network)
        using (machine)
        {
            double[] v0 = [0.9, 0.1, 0.6, 0];
            var h0 = Above(w, b, v0);
            var expected = new double[12 + 3 + 4];
            foreach (var h in States(3))
            {
                var (chance, v) = (Chance(h0, h), Below(w, a, h));
                var again = Above(w, b, v);
                for (var j = 0; j < 3; j++)
                {
                    for (var i = 0; i < 4; i++) expected[4 * j + i] += chance * (again[j] * v[i] - h0[j] * v0[i]);
                    expected[12 + j] += chance * (again[j] - h0[j]);
                }
                for (var i = 0; i < 4; i++) expected[15 + i] += chance * (v[i] - v0[i]);
            }
            const int Copies = 60_000;
            using var rows = Tensor.From([.. Enumerable.Range(0, 4 * Copies).Select(k => (float)v0[k % 4])], Copies, 4);
            Assert.All(expected.Zip(Found(machine, rows)), pair => Assert.Equal(pair.First, pair.Second, 0.01));
        }
    }

    [Fact]
    public void Chains_that_go_on_come_to_the_expectations_of_the_model_itself()
    {
        var (machine, network, w, b, a) = Machine(new ReconstructionOptions { Persistent = true, Gibbs = 200 }, 30_000);
        using (network)
        using (machine)
        {
            double[] v0 = [1, 0, 1, 0];
            var h0 = Above(w, b, v0);
            var (expected, z) = (new double[19], 0.0);
            foreach (var v in States(4))
            {
                var h = Above(w, b, v);
                // Π (1 + exp(b + Wv)), of units that are on with the chance h.
                var weight = Math.Exp(Enumerable.Range(0, 4).Sum(i => a[i] * v[i])) * h.Aggregate(1.0, (product, on) => product / (1 - on));
                z += weight;
                for (var j = 0; j < 3; j++)
                {
                    for (var i = 0; i < 4; i++) expected[4 * j + i] += weight * h[j] * v[i];
                    expected[12 + j] += weight * h[j];
                }
                for (var i = 0; i < 4; i++) expected[15 + i] += weight * v[i];
            }
            for (var j = 0; j < 3; j++)
            {
                for (var i = 0; i < 4; i++) expected[4 * j + i] = expected[4 * j + i] / z - h0[j] * v0[i];
                expected[12 + j] = expected[12 + j] / z - h0[j];
            }
            for (var i = 0; i < 4; i++) expected[15 + i] = expected[15 + i] / z - v0[i];
            using var rows = Tensor.From([.. v0.Select(value => (float)value)], 1, 4);
            Assert.All(expected.Zip(Found(machine, rows)), pair => Assert.Equal(pair.First, pair.Second, 0.015));
        }
    }

    [Fact]
    public void Annealed_importance_sampling_finds_the_partition_function_that_counting_gives()
    {
        const int Hidden = 12, Visible = 20;
        using var scope = new TensorScope();
        var (w, b, a) = (Draw(Hidden * Visible, 0.7, 1), Draw(Hidden, 0.5, 2), Draw(Visible, 0.5, 3));
        double[] logs = [.. States(Hidden).Select(h => Enumerable.Range(0, Hidden).Sum(j => b[j] * h[j])
            + Enumerable.Range(0, Visible).Sum(i => Math.Log(1 + Math.Exp(a[i] + Enumerable.Range(0, Hidden).Sum(j => w[Visible * j + i] * h[j])))))];
        var most = logs.Max();
        var exact = most + Math.Log(logs.Sum(log => Math.Exp(log - most)));
        TorchRuntime.ManualSeed(4);
        var (weight, hidden, visible) = (Tensor.From(w, Hidden, Visible), Tensor.From(b), Tensor.From(a));
        var (found, error) = AnnealedImportance.LogPartition(weight, hidden, visible, Ops.Zeros([Visible]), 256, 1500);
        Assert.InRange(error, 0, 0.1);
        Assert.Equal(exact, found, 0.15);
        var free = AnnealedImportance.FreeEnergy(Ops.Zeros([1, Visible]), weight, hidden, visible).Item();
        Assert.Equal(-b.Sum(value => Math.Log(1 + Math.Exp(value))), free, 1e-4);
    }

    [Fact]
    public void A_phase_leaves_the_layers_below_and_above_as_they_are()
    {
        var options = Options("dbn", null, "run");
        using var network = new Mlp([10, 9, 8], 8, activation: "sigmoid");
        var material = Material(options.Data, network, options);
        var phases = new Dbn().Phases(material);
        Assert.Equal(["s1", "s2", "s3"], phases.Select(phase => phase.Name));
        float[][] Weights() => [.. network.Layers.Select(layer => layer.Weight.ToArray<float>())];
        var before = Weights();
        phases[1].Run(material, new TrainingContext { Seed = 3 }, _ => { });
        var after = Weights();
        Assert.Equal(before[0], after[0]);
        Assert.NotEqual(before[1], after[1]);
        Assert.Equal(before[2], after[2]);
    }

    [Fact]
    public void What_was_masked_is_rebuilt_far_better_than_by_the_mean_picture()
    {
        var options = Options("denoising", null, "run", Bars(200)) with { Epochs = 60, Rate = 0.01 };
        TorchRuntime.ManualSeed(1);
        using var network = new Mlp([32], 8, activation: "sigmoid");
        var material = Material(options.Data, network, options);
        using var objective = new TiedAutoencoder(material, 0, 1, new InputNoise(0.25, 0));
        using var feed = new LayerFeed(material, network, 0, 20);
        new Trainer<RowBatch>(objective, feed, null, TiedAutoencoder.Usual with { Epochs = 60, Rate = 0.01 }, new TrainingContext { Seed = 1 }).Run();
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        using var rows = feed.Some(100);
        var masked = new InputNoise(0.25, 0).Of(rows);
        var hidden = (rows - masked).Abs().Gt(0).To(DType.Float32);
        double Off(Tensor said) => ((said - rows).Square() * hidden).Sum().Item();
        Assert.InRange(Off(objective.Rebuild(masked)), 0, 0.4 * Off(rows.Mean([0L], true).ExpandAs(rows)));
    }

    [Fact]
    public void The_encoder_never_sees_a_hidden_square()
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(1);
        using var network = (VisionTransformer)BackboneCatalogue.Create(BackboneSpec.Parse("vit patch=4 side=16 width=24 layers=2 heads=2"));
        using var objective = new Mae.Objective(Material(Bars(32, 16), network), 0.75);
        network.Eval();
        var pictures = Ops.Randn([1, 3, 16, 16]);
        // Of sixteen squares the first four of the order are seen.
        var order = Tensor.From([5L, 0, 10, 15, 1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14], 1, 16);
        var before = objective.Encode(pictures, order);
        Assert.Equal([1, 5, 24], before.Shape);
        var changed = pictures.Clone();
        changed.Narrow(2, 4, 4).Narrow(3, 8, 8).FillInPlace((Scalar)9.0);
        Assert.Equal(before.ToArray<float>(), objective.Encode(changed, order).ToArray<float>());
        changed.Narrow(2, 4, 4).Narrow(3, 4, 1).FillInPlace((Scalar)9.0);
        Assert.NotEqual(before.ToArray<float>(), objective.Encode(changed, order).ToArray<float>());
    }

    [Fact]
    public void The_small_Transformer_has_the_size_of_its_card_and_is_made_again_from_its_spec()
    {
        using var network = BackboneCatalogue.Create("vit");
        Assert.Equal(BackboneCatalogue.Cards.Single(card => card.Name == "vit").Parameters, network.ParameterCount);
        Assert.Equal("vit patch=4 width=192 layers=6 heads=3 side=32", network.Spec.ToString());
        using var again = BackboneCatalogue.Create(BackboneSpec.Parse("vit layers=2 side=16"));
        Assert.Equal("vit patch=4 width=192 layers=2 heads=3 side=16", again.Clone().Spec.ToString());
    }

    [Theory]
    [InlineData("dbn", "mlp widths=10-9", false)]
    [InlineData("dbn", "mlp widths=10-9", true)]
    [InlineData("sda", "mlp widths=10-9 activation=relu", false)]
    [InlineData("denoising", "convnet widths=4-6 side=8", false)]
    [InlineData("mae", "vit patch=4 width=12 layers=2 heads=2 side=8", false)]
    [InlineData("colourise", "convnet widths=4-6 side=8", false)]
    public void A_run_that_is_stopped_and_resumed_ends_as_one_that_is_not(string method, string backbone, bool persistent)
    {
        if (method == "colourise") ShapeWorld.Write(_shop["colours"], ["star4", "gear"], 54, 1);
        var options = Options(method, backbone, "whole", method == "colourise" ? _shop["colours"] : null) with
        {
            Reconstruction = new ReconstructionOptions { Persistent = persistent },
        };
        new PretrainTask(options).Run();
        // Six steps of an epoch: in the first phase, and in the second one where there is one.
        foreach (var stop in (int[])[4, 15])
        {
            using var source = new CancellationTokenSource();
            var (steps, cut) = (0, options with { Out = _shop[$"cut{stop}"] });
            Action<ProgressReport> after = _ => { if (++steps == stop) source.Cancel(); };
            var phases = method is "dbn" or "sda" ? 2 : 1;
            if (stop > 12 * phases) continue;
            Assert.Throws<OperationCanceledException>(() => new PretrainTask(cut) { Progress = after, Cancel = source.Token }.Run());
            new PretrainTask(PretrainTask.OptionsOf(cut.Out!)).Run(resume: true);
            IReadOnlyDictionary<string, Tensor> Model(string run) => Safetensors.Read(Path.Combine(run, RunFolder.Model)).Tensors;
            var (expected, found) = (Model(options.Out!), Model(cut.Out!));
            foreach (var (name, tensor) in expected.Where(item => item.Value.Type == DType.Float32))
                Assert.Equal(tensor.ToArray<float>(), found[name].ToArray<float>());
        }
    }

    [Theory]
    [InlineData("rbm", "mlp widths=12", "full")]
    [InlineData("sda", "mlp widths=12-8", "gradual")]
    [InlineData("mae", null, "full")]
    [InlineData("autoencoder", null, "full")]
    public void A_run_is_what_train_goes_on_from(string method, string? backbone, string strategy)
    {
        var options = Options(method, backbone, "run");
        var log = new List<string>();
        var result = new PretrainTask(options) { Log = log.Add }.Run();
        Assert.True(double.IsFinite(result.Loss));
        Assert.Equal(method == "rbm", result.Notes.Any(note => note.Contains("log-likelihood", StringComparison.Ordinal)));
        var trained = new TransferTask(new TrainOptions
        {
            Data = options.Data, Weights = result.Run, Strategy = strategy, Epochs = 1, Out = _shop["trained"], NoReport = true, NoCache = true,
        }).Run();
        Assert.InRange(trained.Accuracy, 0.3, 1);
    }

    [Theory]
    [InlineData("rbm", "convnet", "give --backbone mlp")]
    [InlineData("rbm", "mlp widths=9-8", "give --method dbn")]
    [InlineData("dbn", "mlp activation=relu", "activation=sigmoid")]
    [InlineData("sda", "resnet18", "give --backbone mlp")]
    [InlineData("mae", "convnet", "give --backbone vit")]
    [InlineData("denoising", "vit layers=2", "give --method mae")]
    [InlineData("mae", "vit width=10 heads=3", "give a multiple")]
    [InlineData("sda", "mlp widths=many", "widths=many: whole numbers above 0")]
    [InlineData("sda", "mlp units=3", "there is no option of a network 'units'")]
    [InlineData("sda", "mlp channels=7", "channels=7: 1 for grey pictures, or 3")]
    [InlineData("sda", "mlp activation=tanh", "there is no activation of an mlp 'tanh'")]
    public void A_network_that_a_method_cannot_work_on_is_refused_with_one_to_give(string method, string backbone, string expected)
    {
        var reason = Assert.Throws<GraftException>(() => new PretrainTask(Options(method, backbone, "run")).Run());
        Assert.Contains(expected, reason.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_that_a_method_has_no_use_for_are_refused()
    {
        string Refused(string method, ReconstructionOptions how) =>
            Assert.Throws<GraftException>(() => new PretrainTask(Options(method, null, "run") with { Reconstruction = how }).Run()).Message;
        var scaled = Options("rbm", null, "run") with { Input = new Graft.Models.InputOptions { Mean = "0.5" } };
        Assert.Contains("leave out --mean", Assert.Throws<GraftException>(() => new PretrainTask(scaled).Run()).Message, StringComparison.Ordinal);
        Assert.Equal("--noise is for denoising and sda: rbm has no use for it", Refused("rbm", new() { Noise = "mask:0.5" }));
        Assert.Equal("--hidden is for mae: sda has no use for it", Refused("sda", new() { Hidden = 0.5 }));
        Assert.StartsWith("--noise mask:1.5: mask:SHARE", Refused("sda", new() { Noise = "mask:1.5" }), StringComparison.Ordinal);
        Assert.StartsWith("--noise salt: mask:SHARE", Refused("denoising", new() { Noise = "salt" }), StringComparison.Ordinal);
    }

    [Fact]
    public void Colours_in_Lab_are_those_that_the_standard_tells()
    {
        using var scope = new TensorScope();
        // sRGB's red, a grey, its blue: values of Lindbloom's calculator.
        var (a, b) = Lab.ColoursOf(Tensor.From([1f, 0.5f, 0, 0, 0.5f, 0, 0, 0.5f, 1], 1, 3, 3, 1));
        Assert.All(a.ToArray<float>().Zip([80.09, 0, 79.19]), pair => Assert.Equal(pair.Second, pair.First, 0.5));
        Assert.All(b.ToArray<float>().Zip([67.20, 0, -107.86]), pair => Assert.Equal(pair.Second, pair.First, 0.5));
        var reason = Assert.Throws<GraftException>(() => new PretrainTask(Options("colourise", "convnet", "run")).Run());
        Assert.Contains("have no colours to tell", reason.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("rbm")]
    [InlineData("sda")]
    [InlineData("denoising")]
    [InlineData("mae")]
    public void Pictures_all_alike_and_one_picture_are_refused(string method)
    {
        string Refused(string data) => Assert.Throws<GraftException>(() => new PretrainTask(Options(method, null, "run", data)).Run()).Message;
        Assert.Contains("are all alike", Refused(Bars(24, 8, alike: true)), StringComparison.Ordinal);
        ShapeWorld.Write(_shop["one"], ["star4"], 1, 1);
        Assert.Contains("one picture is too few", Refused(_shop["one"]), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_shop["run"]));
    }
}
