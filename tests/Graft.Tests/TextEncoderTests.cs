using System.Text.Json;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Features;
using Graft.Heads;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Models;
using Graft.Models.Exports;
using Graft.Models.Zoo;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

public sealed class TextEncoderTests : IDisposable
{
    private static readonly string[] s_words =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "a", "the", "plot", "was", "fine", "dull", "great", "poor", "story",
            ".", "is", "it"];

    private readonly string _folder = Directory.CreateTempSubdirectory("graft-text-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static TextEncoder Small(string kind = "bert", string pooling = "mean")
    {
        TorchRuntime.ManualSeed(3);
        return new TextEncoder(new EncoderShape
        {
            Kind = kind, Vocabulary = s_words.Length, Width = 16, Layers = 4, Heads = 4, Inner = 24, Positions = 24, Types = kind == "distilbert" ? 0
                : 2,
            Embedding = kind == "albert" ? 8 : 16, Pad = 0, Separator = 3, Pooling = pooling,
        })
        { Tokenizer = Tokenizers.WordPiece(System.Text.Encoding.UTF8.GetBytes(string.Join('\n', s_words)), lower: true) };
    }

    public static TheoryData<string, string> Kinds =>
        new() { { "bert", "mean" }, { "bert", "first" }, { "bert", "max" }, { "roberta", "mean" }, { "distilbert", "mean" }, { "electra", "mean" },
        { "albert", "mean" } };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_sentence_has_the_same_features_alone_filled_up_and_by_onnx_runtime(string kind, string pooling)
    {
        using var encoder = Small(kind, pooling);
        encoder.Eval();
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        int[] ids = encoder.Encode(new TextItem("the film was good", "it is fine .")).Ids;
        var alone = encoder.Forward(encoder.Batch([ids])).ToArray<float>();
        var filled = encoder.Forward(encoder.Batch([ids, [2, .. Enumerable.Repeat(9, 20), 3]])).Narrow(0, 0, 1).Contiguous().ToArray<float>();
        using var network = new OnnxTextNetwork(EncoderWriter.AllPooled(encoder), kind, encoder.Shape.Separator);
        var row = new float[network.Outputs];
        network.Run(Array.ConvertAll(ids, id => (long)id), 1, row);
        for (var c = 0; c < 16; c++)
        {
            Assert.InRange(Math.Abs(alone[c] - filled[c]), 0, 1e-5);
            Assert.InRange(Math.Abs(alone[c] - row[row.Length - 16 + c]), 0, 1e-5);
        }
    }

    [Fact]
    public void A_layer_is_what_its_equations_say()
    {
        using var encoder = Small();
        encoder.Eval();
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        long[] ids = [2, 8, 7, 3];
        var state = encoder.State();
        double[,] Matrix(string name) { var t = state[name]; var v = t.Contiguous().ToArray<float>(); var m = new double[t.Shape[0],
            t.Shape[1]]; for (var i = 0; i < v.Length; i++) m[i / t.Shape[1], i % t.Shape[1]] = v[i]; return m; }
        double[] Vector(string name) => [.. state[name].ToArray<float>().Select(value => (double)value)];
        double[][] Dense(double[][] x, string name)
        {
            var (w, b) = (Matrix(name + ".weight"), Vector(name + ".bias"));
            return [.. x.Select(row => b.Select((bias, o) => bias + row.Select((value, i) => value * w[o, i]).Sum()).ToArray())];
        }
        double[][] Norm(double[][] x, string name)
        {
            var (g, b) = (Vector(name + ".weight"), Vector(name + ".bias"));
            return [.. x.Select(row =>
            {
                var mean = row.Average();
                var deviation = Math.Sqrt(row.Average(value => (value - mean) * (value - mean)) + 1e-12);
                return row.Select((value, c) => (value - mean) / deviation * g[c] + b[c]).ToArray();
            })];
        }
        static double[][] Sum(double[][] a, double[][] b) => [.. a.Select((row, t) => row.Select((value, c) => value + b[t][c]).ToArray())];
        // Φ by its integral, which no library of ours computes.
        static double Gelu(double x) { var sum = 0.0; for (var k = 0; k < 4000; k++) { var z = x * (k
            + 0.5) / 4000; sum += Math.Exp(-z * z / 2) * x / 4000; } return x * (0.5 + sum / Math.Sqrt(2 * Math.PI)); }
        var (words, places, types) = (Matrix("embeddings.word_embeddings.weight"), Matrix("embeddings.position_embeddings.weight"),
            Matrix("embeddings.token_type_embeddings.weight"));
        double[][] x = Norm([.. ids.Select((id, t) => Enumerable.Range(0, 16).Select(c => words[id, c] + places[t, c] + types[0, c]).ToArray())],
            "embeddings.LayerNorm");
        for (var layer = 0; layer < 4; layer++)
        {
            var at = $"encoder.layer.{layer}.";
            var (q, k, v) = (Dense(x, at + "attention.self.query"), Dense(x, at + "attention.self.key"), Dense(x, at + "attention.self.value"));
            var seen = ids.Select(_ => new double[16]).ToArray();
            for (var head = 0; head < 4; head++)
            {
                for (var t = 0; t < ids.Length; t++)
                {
                    double[] power = [.. Enumerable.Range(0, ids.Length).Select(s =>
                        Math.Exp(Enumerable.Range(4 * head, 4).Sum(c => q[t][c] * k[s][c]) / 2))];
                    for (var s = 0; s < ids.Length; s++) for (var c = 4 * head; c < 4 * head + 4; c++) seen[t][c] += power[s] / power.Sum() * v[s][c];
                }
            }
            x = Norm(Sum(Dense(seen, at + "attention.output.dense"), x), at + "attention.output.LayerNorm");
            double[][] inner = [.. Dense(x, at + "intermediate.dense").Select(row => row.Select(Gelu).ToArray())];
            x = Norm(Sum(Dense(inner, at + "output.dense"), x), at + "output.LayerNorm");
        }
        var found = encoder.Forward(Tensor.From(ids, 1, 4)).ToArray<float>();
        for (var c = 0; c < 16; c++) Assert.InRange(Math.Abs(found[c] - x.Average(row => row[c])), 0, 1e-5);
    }

    private string Data(int count = 60)
    {
        string[] good = ["the film was good .", "a great story .", "it is fine", "the plot is great"],
            bad = ["the film was bad .", "a dull story .", "it is poor", "the plot is dull"];
        var path = Path.Combine(_folder, "films.tsv");
        File.WriteAllLines(path, Enumerable.Range(0, count).Select(k => k % 2 == 0
            ? $"{good[k / 2 % 4]}{string.Concat(Enumerable.Repeat(" it", k % 5))}\tgood"
            : $"{bad[k / 2 % 4]}{string.Concat(Enumerable.Repeat(" it", k % 7))}\tbad").Prepend("sentence\tlabel"));
        return path;
    }

    private string Encoder() => Write(Path.Combine(_folder, "encoder"));

    /// <summary>A small encoder's files, as Hugging Face names them.</summary>
    internal static string Write(string place)
    {
        using var encoder = Small();
        var folder = Directory.CreateDirectory(place).FullName;
        Safetensors.Write(Path.Combine(folder, "model.safetensors"), encoder.State().ToDictionary(item => "bert." + item.Key, item => item.Value),
            new Dictionary<string, string>());
        File.WriteAllText(Path.Combine(folder, "vocab.txt"), string.Join('\n', s_words));
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["model_type"] = "bert", ["vocab_size"] = s_words.Length, ["hidden_size"] = 16, ["num_hidden_layers"] = 4, ["num_attention_heads"] = 4,
            ["intermediate_size"] = 24, ["max_position_embeddings"] = 24, ["type_vocab_size"] = 2,
        }));
        return folder;
    }

    [Theory]
    [InlineData("feature")]
    [InlineData("head-then-full")]
    [InlineData("partial:2")]
    [InlineData("gradual")]
    [InlineData("scratch")]
    public void A_run_on_sentences_answers_alike_from_its_weights_its_program_and_its_export(string strategy)
    {
        var run = Path.Combine(_folder, "run");
        var result = new TransferTask(new TrainOptions { Data = Data(), Weights = Encoder(), Strategy = strategy, Epochs = strategy == "feature"
            ? null : 2, Out = run, NoCache = true }).Run();
        Assert.True(result.IsText);
        Assert.True(File.Exists(Path.Combine(run, "report.html")));
        string[] asked = ["the film was good", "it is dull .", "the plot"];
        using var program = TextModel.Open(run);
        using var weights = Classifier.Load(run);
        var exported = Path.Combine(_folder, "films.onnx");
        _ = Exporter.Write(weights, exported, ExportFormat.Onnx, softmax: true);
        using var export = TextModel.Open(exported);
        var encoder = (TextEncoder)weights.Backbone;
        foreach (var sentence in asked)
        {
            var said = program.Answer(sentence);
            var again = export.Answer(sentence);
            float[] own;
            using (var scope = new TensorScope())
            using (Autograd.NoGrad()) own = weights.Forward(encoder.Batch([encoder.Encode(new TextItem(sentence)).Ids])).ToArray<float>();
            Assert.Equal(said.Label, again.Label);
            Assert.Equal(said.Probability, again.Probability, 1e-5);
            Assert.Equal(said.Probability, own.Max(), 1e-5);
        }
    }

    [Fact]
    public void Words_that_speak_for_an_answer_add_up_to_the_scores_difference()
    {
        using var encoder = Small();
        encoder.Eval();
        using var head = Head.Create(HeadKind.Softmax, 16, 2);
        ((LinearHead)head).Set(Ops.Randn([2, 16]), Ops.Zeros([2]));
        var text = new TextItem("the film was great .");
        var pieces = Reports.WordEvidence.Of(encoder, head, encoder.Stages.Count - 1, text, 1);
        Assert.Equal(text.First, string.Concat(pieces.Select(piece => piece.Text)));
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var ids = encoder.Encode(text).Ids;
        double Score(int[] row) => head.Forward(encoder.Forward(encoder.Batch([row]))).Select(1, 1).Item();
        var difference = Score(ids) - Score([ids[0], .. Enumerable.Repeat(4, ids.Length - 2), ids[^1]]);
        Assert.InRange(Math.Abs(pieces.Sum(piece => piece.Weight) - difference), 0, 0.05 * Math.Abs(difference) + 0.01);
    }

    [Fact]
    public void A_vocabulary_that_does_not_fit_the_network_is_refused()
    {
        var folder = Encoder();
        File.AppendAllText(Path.Combine(folder, "vocab.txt"), "\nmore");
        Assert.Contains("not of one model", Assert.Throws<GraftException>(() => ModelOpener.Load(folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_encoder_without_its_vocabulary_says_so()
    {
        var folder = Encoder();
        File.Delete(Path.Combine(folder, "vocab.txt"));
        Assert.Contains("tokenizer", Assert.Throws<GraftException>(() => ModelOpener.Load(folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sentences_for_a_network_of_pictures_are_refused_in_a_sentence() =>
        Assert.Contains("text encoder",
            Assert.Throws<GraftException>(() =>
            new TransferTask(new TrainOptions { Data = Data(), Weights = "shapes", Strategy = "feature",
            Out = Path.Combine(_folder, "no") }).Run()).Message, StringComparison.Ordinal);

    [Fact]
    public void A_stopped_run_on_sentences_ends_as_one_that_was_not()
    {
        var (data, weights) = (Data(), Encoder());
        float[] Trained(string name, int? stopAt)
        {
            var run = Path.Combine(_folder, name);
            var options = new TrainOptions { Data = data, Weights = weights, Strategy = "head-then-full", Epochs = 3, Out = run, NoCache = true,
                NoReport = true };
            if (stopAt is { } epoch)
            {
                using var stop = new CancellationTokenSource();
                var seen = 0;
                var task = new TransferTask(options) { Cancel = stop.Token, EpochEnded = _ => { if (++seen == epoch) stop.Cancel(); } };
                Assert.ThrowsAny<OperationCanceledException>(() => task.Run());
                new TransferTask(TransferTask.OptionsOf(run)).Run(resume: true);
            }
            else new TransferTask(options).Run();
            using var model = Classifier.Load(run);
            return model.Backbone.State()["encoder.layer.3.output.dense.weight"].ToArray<float>();
        }
        Assert.Equal(Trained("whole", null), Trained("broken", 2));
    }
}
