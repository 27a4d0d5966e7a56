using System.Globalization;
using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Pretraining;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>
/// Masked autoencoders (He et al. 2022) on CIFAR-10 with a small Transformer: trained with labels from scratch, and pretrained on the same pictures
/// without labels first. A public reproduction (github.com/IcarusWizard/MAE) has 74.13% and 89.77% after 2,000 epochs of pretraining on all 50,000
/// pictures; what can be seen in hours on a processor is the gain, on fewer pictures and epochs.
/// </summary>
public sealed class MaeCifar10 : Experiment
{
    private const int Batch = 64;

    /// <inheritdoc/>
    public override string Name => "mae-cifar10";

    /// <inheritdoc/>
    public override string Summary => "A small Transformer on CIFAR-10, from scratch and after masked autoencoding (He et al. 2022)";

    /// <summary>How much is done.</summary>
    private sealed record Size(string Network, int Learned, int HeldOut, int Test, int Pretraining, int FineTuning, double[] Rates)
    {
        public static Size Of(bool brief) => brief ? new("vit layers=2 width=48 heads=2", 300, 100, 300, 2, 2, [1e-3])
            : new("vit", 5000, 1000, 2000, 100, 30, [3e-4, 1e-3]);
    }

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var size = Size.Of(options.Short);
        var splits = DatasetReader.Open(options.Need("cifar10", "cifar10.zip"));
        var seeds = options.Seeds ?? 1;
        var accuracies = new Dictionary<bool, List<double>> { [false] = [], [true] = [] };
        for (var seed = 0; seed < seeds; seed++)
        {
            int[] order = [.. new Rng(seed, 22).Permutation(splits.Train.Count).Take(size.Learned + size.HeldOut)];
            var (learned, heldOut) = (splits.Train.Subset(order[..size.Learned]), splits.Train.Subset(order[size.Learned..]));
            var test = splits.Test!.Subset(new Rng(seed, 23).Permutation(splits.Test!.Count).Take(size.Test));
            TorchRuntime.ManualSeed(seed);
            using var fresh = BackboneCatalogue.Create(BackboneSpec.Parse(size.Network).Else(("side", "32")));
            using var pretrained = fresh.Clone();
            Pretrain(options, size, learned, pretrained, seed);
            foreach (var (start, isPretrained) in new[] { (fresh, false), (pretrained, true) })
            {
                var name = $"{(isPretrained ? "pretrained" : "from scratch")}, seed {seed}";
                if (!options.Wants(name)) continue;
                var tried = size.Rates.Select(rate => options.Parts.Once($"{name}, rate {rate}",
                    () => FineTune(options, size, start, learned, heldOut, test, rate, seed))).ToArray();
                var best = tried.MaxBy(one => one.HeldOut);
                options.Log(string.Create(CultureInfo.InvariantCulture, $"{name}: {100 * best.Test:0.0}% of the test pictures right"));
                accuracies[isPretrained].Add(best.Test);
            }
        }
        string Mean(bool isPretrained) => accuracies[isPretrained] is { Count: > 0 } list
            ? string.Create(CultureInfo.InvariantCulture, $"{100 * list.Average():0.0}%") : "";
        return new ExperimentResult(Name, ["pictures", "from scratch (published)", "pretrained (published)", "from scratch", "pretrained", "seeds"],
            [["50,000, 2,000 epochs", "74.13%", "89.77%", "", "", ""],
                [$"{size.Learned:N0}, {size.Pretraining} epochs", "", "", Mean(false), Mean(true), $"{seeds}"]],
            [$"{size.Network}: squares of 4 pixels, three quarters of them hidden; then {size.FineTuning} epochs with labels, the rate "
                + $"({string.Join(" or ", size.Rates)}) and the epoch chosen on {size.HeldOut} other training pictures; {size.Test} test pictures."]);
    }

    private static void Pretrain(ExperimentOptions options, Size size, Dataset learned, Backbone network, int seed)
    {
        using var store = new PictureStore(learned);
        var material = new PretrainMaterial(DatasetReader.Bare(learned), store.Check(options.Cancel).Usable, network,
            new PretrainOptions { Data = "cifar10", Method = "mae", Seed = seed, Epochs = size.Pretraining, BatchSize = Batch }) { Pictures = store };
        var phase = new Mae().Phases(material)[0];
        options.Parts.Network($"mae, seed {seed}", network, context => phase.Run(material, context with
        {
            Name = phase.Name, Seed = seed,
            Looked = look =>
                options.Log(string.Create(CultureInfo.InvariantCulture, $"masked, epoch {look.Epoch}: loss {look.Loss:0.000}, {look.Seconds:0.0} s")),
        }, _ => { }), options.Cancel);
    }

    private static (double HeldOut, double Test) FineTune(ExperimentOptions options, Size size, Backbone start, Dataset learned, Dataset heldOut,
        Dataset test, double rate, int seed)
    {
        using var backbone = start.Clone();
        var plan = new Plan
        {
            Strategy = "full",
            Phases =
            [
                new Phase
                {
                    Name = "all", TrainFrom = 0, Epochs = size.FineTuning, BatchSize = Batch, Optimizer = new AdamRule(Decoupled: true),
                    HeadRate = rate, StageRates = [.. backbone.Stages.Select(_ => rate)], WeightDecay = 0.05,
                    Schedule = new CosineSchedule { WarmUp = 0.1 }, ClipNorm = 1,
                    Augmentation = [new RandomResizedCrop(backbone.Preprocessing.Width, 0.5), new HorizontalFlip()],
                },
            ],
        };
        var runner = new PlanRunner(backbone, plan, learned, heldOut, new PlanOptions { Seed = seed, Cancel = options.Cancel });
        runner.Run();
        using var head = runner.Head;
        return (runner.History.Max(epoch => epoch.ValidationAccuracy), 1 - GreedyMnist.Wrong(backbone, head, test));
    }
}
