using System.Globalization;
using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Pretraining;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>
/// Greedy layer-wise pretraining on MNIST, then every layer trained with labels: as deep belief network (Hinton et al. 2006) and as stacked denoising
/// autoencoders (Vincent et al. 2008), beside the same network without pretraining. The rate of the fine-tuning is chosen on a sixth of the training
/// pictures, for each network by itself.
/// </summary>
public sealed class GreedyMnist : Experiment
{
    private const int Batch = 100, Few = 1000;

    private readonly string _method, _published;

    private GreedyMnist(string name, string summary, string method, string published) =>
        (Name, Summary, _method, _published) = (name, summary, method, published);

    /// <summary>Deep belief network.</summary>
    public static GreedyMnist Dbn { get; } = new("dbn-mnist", "A deep belief network on MNIST, with and without pretraining (Hinton et al. 2006)",
        "dbn", "1.25% (Hinton et al. 2006), 1.34% (Theano's tutorial); 1.65% without");

    /// <summary>Stacked denoising autoencoders.</summary>
    public static GreedyMnist Sda { get; } = new("sda-mnist",
        "Stacked denoising autoencoders on MNIST, with and without pretraining (Vincent et al. 2008)", "sda", "1.30% (Theano's tutorial); 1.65% without");

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override string Summary { get; }

    /// <summary>How much is done.</summary>
    private sealed record Size(int[] Widths, int Learned, int HeldOut, int Test, int PretrainingEpochs, (int Labels, int Epochs)[] Sets, double[] Rates)
    {
        public static Size Of(bool brief) => brief ? new([200, 200], 2000, 500, 1000, 15, [(300, 30)], [0.1])
            : new([1000, 1000, 1000], int.MaxValue, int.MaxValue, int.MaxValue, 20, [(Few, 100), (int.MaxValue, 30)], [0.02, 0.1]);
    }

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var size = Size.Of(options.Short);
        var splits = DatasetReader.Open(options.Need("mnist"));
        var seeds = options.Seeds ?? 1;
        var rows = new List<string[]>();
        var errors = new Dictionary<(int Labels, bool Pretrained), List<double>>();
        for (var seed = 0; seed < seeds; seed++)
        {
            var (learned, heldOut) = splits.Train.SplitStratified(1 / 6.0, seed);
            (learned, heldOut) = (Some(learned, size.Learned, seed), Some(heldOut, size.HeldOut, seed));
            var test = Some(splits.Test!, size.Test, seed);
            TorchRuntime.ManualSeed(seed);
            using var fresh = new Mlp(size.Widths, 28, activation: "sigmoid");
            using var pretrained = (Mlp)fresh.Clone();
            Pretrain(options, size, learned, pretrained, seed);
            foreach (var (labels, epochs) in size.Sets)
            {
                var labelled = Some(learned, labels, seed + 100);
                foreach (var (start, isPretrained) in new[] { (fresh, false), (pretrained, true) })
                {
                    var name = $"{labelled.Count} labels, {(isPretrained ? "pretrained" : "from scratch")}, seed {seed}";
                    if (!options.Wants(name)) continue;
                    var tried = size.Rates.Select(rate => (Rate: rate, Errors: options.Parts.Once($"{name}, rate {rate}",
                        () => FineTune(options, start, labelled, heldOut, test, rate, epochs, seed)))).ToArray();
                    var best = tried.MinBy(one => one.Errors.HeldOut);
                    options.Log(string.Create(CultureInfo.InvariantCulture,
                        $"{name}: {100 * best.Errors.Test:0.00}% of the test pictures wrong ({100 * best.Errors.HeldOut:0.00}% held out, at the rate {best.Rate})"));
                    if (!errors.TryGetValue((labelled.Count, isPretrained), out var list)) errors[(labelled.Count, isPretrained)] = list = [];
                    list.Add(best.Errors.Test);
                }
            }
        }
        foreach (var labels in errors.Keys.Select(key => key.Labels).Distinct().Order())
        {
            string Mean(bool isPretrained) => errors.TryGetValue((labels, isPretrained), out var list)
                ? string.Create(CultureInfo.InvariantCulture, $"{100 * list.Average():0.00}%") : "";
            rows.Add([$"{labels:N0}", string.Join('-', size.Widths), labels >= 50_000 ? _published : "", Mean(false), Mean(true), $"{seeds}"]);
        }
        return new ExperimentResult(Name, ["labels", "units", "error pretrained (published)", "error from scratch", "error pretrained", "seeds"], rows,
            [$"Sigmoid units; {size.PretrainingEpochs} epochs a layer on the training pictures without their labels, then SGD with momentum 0.9 in batches "
                + $"of {Batch}, the rate ({string.Join(" or ", size.Rates)}) and the epoch chosen on the held-out part of the training pictures."]);
    }

    private static Dataset Some(Dataset data, int most, long seed) =>
        data.Count <= most ? data : data.Subset(new Rng(seed, 21).Permutation(data.Count).Take(most).Order());

    private void Pretrain(ExperimentOptions options, Size size, Dataset learned, Mlp network, int seed)
    {
        using var store = new PictureStore(learned);
        var material = new PretrainMaterial(DatasetReader.Bare(learned), store.Check(options.Cancel).Usable, network,
            new PretrainOptions { Data = "mnist", Method = _method, Seed = seed, Epochs = size.PretrainingEpochs, BatchSize = Batch })
        {
            Pictures = store,
        };
        var phases = PretrainMethods.Of(_method, text: false).Phases(material);
        for (var p = 0; p < phases.Count; p++)
        {
            var (phase, number) = (phases[p], p);
            PretrainProbe? probe = null;
            options.Parts.Network($"{_method} {phase.Name}, seed {seed}", network, context => phase.Run(material, context with
            {
                Name = phase.Name, Phase = number, Seed = seed,
                Looked = look =>
                    options.Log(string.Create(CultureInfo.InvariantCulture, $"{phase.Name}, epoch {look.Epoch}: loss {look.Loss:0.000}, {look.Seconds:0.0} s")),
            }, begun => probe = begun), options.Cancel);
            foreach (var remark in probe?.Remarks ?? []) options.Log(remark);
        }
    }

    private static (double HeldOut, double Test) FineTune(ExperimentOptions options, Mlp start, Dataset labelled, Dataset heldOut, Dataset test,
        double rate, int epochs, int seed)
    {
        using var backbone = (Mlp)start.Clone();
        var plan = new Plan
        {
            Strategy = "full",
            Phases =
            [
                new Phase
                {
                    Name = "all", TrainFrom = 0, Epochs = epochs, BatchSize = Math.Min(Batch, labelled.Count / 10), HeadRate = rate,
                    StageRates = [.. backbone.Stages.Select(_ => rate)], WeightDecay = 1e-5,
                },
            ],
        };
        var runner = new PlanRunner(backbone, plan, labelled, heldOut, new PlanOptions { Seed = seed, Cancel = options.Cancel });
        runner.Run();
        using var head = runner.Head;
        return (1 - runner.History.Max(epoch => epoch.ValidationAccuracy), Wrong(backbone, head, test));
    }

    /// <summary>Share of the pictures that are told wrong.</summary>
    internal static double Wrong(Backbone backbone, Heads.Head head, Dataset test)
    {
        using var mode = Autograd.NoGrad();
        using var store = new PictureStore(test);
        using var feed = new PictureFeed(store, [.. Enumerable.Range(0, test.Count)], backbone.Preprocessing, 100, 0, shuffle: false);
        backbone.Eval();
        var wrong = 0;
        foreach (var batch in feed.Epoch(0, 0))
        {
            using (batch)
            using (new TensorScope())
            {
                var said = head.Forward(backbone.Forward(batch.Inputs)).Argmax(1);
                wrong += (int)said.Ne(batch.Labels).Sum().Item();
            }
        }
        return (double)wrong / test.Count;
    }
}
