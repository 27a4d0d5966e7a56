using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Quickstart;

/// <summary>How the small network that comes with the library, <c>shapes</c>, was made: a ConvNet pretrained on
/// <see cref="ShapeWorld.Upstream"/>.</summary>
internal static class ShapePretraining
{
    private const int PicturesOfEach = 700, Epochs = 14;

    /// <summary>Makes the checkpoint again: draws the upstream pictures, trains from scratch, writes it with its classifier.</summary>
    /// <returns>Accuracy on upstream pictures that were held out.</returns>
    public static double Run(string path, long seed, Action<EpochRecord>? epochEnded = null, Action<ProgressReport>? progress = null)
    {
        var folder = Directory.CreateTempSubdirectory("graft-shapes-").FullName;
        try
        {
            ShapeWorld.Write(folder, ShapeWorld.Upstream, PicturesOfEach, seed);
            var (train, held) = DatasetReader.Open(folder).Train.SplitStratified(0.1, seed);
            TorchRuntime.ManualSeed(seed);
            using var backbone = BackboneCatalogue.Create("convnet");
            var plan = Strategies.Scratch(backbone, train.Count);
            plan = plan with { Phases = [plan.Phases[0] with { Epochs = Epochs, BatchSize = 64,
                Augmentation = [new RandomCrop(ShapeWorld.Side, 3), new HorizontalFlip()] }] };
            var trainer = new PlanRunner(backbone, plan, train, held, new PlanOptions { Seed = seed, EpochEnded = epochEnded, Progress = progress });
            trainer.Run();
            var tensors = backbone.State().Concat(trainer.Head.State()
                .Select(item => new KeyValuePair<string, Tensor>("head." + item.Key, item.Value)));
            Safetensors.Write(path, tensors, new Dictionary<string, string>
            {
                ["architecture"] = "convnet", ["widths"] = backbone.Spec["widths"]!, ["side"] = backbone.Spec["side"]!, ["licence"] = "MIT",
                ["domain"] = $"drawn shapes: {string.Join(", ", ShapeWorld.Upstream)}",
            });
            return trainer.History.Max(epoch => epoch.ValidationAccuracy);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
