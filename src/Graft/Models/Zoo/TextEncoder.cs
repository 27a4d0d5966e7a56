using System.Globalization;
using Graft.Data;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// A mean of word vectors, whose one stage is their table (Joulin et al. 2017, section 2, without its n-grams of words); or a Transformer that reads
/// text both ways: BERT (Devlin et al. 2019), RoBERTa and XLM-R (Liu et al. 2019; Conneau et al. 2020), DistilBERT (Sanh et al. 2019), ELECTRA
/// (Clark et al. 2020), ALBERT (Lan et al. 2020), under Hugging Face's names. It takes N×T numbers of tokens; the first stage makes their vectors
/// and the mask, the others are groups of layers; the features of a stage are its tokens pooled.
/// </summary>
internal sealed class TextEncoder : Backbone
{
    private const double DropoutShare = 0.1;

    private readonly List<Stage> _stages = [];
    private readonly Slot? _places, _types;
    private readonly Embedding _words;
    private Tokenizer? _tokenizer;

    /// <summary>Random weights, normal of deviation 0.02 as BERT's begin.</summary>
    public TextEncoder(EncoderShape shape)
    {
        Shape = shape;
        Names = EncoderNames.Of(shape.Kind);
        Preprocessing = new Preprocessing(1, 1, [], Normalize.Levels);
        _words = Child(Names.Words, new Embedding(shape.Vocabulary, shape.Embedding));
        if (shape.Kind == EncoderShape.Words)
        {
            Add("embeddings", [_words], ids =>
            {
                var (x, there) = (_words.Forward(ids.X), ids.X.Ne(shape.Pad));
                return new Signal(x, MaskOf(there, x.Type));
            });
            return;
        }
        var places = Child(Names.Places, new Embedding(shape.Positions, shape.Embedding));
        _places = places.Rows;
        var embedded = new List<Module> { _words, places };
        if (shape.Types > 0)
        {
            var types = Child(Names.Types, new Embedding(shape.Types, shape.Embedding));
            _types = types.Rows;
            embedded.Add(types);
        }
        var norm = Child(Names.First, new LayerNorm(shape.Embedding, shape.Epsilon));
        var project = shape.Embedding != shape.Width || shape.Kind == "albert" ? Child(Names.Project, new Linear(shape.Embedding, shape.Width))
            : null;
        var dropout = Child("", new Dropout(DropoutShare));
        embedded.AddRange(project is null ? [norm, dropout] : [norm, dropout, project]);
        Add("embeddings", embedded, ids =>
        {
            var (x, mask) = Embed(ids.X);
            x = dropout.Forward(norm.Forward(x));
            return new Signal(project is null ? x : project.Forward(x), mask);
        });
        // ALBERT's layers are one, run again and again.
        var shared = shape.Kind == "albert";
        var layers = Enumerable.Range(0, shared ? 1 : shape.Layers)
            .Select(k => Child(string.Format(CultureInfo.InvariantCulture, Names.Layer, k), new Layer(shape, Names))).ToArray();
        var groups = shared ? 1 : Math.Min(4, shape.Layers);
        for (var k = 0; k < groups; k++)
        {
            var (from, to) = (shape.Layers * k / groups, shape.Layers * (k + 1) / groups);
            Layer[] run = shared ? [.. Enumerable.Repeat(layers[0], shape.Layers)] : layers[from..to];
            Add($"s{k + 1}", [.. run.Distinct()], x => run.Aggregate(x, (y, layer) => layer.Run(y)));
        }
        foreach (var linear in Modules().OfType<Linear>())
        {
            Initialisers.Normal(linear.Weight, 0.02);
            Initialisers.Constant(linear.Bias!, 0);
        }
    }

    /// <summary>Its sizes.</summary>
    public EncoderShape Shape { get; }

    /// <summary>What its parts are called.</summary>
    public EncoderNames Names { get; }

    /// <summary>Cuts sentences into its tokens.</summary>
    public Tokenizer Tokenizer
    {
        get => _tokenizer ?? throw new GraftException($"{Provenance.Source} came without its vocabulary: put vocab.txt, or tokenizer.json, beside it");
        init => _tokenizer = value;
    }

    /// <summary>Tokens of a sentence that are read, the network's own signs among them; what is beyond is cut off.</summary>
    public int MostTokens { get => field > 0 ? Math.Min(field, Shape.Tokens) : Math.Min(256, Shape.Tokens); init; }

    public override string Architecture => Shape.Kind;

    public override IReadOnlyList<Stage> Stages => _stages;

    public override string HeadName => "classifier";

    public override BackboneSpec Spec => Shape.ToSpec();

    protected override Backbone CreateSame() => new TextEncoder(Shape) { _tokenizer = _tokenizer, MostTokens = MostTokens };

    /// <summary>N×T×C and its mask to N×C.</summary>
    public override Tensor Pool(Signal x)
    {
        var (tokens, mask) = (x.X, x.Mask?.Unsqueeze(2));
        return Shape.Pooling switch
        {
            "first" => tokens.Select(1, 0),
            "max" => (mask is null ? tokens : tokens + (mask - 1) * 1e9).Amax([1]),
            _ => mask is null ? tokens.Mean([1L]) : (tokens * mask).Sum([1L]) / mask.Sum([1L]),
        };
    }

    /// <summary>A sentence or a pair as its numbers.</summary>
    public Tokens Encode(TextItem text) => Tokenizer.Encode(text, MostTokens);

    /// <summary>Sentences of any lengths as N×T numbers, filled up behind.</summary>
    public Tensor Batch(IReadOnlyList<int[]> rows) => TokenRows.Fill(rows, Shape.Pad);

    /// <summary>The sum of what piece, place and sentence are, and which places are tokens.</summary>
    private (Tensor X, Tensor? Mask) Embed(Tensor ids)
    {
        var there = ids.Ne(Shape.Pad);
        var x = _words.Forward(ids);
        // RoBERTa counts its tokens from behind the number of the padding token.
        x += Shape.Kind == "roberta" ? Ops.Embedding(_places!.Value, there.To(DType.Int64).Cumsum(1) * there.To(DType.Int64)
            + Tensor.From([(long)Shape.Pad]))
            : _places!.Value.Narrow(0, 0, ids.Shape[1]);
        if (_types is not null)
        {
            // What stands behind the first sentence's end is the second.
            var ends = ids.Eq(Shape.Separator).To(DType.Int64);
            var second = _types.Value.Shape[0] > 1 ? (ends.Cumsum(1) - ends).Clamp(0, 1) * there.To(DType.Int64) : ends * 0;
            x += Ops.Embedding(_types.Value, second);
        }
        return (x, MaskOf(there, x.Type));
    }

    // Null where nothing is filled up.
    private static Tensor? MaskOf(Tensor there, DType type) => there.All().ToArray<bool>()[0] ? null : there.To(type);

    private void Add(string name, IReadOnlyList<Module> modules, Func<Signal, Signal> run) =>
        _stages.Add(new Stage(name, Shape.Width, modules, x => run(x).X) { Masked = run });

    /// <summary>A vector for each number.</summary>
    private sealed class Embedding : Module
    {
        public Embedding(int count, int width) => Rows = Parameter("weight", Initialisers.Normal(Ops.Empty([count, width]), 0.02));

        public Slot Rows { get; }

        public override Tensor Forward(Tensor ids) => Ops.Embedding(Rows.Value, ids);
    }

    /// <summary>Attention over the tokens that are there (Vaswani et al. 2017, eq. 1), then two dense layers; each beside a shortcut and before a
    /// norm.</summary>
    private sealed class Layer : Module
    {
        private readonly EncoderShape _shape;
        private readonly Linear _query, _key, _value, _out, _up, _down;
        private readonly LayerNorm _attentionNorm, _norm;
        private readonly Dropout _dropout;

        public Layer(EncoderShape shape, EncoderNames names)
        {
            _shape = shape;
            Linear Square(string name) => Child(name, new Linear(shape.Width, shape.Width));
            (_query, _key, _value, _out) = (Square(names.Query), Square(names.Key), Square(names.Value), Square(names.Out));
            _attentionNorm = Child(names.AttentionNorm, new LayerNorm(shape.Width, shape.Epsilon));
            _up = Child(names.Up, new Linear(shape.Width, shape.Inner));
            _down = Child(names.Down, new Linear(shape.Inner, shape.Width));
            _norm = Child(names.Norm, new LayerNorm(shape.Width, shape.Epsilon));
            _dropout = Child("", new Dropout(DropoutShare));
        }

        public Signal Run(Signal signal)
        {
            var x = signal.X;
            x = _attentionNorm.Forward(x + _dropout.Forward(_out.Forward(Attend(x, signal.Mask))));
            var inner = _up.Forward(x);
            inner = _shape.Activation switch { "relu" => inner.Relu(), "gelu_new" => inner.Gelu("tanh"), _ => inner.Gelu() };
            return signal with { X = _norm.Forward(x + _dropout.Forward(_down.Forward(inner))) };
        }

        private Tensor Attend(Tensor x, Tensor? mask)
        {
            var size = _shape.Width / _shape.Heads;
            Tensor Parted(Linear linear) => linear.Forward(x).View([x.Shape[0], x.Shape[1], _shape.Heads, size]).Transpose(1, 2);
            var scores = (Parted(_query) * Math.Pow(size, -0.5)).Matmul(Parted(_key).Transpose(-2, -1));
            if (mask is not null) scores += ((mask - 1) * 1e9).Unsqueeze(1).Unsqueeze(1);
            return _dropout.Forward(scores.Softmax(-1)).Matmul(Parted(_value)).Transpose(1, 2).Reshape([x.Shape[0], x.Shape[1], _shape.Width]);
        }

        public override Tensor Forward(Tensor x) => Run(x).X;
    }
}
