using Graft.Classification;
using Graft.Data;
using Graft.Models;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

public class KerasFlatTests
{
    /// <summary>Dense layers on an input of a shape, as Keras 2 writes them to .h5, and a .npy-like list of what they give for a picture x[k] = k /
    /// n.</summary>
    private const string Write = """
        import sys, json, h5py, numpy as np
        def write(path, shape, first, pick=lambda x: x.reshape(-1), classes=3, hidden=5):
            rng = np.random.default_rng(0); n = int(np.prod(shape))
            W, B, V, C = [rng.normal(size=s).astype('f4') * .1 for s in ((n, hidden), (hidden,), (hidden, classes), (classes,))]
            layers = first + [{'class_name': 'Dense', 'config': {'name': 'a', 'units': hidden, 'activation': 'relu', 'use_bias': True}}, {'class_name': 'Dense', 'config': {'name': 'out', 'units': classes, 'activation': 'softmax', 'use_bias': True}}]
            layers[0]['config']['batch_input_shape'] = [None, *shape]
            with h5py.File(path, 'w') as f:
                f.attrs['model_config'] = json.dumps({'class_name': 'Sequential', 'config': {'name': 's', 'layers': layers}})
                g = f.create_group('model_weights')
                for name, items in {'a': (W, B), 'out': (V, C)}.items():
                    l = g.create_group(name); l.attrs['weight_names'] = [f'{name}/kernel:0'.encode(), f'{name}/bias:0'.encode()]
                    l.create_dataset(f'{name}/kernel:0', data=items[0]); l.create_dataset(f'{name}/bias:0', data=items[1])
            return lambda x: np.maximum(x.reshape(-1) @ W + B, 0) @ V + C
        def picture(c, s): return (np.arange(c * s * s, dtype='f4') / (c * s * s)).reshape(c, s, s)
        """;

    private static void Gives(string path, int side, bool grey, string expected)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var (backbone, _) = ModelOpener.Load(path);
        using var owned = backbone;
        backbone.Eval();
        Assert.Equal((side, side), (backbone.Preprocessing.Width, backbone.Preprocessing.Height));
        Assert.Equal(grey, backbone.Preprocessing.Steps.Any(step => step is Grayscale));
        var channels = grey ? 1 : 3;
        var one = Tensor.From([.. Enumerable.Range(0, channels * side * side).Select(k => k / (float)(channels * side * side))], 1, channels, side,
            side);
        var picture = grey ? Ops.Cat([one, one, one], 1) : one;
        // Two pictures: the batch is free.
        var ours = backbone.Classify(Ops.Cat([picture, picture], 0)).ToArray<double>();
        var theirs = expected.Split(' ').Select(double.Parse).ToArray();
        Assert.Equal(2 * theirs.Length, ours.Length);
        for (var k = 0; k < ours.Length; k++) Assert.InRange(Math.Abs(ours[k] - theirs[k % theirs.Length]), 0, 1e-4);
    }

    [SkippableFact]
    public void Pictures_are_flattened_for_a_network_that_reads_a_flat_vector()
    {
        using var shop = new Workshop();
        var lines = Workshop.Python(Write + """

            print(*write(sys.argv[1] + '/grey.h5', [784], [])(picture(1, 28)).tolist())
            # Keras keeps the colours of a pixel together.
            print(*write(sys.argv[1] + '/colour.h5', [3072], [])(picture(3, 32).transpose(1, 2, 0)).tolist())
            flatten = lambda: [{'class_name': 'Flatten', 'config': {'name': 'f', 'data_format': 'channels_last'}}]
            print(*write(sys.argv[1] + '/rows.h5', [28, 28], flatten())(picture(1, 28)).tolist())
            reshape = [{'class_name': 'Reshape', 'config': {'name': 'r', 'target_shape': [8, 8, 1]}}]
            print(*write(sys.argv[1] + '/reshaped.h5', [64], reshape + flatten())(picture(1, 8)).tolist())
            write(sys.argv[1] + '/iris.h5', [4], []); write(sys.argv[1] + '/features.h5', [500], [])
            """, shop.Root).Split('\n');
        Gives(shop["grey.h5"], 28, true, lines[0]);
        Gives(shop["colour.h5"], 32, false, lines[1]);
        Gives(shop["rows.h5"], 28, true, lines[2]);
        Gives(shop["reshaped.h5"], 8, true, lines[3]);
        // Measurements are no pictures.
        Assert.Contains("vector of 4 numbers", Assert.Throws<GraftException>(() => ModelOpener.Load(shop["iris.h5"])).Message,
            StringComparison.Ordinal);
        Assert.Contains("vector of 500 numbers", Assert.Throws<GraftException>(() => ModelOpener.Load(shop["features.h5"])).Message,
            StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_flat_network_evaluates_pictures_and_is_trained_on()
    {
        using var shop = new Workshop();
        Workshop.Python(Write + """

            import os, numpy as np; from PIL import Image
            write(sys.argv[1] + '/mlp.h5', [784], [], classes=2)
            rng = np.random.default_rng(0)
            for name, level in (('dark', 40), ('light', 200)):
                os.makedirs(f'{sys.argv[1]}/data/{name}')
                for k in range(8): Image.fromarray(np.clip(rng.normal(level, 20, (40, 40)), 0, 255).astype('u1')).save(f'{sys.argv[1]}/data/{name}/{k}.png')
            """, shop.Root);
        using (var model = Classifier.Open(shop["mlp.h5"]))
        {
            var data = model.Open(shop["data"]);
            Assert.Equal(data.Count, model.Judge(data).Indices.Length);
        }
        var result = new TransferTask(new TrainOptions { Data = shop["data"], Weights = shop["mlp.h5"], Out = shop["run"], NoReport = true,
            NoCache = true }).Run();
        Assert.Equal(1.0, result.Metrics.Accuracy);
    }
}
