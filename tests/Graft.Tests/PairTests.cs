using System.Globalization;
using System.Text.Json;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Heads;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>Learning from pairs: SetFit's, drawn from classes, and pairs of texts with a score.</summary>
public sealed class PairTests : IDisposable
{
    private static readonly string[] s_words =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "a", "the", "plot", "was", "fine", "dull", "great", "poor", "story",
            ".", "is", "it"];

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static TextEncoder Small()
    {
        TorchRuntime.ManualSeed(3);
        return new TextEncoder(new EncoderShape
        {
            Kind = "bert", Vocabulary = s_words.Length, Width = 16, Layers = 4, Heads = 4, Inner = 24, Positions = 24, Types = 2, Embedding = 16,
                Pad = 0,
            Separator = 3, Pooling = "mean",
        })
        { Tokenizer = Tokenizers.WordPiece(System.Text.Encoding.UTF8.GetBytes(string.Join('\n', s_words)), lower: true) };
    }

    private string Encoder()
    {
        using var encoder = Small();
        var folder = Directory.CreateDirectory(_shop["encoder"]).FullName;
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

    private string Films(int count = 40)
    {
        string[] good = ["the film was good .", "a great story .", "it is fine", "the plot is great"],
            bad = ["the film was bad .", "a dull story .", "it is poor", "the plot is dull"];
        File.WriteAllLines(_shop["films.tsv"], Enumerable.Range(0, count).Select(k => k % 2 == 0
            ? $"{good[k / 2 % 4]}{string.Concat(Enumerable.Repeat(" it", k % 5))}\tgood"
            : $"{bad[k / 2 % 4]}{string.Concat(Enumerable.Repeat(" it", k % 7))}\tbad").Prepend("sentence\tlabel"));
        return _shop["films.tsv"];
    }

    // Sentences that share words are alike, by how many they share.
    private string Scored(int count = 60)
    {
        var rng = new Rng(5);
        string[] words = s_words[5..];
        var lines = Enumerable.Range(0, count).Select(_ =>
        {
            string[] first = [.. rng.Permutation(words.Length).Take(5).Select(k => words[k])];
            var kept = rng.Below(6);
            string[] second = [.. first.Take(kept), .. rng.Permutation(words.Length).Select(k => words[k]).Except(first).Take(5 - kept)];
            return $"{kept}.0\t{string.Join(' ', first)}\t{string.Join(' ', second)}";
        });
        File.WriteAllLines(_shop["pairs.tsv"], lines.Prepend("score\tsentence1\tsentence2"));
        return _shop["pairs.tsv"];
    }

    private TrainOptions Options(string data, string strategy, string run = "run") =>
        new() { Data = data, Weights = Encoder(), Strategy = strategy, Out = _shop[run], NoCache = true };

    [Fact]
    public void Each_sentence_is_paired_so_often_with_its_class_and_so_often_with_another()
    {
        int[] labels = [0, 1, 0, 2, 1, 0, 2];
        var pairs = new ContrastivePairs(labels, 4, 5, 0, 9);
        var all = pairs.Epoch(0, 0).SelectMany(batch => batch).ToArray();
        Assert.Equal(2 * 4 * 7, all.Length);
        Assert.Equal((all.Length + 4) / 5, pairs.Batches);
        Assert.All(all, pair => Assert.Equal(labels[pair.First] == labels[pair.Second] ? 1f : 0f, pair.Target));
        Assert.All(all, pair => Assert.NotEqual(pair.First, pair.Second));
        for (var k = 0; k < labels.Length; k++)
        {
            Assert.Equal(4, all.Count(pair => pair.First == k && pair.Target == 1));
            Assert.Equal(4, all.Count(pair => pair.First == k && pair.Target == 0));
        }
        // Of the partners that there are, every one comes.
        var many = new ContrastivePairs(labels, 200, 16, 0, 9).Epoch(0, 0).SelectMany(batch => batch).Where(pair => pair.First == 0).ToArray();
        Assert.Equal([2, 5], many.Where(pair => pair.Target == 1).Select(pair => pair.Second).Distinct().Order());
        Assert.Equal([1, 3, 4, 6], many.Where(pair => pair.Target == 0).Select(pair => pair.Second).Distinct().Order());
    }

    [Fact]
    public void Pairs_depend_on_the_seed_and_the_epoch_alone_and_are_drawn_as_they_are_asked_for()
    {
        int[] labels = [.. Enumerable.Range(0, 1_000_000).Select(k => k % 3)];
        var pairs = new ContrastivePairs(labels, 20, 16, 500, 1);
        Assert.Equal(500, pairs.Batches);
        Assert.Equal(pairs.Epoch(2, 0).Skip(497).SelectMany(batch => batch), pairs.Epoch(2, 497).SelectMany(batch => batch));
        Assert.NotEqual(pairs.Epoch(0, 499).Single(), pairs.Epoch(1, 499).Single());
        Assert.NotEqual(pairs.Epoch(0, 499).Single(), new ContrastivePairs(labels, 20, 16, 500, 2).Epoch(0, 499).Single());
    }

    [Fact]
    public void A_sentence_that_is_alone_in_its_class_is_paired_with_others_only()
    {
        var pairs = new ContrastivePairs([0, 1, 1], 3, 100, 0, 0).Epoch(0, 0).Single();
        Assert.Equal(6, pairs.Count(pair => pair.First == 0));
        Assert.All(pairs.Where(pair => pair.First == 0), pair => Assert.Equal(0, pair.Target));
    }

    [Fact]
    public void Classes_that_make_no_pairs_are_refused()
    {
        Assert.Equal("all that is trained on is of one class: pairs of two classes are needed too", Assert.Throws<GraftException>(() =>
            new ContrastivePairs([1, 1, 1], 1, 1, 0, 0)).Message);
        Assert.Equal("no class has two to be trained on: pairs of one class are needed too", Assert.Throws<GraftException>(() =>
            new ContrastivePairs([0, 1, 2], 1, 1, 0, 0)).Message);
    }

    private static PairBatch Sentences(TextEncoder encoder, params (string First, string Second, float Target)[] pairs)
    {
        var data = new Dataset(new TextSource([.. pairs.Select(pair => new TextItem(pair.First, pair.Second))], [.. pairs.Select(_ => "")]),
            new NumberTargets([.. pairs.Select(pair => new[] { pair.Target })], ["score"], TargetKind.Similarity)).Apart();
        int[][] tokens = [.. Enumerable.Range(0, data.Count).Select(k => encoder.Encode(data.Text(k)).Ids)];
        return new PairFeed(tokens, 0, new ScoredPairs([.. pairs.Select(pair => pair.Target)], pairs.Length, 0, shuffle: false)).Epoch(0, 0).Single();
    }

    private static Phase Gradient(PhaseObjective objective) => new() { Name = "pairs", TrainFrom = 0, Objective = objective };

    [SkippableTheory]
    [InlineData(PhaseObjective.Contrastive, "((c - y) ** 2).mean()")]
    [InlineData(PhaseObjective.Cosent, "torch.log(1 + sum(torch.exp(20 * (c[j] - c[i])) for i in range(4) for j in range(4) if y[i] > y[j]))")]
    public void A_loss_of_pairs_is_what_its_formula_says(PhaseObjective kind, string formula)
    {
        using var encoder = Small();
        encoder.Eval();
        var phase = Gradient(kind);
        using PairObjective objective = kind == PhaseObjective.Contrastive ? new ContrastiveObjective(encoder, phase, 4)
            : new CosentObjective(encoder, phase, 4);
        objective.Eval();
        (string, string, float)[] pairs = [("the film was good", "a great film", 1), ("it is poor .", "the plot", 0), ("a story", "a dull story", 1),
            ("fine", "bad", 0)];
        using var batch = Sentences(encoder, pairs);
        var (gradients, loss) = objective.Gradient(batch, new Step(0, 0, 0, 0, 0, 1), [.. encoder.Parameters()]);
        Assert.Contains(gradients, gradient => gradient is not null && gradient.Abs().Sum().Item() > 0);
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        // The encoder's own pooling, of each sentence alone.
        string Vector(string text) =>
            JsonSerializer.Serialize(encoder.Forward(encoder.Batch([encoder.Encode(new TextItem(text)).Ids])).ToArray<float>());
        var said = Workshop.Python($"""
            import torch
            u = torch.tensor([{string.Join(',', pairs.Select(pair => Vector(pair.Item1)))}], dtype=torch.float64)
            v = torch.tensor([{string.Join(',', pairs.Select(pair => Vector(pair.Item2)))}], dtype=torch.float64)
            y = torch.tensor([1., 0., 1., 0.])
            c = torch.nn.functional.cosine_similarity(u, v)
            print(float({formula}))
            """);
        Assert.Equal(double.Parse(said, CultureInfo.InvariantCulture), loss, 1e-5);
    }

    [Fact]
    public void A_sentence_that_stands_in_several_pairs_of_a_batch_is_read_once()
    {
        int[][] tokens = [[2, 5, 3], [2, 6, 7, 3], [2, 8, 3]];
        using var batch = new PairFeed(tokens, 0, new ContrastivePairs([0, 0, 1], 5, 64, 0, 0)).Epoch(0, 0).Single();
        Assert.Equal([3, 4], Assert.Single(batch.Inputs).Shape);
        Assert.Equal(30, batch.Targets.Length);
    }

    [Fact]
    public void Setfit_brings_the_sentences_of_a_class_together()
    {
        var result = new TransferTask(Options(Films(), "setfit") with { Epochs = 6 }).Run();
        Assert.Equal(["contrastive", "head"], result.Plan.Phases.Select(phase => phase.Name));
        var losses = RunRecord.Read(result.Run).History.Select(epoch => epoch.Loss).ToArray();
        Assert.Equal(6, losses.Length);
        Assert.True(losses[^1] < losses[0], string.Join(' ', losses));
        Assert.True(result.Accuracy > 0.9);
        Assert.Equal("contrastive", JsonDocument.Parse(File.ReadAllText(Path.Combine(result.Run,
            "run.json"))).RootElement.GetProperty("plan").GetProperty("phases")[0].GetProperty("objective").GetString());
        Assert.True(File.Exists(result.Report));
        using var program = TextModel.Open(result.Run);
        Assert.Equal("bad", program.Answer("a dull story .").Label);
    }

    [Theory]
    [InlineData("setfit")]
    [InlineData("full")]
    public void A_stopped_run_on_pairs_ends_as_one_that_was_not(string strategy)
    {
        var data = strategy == "setfit" ? Films() : Scored();
        float[] Trained(string name, int? stopAfter)
        {
            var options = Options(data, strategy, name) with { Epochs = 3, NoReport = true };
            if (stopAfter is { } steps)
            {
                using var stop = new CancellationTokenSource();
                var seen = 0;
                var task = new TransferTask(options) { Cancel = stop.Token, Progress = report => { if (report.Unit == "pairs"
                    && ++seen == steps) stop.Cancel(); } };
                Assert.ThrowsAny<OperationCanceledException>(() => task.Run());
                new TransferTask(TransferTask.OptionsOf(_shop[name])).Run(resume: true);
            }
            else
            {
                new TransferTask(options).Run();
            }
            using var model = Classifier.Load(_shop[name]);
            return [.. model.Backbone.State()["encoder.layer.3.output.dense.weight"].ToArray<float>(),
                .. model.Head!.State().Values.SelectMany(tensor => tensor.ToArray<float>())];
        }
        Assert.Equal(Trained("whole", null), Trained("broken", 3));
    }

    [SkippableFact]
    public void Correlations_are_scipys()
    {
        double[] x = [3, 1, 2, 2, 5, 8, 8, 8, 0.5], y = [1, 1, 0, 2, 4, 9, 3, 3, -1];
        var said = Workshop.Python($"from scipy import stats; x={JsonSerializer.Serialize(x)}; y={JsonSerializer.Serialize(y)}; print(stats.pearsonr(x,y)[0], stats.spearmanr(x,y)[0])").Split(' ').Select(word => double.Parse(word, CultureInfo.InvariantCulture)).ToArray();
        Assert.Equal(said[0], Ranking.Pearson(x, y), 1e-12);
        Assert.Equal(said[1], Ranking.Spearman(x, y), 1e-12);
        Assert.True(double.IsNaN(Ranking.Spearman([1, 1], [0, 1])));
    }

    [Fact]
    public void A_score_of_two_columns_of_text_says_how_alike_they_are_unless_something_else_is_asked_for()
    {
        var path = Scored();
        var found = DatasetReader.Open(path);
        Assert.Equal(TargetKind.Similarity, found.Train.Targets.Kind);
        Assert.Contains("the column score of pairs.tsv says how alike the two texts are: each is read by itself (--task numbers reads both at once)",
            found.Notes.Remarks);
        Assert.Equal(TargetKind.Numbers, DatasetReader.Open(path, TargetKind.Numbers).Train.Targets.Kind);
        Assert.Equal(TargetKind.Similarity, found.Train.SplitStratified(0.2, 0).Second.Targets.Kind);
        File.WriteAllText(_shop["one.tsv"], "score\ttext\n1.5\ta film\n2.5\ta story\n");
        Assert.Contains("has no second column of text, only score, text", Assert.Throws<GraftException>(() => DatasetReader.Open(_shop["one.tsv"],
            TargetKind.Similarity)).Message, StringComparison.Ordinal);
        File.WriteAllText(_shop["two.tsv"], "sentence1\tsentence2\tnear\tfar\na b\tc d\t1.5\t2.5\ne f\tg h\t0.5\t3.5\n");
        Assert.Contains("near, far each hold numbers, and one says how alike the two texts are. Say which: --label near",
            Assert.Throws<GraftException>(() => DatasetReader.Open(_shop["two.tsv"], TargetKind.Similarity)).Message, StringComparison.Ordinal);
        File.WriteAllText(_shop["none.tsv"], "sentence1\tsentence2\na b\tc d\ne f\tg h\n");
        Assert.Contains("--task similarity: no column of", Assert.Throws<GraftException>(() => DatasetReader.Open(_shop["none.tsv"],
            TargetKind.Similarity)).Message, StringComparison.Ordinal);
        Assert.Equal("near", DatasetReader.Open(_shop["two.tsv"], TargetKind.Similarity,
            new TextColumns(Label: "near")).Train.Targets.Names.Single());
    }

    [Theory]
    [InlineData("feature")]
    [InlineData("feature:s2")]
    [InlineData("full")]
    [InlineData("partial:2")]
    [InlineData("auto")]
    public void A_run_on_pairs_answers_alike_from_its_weights_its_program_and_its_export(string strategy)
    {
        var data = Scored();
        var options = Options(data, strategy) with { Epochs = strategy is "full" or "partial:2" ? 2 : null };
        var result = new TransferTask(options).Run();
        Assert.True(File.Exists(result.Report));
        var measured = Assert.IsType<NumberMetrics>(result.Judged);
        Assert.Equal(measured.PerColumn[0].Spearman, result.Accuracy);
        using var program = TextModel.Open(result.Run);
        using var weights = Classifier.Load(result.Run);
        _ = Exporter.Write(weights, _shop["pairs.onnx"], ExportFormat.Onnx);
        using var export = TextModel.Open(_shop["pairs.onnx"]);
        Assert.True(program.ComparesPairs);
        var encoder = (TextEncoder)weights.Backbone;
        var head = (CosineHead)weights.Head!;
        foreach (var pair in new[] { new TextItem("the film was good", "a good film"), new TextItem("it is", "the dull plot was poor .") })
        {
            using var scope = new TensorScope();
            using var mode = Autograd.NoGrad();
            double[] Vector(string text) =>
                [.. weights.Forward(encoder.Batch([encoder.Encode(new TextItem(text)).Ids])).ToArray<float>().Select(value => (double)value)];
            var (u, v) = (Vector(pair.First), Vector(pair.Second!));
            var cosine = u.Zip(v, (a, b) => a * b).Sum() / Math.Sqrt(u.Sum(a => a * a) * v.Sum(b => b * b));
            var wanted = head.Line.Scale * cosine + head.Line.Offset;
            Assert.Equal(wanted, program.Answer([pair])[0].Numbers![0].Value, 1e-3);
            Assert.Equal(wanted, export.Answer([pair])[0].Numbers![0].Value, 1e-3);
            Assert.Equal(wanted, program.Row(pair)[0], 1e-3);
            // A pair is the same both ways round.
            Assert.Equal(wanted, program.Answer([new TextItem(pair.Second!, pair.First)])[0].Numbers![0].Value, 1e-3);
        }
        // The intervals and the line come with the model; the data is opened as it was for training.
        var judged = program.Judge(program.Card.Open(data));
        Assert.Equal("Spearman", judged.Measured.Score.Name);
        Assert.Contains("'the film was good' is one: give pairs", Assert.Throws<GraftException>(() => program.Answer("the film was good")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_line_on_the_cosine_is_least_squares()
    {
        using var scope = new TensorScope();
        // cos = 1, 0, -1 of two numbers each.
        var features = Tensor.From([1f, 0, 2, 0, 1, 0, 0, 3, 1, 0, -1, 0], 3, 4);
        using var head = HeadFitter.Fit(features, new NumberTargets([[5], [2], [1]], ["score"], TargetKind.Similarity),
            new HeadOptions { Kind = HeadKind.Cosine }).Head;
        var (scale, offset) = ((CosineHead)head).Line;
        Assert.Equal(2, scale, 1e-5);
        Assert.Equal(8 / 3.0, offset, 1e-5);
        var note = HeadFitter.Fit(features, new NumberTargets([[1], [2], [5]], ["score"], TargetKind.Similarity),
            new HeadOptions { Kind = HeadKind.Cosine });
        Assert.Contains("falls where the cosine rises", Assert.Single(note.Notes), StringComparison.Ordinal);
        note.Head.Dispose();
    }

    public static TheoryData<string, string> Wrong => new()
    {
        { "\"solve\": true, \"objective\": \"contrastive\", \"pairsOfEach\": 1", "objective contrastive takes gradient steps, and solve takes none" },
        { "\"objective\": \"contrastive\"", "phase 1 (one), pairsOfEach 0: " },
        { "\"objective\": \"cosent\"", "objective cosent is of pairs with scores, and the head softmax tells something else: use the head cosine" },
        { "\"objective\": \"contrastive\", \"pairsOfEach\": 1, \"mostSteps\": -1", "mostSteps -1" },
        { "\"objective\": \"contrastive\", \"pairsOfEach\": 1, \"mixup\": 0.2", "mixup with the objective contrastive, which knows pairs" },
        { "\"pairsOfEach\": 3", "pairsOfEach is for the objective contrastive" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void A_phase_of_pairs_that_cannot_be_is_refused(string fields, string said)
    {
        using var encoder = Small();
        var trainFrom = fields.Contains("solve", StringComparison.Ordinal) ? 5 : 0;
        var plan = Plan.FromJson($$"""{"strategy": "mine", "phases": [{"name": "one", "trainFrom": {{trainFrom}}, {{fields}}}, {"name": "head", "trainFrom": 5, "solve": true}]}""", "plan.json");
        Assert.Contains(said, Assert.Throws<GraftException>(() => plan.Validate(encoder, "plan.json")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_of_pairs_needs_sentences_a_head_and_classes()
    {
        using var encoder = Small();
        var setfit = Strategies.SetFit(encoder);
        Assert.Equivalent(setfit, Plan.FromJson(setfit.ToJson(), "plan.json"));
        setfit.Validate(encoder);
        Assert.Contains("no phase trains the head", Assert.Throws<GraftException>(() =>
            (setfit with { Phases = [setfit.Phases[0]] }).Validate(encoder)).Message, StringComparison.Ordinal);
        Assert.Contains("the head ridge tells no classes", Assert.Throws<GraftException>(() =>
            (setfit with { Head = HeadKind.Ridge }).Validate(encoder)).Message, StringComparison.Ordinal);
        Assert.Contains("--strategy setfit puts sentences of one class together, and the head ridge tells no classes",
            Assert.Throws<GraftException>(() => Strategies.ByName("setfit", encoder, 9, HeadKind.Ridge)).Message, StringComparison.Ordinal);
        using var pictures = BackboneCatalogue.Create("resnet18");
        Assert.Contains("sees pictures", Assert.Throws<GraftException>(() => Strategies.ByName("setfit", pictures, 9)).Message,
            StringComparison.Ordinal);
        Assert.Contains("--strategy gradual is not for the similarity of pairs", Assert.Throws<GraftException>(() => Strategies.ByName("gradual",
            encoder, 9, HeadKind.Cosine)).Message, StringComparison.Ordinal);
        Assert.Contains("the head cosine compares two texts: say objective cosent",
            Assert.Throws<GraftException>(() => (Strategies.Full(encoder, 9) with { Head = HeadKind.Cosine }).Validate(encoder)).Message,
                StringComparison.Ordinal);
    }
}
