using Graft.Data;
using Graft.Torch;
using Unit = Graft.Models.Zoo.GoogLeNet.Unit;

namespace Graft.Models.Zoo;

/// <summary>Inception v3 (Szegedy et al. 2016, table 1) for 299×299 pictures; the auxiliary classifier of training is left out.</summary>
internal sealed class InceptionV3 : PublishedBackbone
{
    /// <summary>Random weights.</summary>
    public InceptionV3(int? classes = null) : base("inception_v3")
    {
        Module Conv(string name, int inputs, int outputs, int window, int stride = 1, int padding = 0) =>
            Child($"Conv2d_{name}", new Unit(inputs, outputs, [window, window], stride, [padding, padding]));
        Add("stem", 64, Conv("1a_3x3", 3, 32, 3, 2), Conv("2a_3x3", 32, 32, 3), Conv("2b_3x3", 32, 64, 3, 1, 1), Lambda.MaxPool(3, 2));
        Add("s1", 192, Conv("3b_1x1", 64, 80, 1), Conv("4a_3x3", 80, 192, 3), Lambda.MaxPool(3, 2));
        Add("s2", 288, Child("Mixed_5b", A(192, 32)), Child("Mixed_5c", A(256, 64)), Child("Mixed_5d", A(288, 64)));
        Add("s3", 768, Child("Mixed_6a", B(288)), Child("Mixed_6b", C(768, 128)), Child("Mixed_6c", C(768, 160)), Child("Mixed_6d", C(768, 160)),
            Child("Mixed_6e", C(768, 192)));
        Add("s4", 2048, Child("Mixed_7a", D(768)), Child("Mixed_7b", E(1280)), Child("Mixed_7c", E(2048)));
        Classifier("fc", classes);
        Finish(342, 299, Normalize.Symmetric);
    }

    private static readonly Func<Tensor, Tensor> s_average = x => x.AvgPool2d([3, 3], [1, 1], [1, 1]);
    private static readonly Func<Tensor, Tensor> s_largest = x => x.MaxPool2d([3, 3], [2, 2]);

    private static (string, Unit) Square(string name, int inputs, int outputs, int window, int stride = 1, int padding = 0) =>
        (name, new Unit(inputs, outputs, [window, window], stride, [padding, padding]));
    private static (string, Unit) Wide(string name, int inputs, int outputs, int window) =>
        (name, new Unit(inputs, outputs, [1, window], 1, [0, window / 2]));
    private static (string, Unit) Tall(string name, int inputs, int outputs, int window) =>
        (name, new Unit(inputs, outputs, [window, 1], 1, [window / 2, 0]));

    private static Mixed A(int inputs, int pooled) => new(
        new Branch(null, Square("branch1x1", inputs, 64, 1)),
            new Branch(null, Square("branch5x5_1", inputs, 48, 1), Square("branch5x5_2", 48, 64, 5, 1, 2)),
        new Branch(null, Square("branch3x3dbl_1", inputs, 64, 1), Square("branch3x3dbl_2", 64, 96, 3, 1, 1),
            Square("branch3x3dbl_3", 96, 96, 3, 1, 1)), new Branch(s_average, Square("branch_pool", inputs, pooled, 1)));

    private static Mixed B(int inputs) => new(
        new Branch(null, Square("branch3x3", inputs, 384, 3, 2)),
            new Branch(null, Square("branch3x3dbl_1", inputs, 64, 1), Square("branch3x3dbl_2", 64, 96, 3, 1, 1),
            Square("branch3x3dbl_3", 96, 96, 3, 2)), new Branch(s_largest));

    private static Mixed C(int inputs, int c) => new(
        new Branch(null, Square("branch1x1", inputs, 192, 1)),
            new Branch(null, Square("branch7x7_1", inputs, c, 1), Wide("branch7x7_2", c, c, 7), Tall("branch7x7_3", c, 192, 7)),
        new Branch(null, Square("branch7x7dbl_1", inputs, c, 1), Tall("branch7x7dbl_2", c, c, 7), Wide("branch7x7dbl_3", c, c, 7),
            Tall("branch7x7dbl_4", c, c, 7), Wide("branch7x7dbl_5", c, 192, 7)),
        new Branch(s_average, Square("branch_pool", inputs, 192, 1)));

    private static Mixed D(int inputs) => new(
        new Branch(null, Square("branch3x3_1", inputs, 192, 1), Square("branch3x3_2", 192, 320, 3, 2)),
        new Branch(null, Square("branch7x7x3_1", inputs, 192, 1), Wide("branch7x7x3_2", 192, 192, 7), Tall("branch7x7x3_3", 192, 192, 7),
            Square("branch7x7x3_4", 192, 192, 3, 2)), new Branch(s_largest));

    private static Mixed E(int inputs) => new(
        new Branch(null, Square("branch1x1", inputs, 320, 1)),
        new Branch(null, Square("branch3x3_1", inputs, 384, 1)) { Fork = [Wide("branch3x3_2a", 384, 384, 3), Tall("branch3x3_2b", 384, 384, 3)] },
        new Branch(null, Square("branch3x3dbl_1", inputs, 448, 1),
            Square("branch3x3dbl_2", 448, 384, 3, 1, 1)) { Fork = [Wide("branch3x3dbl_3a", 384, 384, 3), Tall("branch3x3dbl_3b", 384, 384, 3)] },
        new Branch(s_average, Square("branch_pool", inputs, 192, 1)));

    /// <summary>Convolutions one after another, after a pooling; at the end, each of a fork reads the last.</summary>
    private sealed record Branch(Func<Tensor, Tensor>? Pool, params (string Name, Unit Unit)[] Units)
    {
        public (string Name, Unit Unit)[] Fork { get; init; } = [];
    }

    /// <summary>Branches side by side, their channels joined.</summary>
    private sealed class Mixed : Module
    {
        private readonly Branch[] _branches;

        public Mixed(params Branch[] branches)
        {
            _branches = branches;
            foreach (var (name, unit) in branches.SelectMany(branch => branch.Units.Concat(branch.Fork))) Child(name, unit);
        }

        public override Tensor Forward(Tensor x)
        {
            var outputs = new List<Tensor>();
            foreach (var branch in _branches)
            {
                var y = branch.Units.Aggregate(branch.Pool is null ? x : branch.Pool(x), (y, part) => part.Unit.Forward(y));
                outputs.AddRange(branch.Fork.Length == 0 ? [y] : branch.Fork.Select(part => part.Unit.Forward(y)));
            }
            return Ops.Cat(outputs, 1);
        }
    }
}
