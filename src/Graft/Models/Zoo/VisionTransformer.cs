using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// ViT (Dosovitskiy et al. 2021, eq. 1 to 4), and DeiT (Touvron et al. 2021), which has the same shape. Stages are quarters of the
/// encoder's layers; a stage's features are its class token.
/// </summary>
internal sealed class VisionTransformer : PublishedBackbone
{
    private static readonly Dictionary<string, (int Patch, int Layers, int Heads, int Width)> s_shapes = new()
    {
        ["vit_tiny_16"] = (16, 12, 3, 192), ["vit_small_16"] = (16, 12, 6, 384), ["vit_b_16"] = (16, 12, 12, 768), ["vit_b_32"] = (32, 12, 12, 768),
            ["vit_l_16"] = (16, 24, 16, 1024),
        ["deit_tiny_16"] = (16, 12, 3, 192), ["deit_small_16"] = (16, 12, 6, 384), ["deit_base_16"] = (16, 12, 12, 768),
    };

    private readonly int _side;
    private readonly (int Patch, int Layers, int Heads, int Width) _shape;

    /// <summary>The name under which it has any shape: squares, layers, heads and width are options.</summary>
    public const string FreeName = "vit";

    /// <summary>Names that it can be made by.</summary>
    public static IEnumerable<string> Names => s_shapes.Keys;

    /// <summary>Random weights.</summary>
    /// <param name="name">As on its card.</param>
    /// <param name="side">Pixels of the square input.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    /// <param name="shape">Pixels of a square, layers, heads, width; null: as the name says.</param>
    /// <exception cref="GraftException">A side that is no whole number of squares, a width that the heads cannot share.</exception>
    public VisionTransformer(string name, int side = 224, int? classes = null, (int Patch, int Layers, int Heads, int Width)? shape = null)
        : base(name)
    {
        (_side, _shape) = (side, shape ?? s_shapes[name]);
        var (patch, layers, heads, width) = _shape;
        if (width % heads != 0) throw new GraftException($"{name}: {heads} heads cannot share a width of {width} evenly: give a multiple");
        if (side % patch != 0) throw new GraftException($"{name} cuts its input into squares of {patch} pixels: {side} is no multiple of that");
        var positions = (side / patch) * (side / patch) + 1;
        var project = Child("conv_proj", new Conv2d(3, width, patch, patch));
        var first = Child("", new ClassToken(width));
        var encoder = Child("encoder", new Encoder(positions, width));
        Add("stem", width, [first, project, encoder.Positions],
            x => encoder.Positions.Forward(Ops.Cat([first.Forward(x), project.Forward(x).Flatten(2).Transpose(1, 2)], 1)));
        var blocks = Enumerable.Range(0, layers).Select(k => encoder.Add($"encoder_layer_{k}", new Layer(width, heads))).ToArray();
        for (var k = 0; k < 4; k++)
        {
            var part = blocks[(layers * k / 4)..(layers * (k + 1) / 4)];
            Add($"s{k + 1}", width, k == 3 ? [.. part, encoder.Norm] : part);
        }
        Classifier("heads.head", classes);
        Finish(side == 224 ? 256 : side, side);
        Initialisers.TruncatedNormal(project.Weight, Math.Sqrt(1.0 / (3 * patch * patch)));
    }

    /// <inheritdoc/>
    public override BackboneSpec Spec => Architecture == FreeName
        ? new(Architecture, ("patch", $"{_shape.Patch}"), ("width", $"{_shape.Width}"), ("layers", $"{_shape.Layers}"), ("heads", $"{_shape.Heads}"),
            ("side", $"{_side}"))
        : _side == 224 ? base.Spec : new(Architecture, ("side", $"{_side}"));

    /// <summary>Pixels of a square's side.</summary>
    public int Patch => _shape.Patch;

    /// <summary>Pixels of the input's side.</summary>
    public int Side => _side;

    /// <summary>The class token's place of N×T×C.</summary>
    public override Tensor Pool(Signal x) => x.X.Select(1, 0);

    /// <summary>Learned positions brought to another number of squares, by bicubic interpolation of their grid.</summary>
    /// <param name="positions">1×(1 + n²)×C.</param>
    /// <param name="count">1 + m².</param>
    public static Tensor Interpolate(Tensor positions, long count)
    {
        var (from, to) = ((long)Math.Round(Math.Sqrt(positions.Shape[1] - 1)), (long)Math.Round(Math.Sqrt(count - 1)));
        if (from * from + 1 != positions.Shape[1] || to * to
            + 1 != count) throw new GraftException($"{positions.Shape[1]} positions are no square grid and a class token");
        var width = positions.Shape[2];
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var grid = positions.Narrow(1, 1, from * from).Transpose(1, 2).Reshape([1, width, from, from]).UpsampleBicubic2d([to, to], true);
        return scope.Keep(Ops.Cat([positions.Narrow(1, 0, 1), grid.Flatten(2).Transpose(1, 2)], 1));
    }

    /// <summary>Eq. 1's x_class, once for each picture.</summary>
    private sealed class ClassToken : Module
    {
        private readonly Slot _token;

        public ClassToken(int width) => _token = Parameter("class_token", Ops.Zeros([1, 1, width]));

        // It follows the shape of a slice of the input, so that a trace holds for every batch.
        public override Tensor Forward(Tensor x) => _token.Value.ExpandAs(x.Flatten(1).Narrow(1, 0, _token.Value.Shape[2]).Unsqueeze(1));
    }

    /// <summary>Holds the positions, the layers and the last norm under torchvision's names.</summary>
    private sealed class Encoder : Module
    {
        private readonly Named _layers;

        public Encoder(int positions, int width)
        {
            Positions = Child("", new PositionEmbedding(positions, width));
            _layers = Child("layers", new Named());
            Norm = Child("ln", new LayerNorm(width, 1e-6));
        }

        public PositionEmbedding Positions { get; }

        public LayerNorm Norm { get; }

        public Layer Add(string name, Layer layer) => _layers.Add(name, layer);

        public override Tensor Forward(Tensor x) => throw new NotSupportedException("its parts run in stages");
    }

    private sealed class PositionEmbedding : Module
    {
        private readonly Slot _positions;

        public PositionEmbedding(int positions, int width) => _positions =
            Parameter("pos_embedding", Initialisers.Normal(Ops.Empty([1, positions, width]), 0.02));

        public override Tensor Forward(Tensor x) => x + _positions.Value;
    }

    /// <summary>Eq. 2 and 3: attention, then two dense layers, each after a norm and beside a shortcut.</summary>
    internal sealed class Layer : Module
    {
        private readonly LayerNorm _first, _second;
        private readonly MultiheadAttention _attention;
        private readonly Sequential _dense;

        public Layer(int width, int heads)
        {
            _first = Child("ln_1", new LayerNorm(width, 1e-6));
            _attention = Child("self_attention", new MultiheadAttention(width, heads));
            _second = Child("ln_2", new LayerNorm(width, 1e-6));
            _dense = Child("mlp", new Sequential(new Linear(width, 4 * width), Lambda.Gelu(), new Dropout(0), new Linear(4 * width, width)));
        }

        public override Tensor Forward(Tensor x)
        {
            x += _attention.Forward(_first.Forward(x));
            return x + _dense.Forward(_second.Forward(x));
        }
    }
}
