using Graft.Inference;
using Graft.Inference.Text;
using Graft.Models;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Classification;

/// <summary>From a path to a model that answers: what ONNX Runtime can open by itself never meets libtorch.</summary>
internal static class Answering
{
    /// <summary>The file that <see cref="Open"/> reads.</summary>
    /// <exception cref="GraftException">There is none.</exception>
    internal static string FileOf(string path) => File.Exists(Path.Combine(path, PictureModel.FileName)) ? Path.Combine(path, PictureModel.FileName)
        : SavedRun.FileOf(ModelHub.Resolve(path));

    /// <summary>A run, an export, or any pretrained network with its own classifier.</summary>
    /// <param name="path">A run folder or a file.</param>
    /// <param name="input">How a pretrained network wants its pictures, and its classes' names.</param>
    /// <param name="device">cpu, or cuda:0, where libtorch runs the network.</param>
    /// <exception cref="GraftException">It is none of these, or it is damaged.</exception>
    public static IAnsweringModel Open(string path, InputOptions? input = null, string device = "cpu")
    {
        var plain = input is null || input == new InputOptions();
        if (plain && device == "cpu" && Engine.Wanted != EngineKind.Torch
            && (TextModel.TryOpen(path) ?? PictureModel.TryOpen(path) as IAnsweringModel) is { } portable) return portable;
        var where = Device.Parse(device);
        var model = Classifier.Open(path, input);
        try
        {
            return model.Freeze(where);
        }
        finally
        {
            // On a processor the frozen network has weights of its own; on a graphics processor, and where libtorch reads text, it runs these.
            if (!where.IsCuda && !(model.Backbone is TextEncoder && Engine.Wanted == EngineKind.Torch)) model.Dispose();
        }
    }
}
