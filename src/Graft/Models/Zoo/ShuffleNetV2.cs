using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>ShuffleNetV2 (Ma et al. 2018, table 5): half of the channels pass by each block, then both halves are shuffled.</summary>
internal sealed class ShuffleNetV2 : PublishedBackbone
{
    private static readonly Dictionary<string, int[]> s_channels = new()
    {
        ["x0_5"] = [24, 48, 96, 192, 1024], ["x1_0"] = [24, 116, 232, 464, 1024], ["x1_5"] = [24, 176, 352, 704, 1024],
            ["x2_0"] = [24, 244, 488, 976, 2048],
    };

    /// <summary>Random weights.</summary>
    /// <param name="width">x0_5, x1_0, x1_5, x2_0.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    public ShuffleNetV2(string width, int? classes = null) : base($"shufflenet_v2_{width}")
    {
        var channels = s_channels[width];
        Add("stem", channels[0], Child("conv1", new ConvNormActivation(3, channels[0], 3, 2, activation: x => x.Relu())), Lambda.MaxPool(3, 2, 1));
        int[] repeats = [4, 8, 4];
        for (var k = 0; k < 3; k++)
        {
            var blocks = Enumerable.Range(0, repeats[k])
                .Select(b => (Module)new Block(b == 0 ? channels[k] : channels[k + 1], channels[k + 1], b == 0 ? 2 : 1)).ToArray();
            Add($"s{k + 1}", channels[k + 1], Child($"stage{k + 2}", new Sequential(blocks)));
        }
        Add("top", channels[4], Child("conv5", new ConvNormActivation(channels[3], channels[4], 1, activation: x => x.Relu())));
        Classifier("fc", classes);
        Finish();
    }

    private sealed class Block : Module
    {
        private readonly Step[] _passing, _worked;
        private readonly int _half;

        /// <summary>A convolution with its norm.</summary>
        private readonly record struct Step(Conv2d Convolution, BatchNorm2d Norm, bool Relu);

        public Block(int inputs, int outputs, int stride)
        {
            _half = stride == 1 ? outputs / 2 : 0;
            var half = outputs / 2;
            _passing = stride == 1 ? [] : Branch("branch1", (inputs, inputs, 3, stride, false), (inputs, half, 1, 1, true));
            _worked = Branch("branch2", (stride == 1 ? half : inputs, half, 1, 1, true), (half, half, 3, stride, false), (half, half, 1, 1, true));
        }

        private Step[] Branch(string name, params (int Inputs, int Outputs, int Window, int Stride, bool Relu)[] rows)
        {
            var layers = new List<Module>();
            var steps = new Step[rows.Length];
            for (var k = 0; k < rows.Length; k++)
            {
                var (inputs, outputs, window, stride, relu) = rows[k];
                steps[k] = new Step(new Conv2d(inputs, outputs, window, stride, window / 2, groups: window == 3 ? inputs : 1, bias: false),
                    new BatchNorm2d(outputs), relu);
                layers.AddRange([steps[k].Convolution, steps[k].Norm]);
                if (relu) layers.Add(Lambda.Relu());
            }
            Child(name, new Sequential([.. layers]));
            return steps;
        }

        private static Tensor Run(Step[] steps, Tensor x)
        {
            foreach (var (convolution, norm, relu) in steps)
            {
                x = norm.After(convolution, x);
                if (relu) x = x.Relu();
            }
            return x;
        }

        public override Tensor Forward(Tensor x)
        {
            var y = _half > 0 ? Ops.Cat([x.Narrow(1, 0, _half), Run(_worked, x.Narrow(1, _half, _half))], 1)
                : Ops.Cat([Run(_passing, x), Run(_worked, x)], 1);
            var (channels, height, width) = (y.Shape[1], y.Shape[2], y.Shape[3]);
            return y.View([-1, 2, channels / 2, height, width]).Transpose(1, 2).Reshape([-1, channels, height, width]);
        }
    }
}
