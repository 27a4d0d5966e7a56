using System.Globalization;
using System.Text;
using System.Text.Json;
using Graft.Data;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Pretraining;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>Encoders of sentences learn from sentences of which nothing is told.</summary>
public sealed class TextPretrainingTests : IDisposable
{
    private static readonly string[] s_pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
        .. Enumerable.Range(0, 40).Select(k => $"w{k}"), .. Enumerable.Range(0, 20).Select(k => $"##x{k}")];

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static Vocabulary Pieces() =>
        new(Tokenizers.WordPiece(Encoding.UTF8.GetBytes(string.Join('\n', s_pieces) + '\n'), lower: true));

    private static int Id(string piece) => Array.IndexOf(s_pieces, piece);

    // Sentences of a small world: what is good is told with good words.
    private static string[] Lines(int count)
    {
        string[] nouns = ["film", "story", "plot", "actor", "scene", "ending"];
        string[] good = ["great", "lovely", "moving", "funny"], bad = ["dull", "awful", "boring", "poor"];
        var rng = new Rng(5);
        return [.. Enumerable.Range(0, count).Select(k =>
        {
            var words = k % 2 == 0 ? good : bad;
            return $"the {nouns[rng.Below(6)]} was {words[rng.Below(4)]} and the {nouns[rng.Below(6)]} was {words[rng.Below(4)]} {k % 7}";
        })];
    }

    private string Write(string name, params string[] lines)
    {
        File.WriteAllLines(_shop[name], lines);
        return _shop[name];
    }

    private PretrainOptions Small(string data, string method = "mlm", string run = "run") => new()
    {
        Data = data, Method = method, Backbone = "bert-tiny", Epochs = 2, BatchSize = 16, Out = _shop[run], NoReport = true,
        Text = new TextStartOptions { Vocabulary = 200 },
    };

    private static string Refused(Action action) => Assert.Throws<GraftException>(action).Message;

    [Fact]
    public void Of_the_chosen_pieces_80_in_100_are_hidden_10_replaced_and_10_stay_and_15_in_100_are_chosen()
    {
        var masking = new TokenMasking(Pieces());
        var rng = new Rng(1);
        long[] row = [Id("[CLS]"), .. Enumerable.Range(0, 40).Select(k => (long)Id($"w{k}")), Id("[SEP]"), 0, 0];
        long[] ids = [.. Enumerable.Repeat(row, 500).SelectMany(one => one)];
        var hidden = masking.Hide(ids, 500, ref rng);
        Assert.Equal(500 * 6, hidden.Places.Length);
        Assert.Equal([.. hidden.Places.Select(place => ids[place])], hidden.Labels);
        Assert.All(hidden.Places, place => Assert.InRange(place % row.Length, 1, 40));
        double Share(Func<long, bool> such) => hidden.Places.Count(such) / (double)hidden.Places.Length;
        // Three deviations of a share of 3,000; a piece may be replaced by itself.
        Assert.InRange(Share(place => hidden.Inputs[place] == Id("[MASK]")), 0.778, 0.822);
        Assert.InRange(Share(place => hidden.Inputs[place] != Id("[MASK]") && hidden.Inputs[place] != ids[place]), 0.082, 0.118);
        Assert.InRange(Share(place => hidden.Inputs[place] == ids[place]), 0.084, 0.12);
        Assert.DoesNotContain(hidden.Inputs, id => id == Id("[UNK]"));
        var chosen = hidden.Places.ToHashSet();
        Assert.All(Enumerable.Range(0, ids.Length).Where(place => !chosen.Contains(place)), place => Assert.Equal(ids[place], hidden.Inputs[place]));
    }

    [Fact]
    public void A_short_sentence_has_one_hidden_piece_and_one_of_unknown_words_none()
    {
        var masking = new TokenMasking(Pieces());
        var rng = new Rng(2);
        Assert.Equal([1], masking.Hide([Id("[CLS]"), Id("w1"), Id("[SEP]")], 1, ref rng).Places);
        Assert.Empty(masking.Hide([Id("[CLS]"), Id("[UNK]"), Id("[SEP]")], 1, ref rng).Places);
    }

    [Fact]
    public void Whole_words_are_hidden_with_all_their_pieces()
    {
        var vocabulary = Pieces();
        var masking = new TokenMasking(vocabulary, wholeWords: true);
        var rng = new Rng(3);
        long[] row = [Id("[CLS]"), .. Enumerable.Range(0, 12).SelectMany(k => Enumerable.Range(0, 1 + k % 3)
            .Select(part => (long)Id(part == 0 ? $"w{k}" : $"##x{part}"))), Id("[SEP]")];
        var words = vocabulary.Words<long>(row);
        Assert.Equal(12, words.Count);
        for (var k = 0; k < 200; k++)
        {
            var places = masking.Hide(row, 1, ref rng).Places;
            var touched = words.Where(word => places.Any(place => place >= word.Start && place < word.Start + word.Length)).ToArray();
            Assert.Equal(places, touched.SelectMany(word => Enumerable.Range(word.Start, word.Length)).Select(place => (long)place));
            Assert.InRange(places.Length, 1, 4);
        }
        // A single word of many pieces is hidden whole, though it is more than the share.
        Assert.Equal([1, 2, 3], masking.Hide([Id("[CLS]"), Id("w1"), Id("##x1"), Id("##x2"), Id("[SEP]")], 1, ref rng).Places);
    }

    [Fact]
    public void Electra_tells_as_replaced_exactly_what_differs()
    {
        long[] ids = [2, 10, 11, 12, 13, 3];
        var hidden = new HiddenPieces([2, 4, 11, 4, 4, 3], [1, 3, 4], [10, 12, 13]);
        var (inputs, replaced) = Electra.Write(ids, hidden, [10, 20, 13]);
        Assert.Equal([2, 10, 11, 20, 13, 3], inputs);
        Assert.Equal([0, 0, 0, 1, 0, 0], replaced);
    }

    [Fact]
    public void A_corrupted_sentence_differs_by_one_word_of_the_corpus()
    {
        var vocabulary = Pieces();
        int[][] corpus = [.. Enumerable.Range(0, 20).Select(k => new[] { 2, Id($"w{k}"), Id("##x1"), Id($"w{k + 10}"), 3 })];
        var replacement = new WordReplacement(vocabulary, corpus, 6);
        var rng = new Rng(4);
        string Text(IEnumerable<int> ids) => string.Join(' ', ids.Select(id => s_pieces[id])).Replace(" ##", "", StringComparison.Ordinal);
        var known = corpus.SelectMany(ids => Text(ids).Split(' ')).ToHashSet();
        for (var k = 0; k < 100; k++)
        {
            var made = replacement.Corrupt(corpus[k % 20], ref rng)!;
            var (before, after) = (Text(corpus[k % 20]).Split(' '), Text(made).Split(' '));
            Assert.Equal(1, before.Zip(after).Count(pair => pair.First != pair.Second));
            Assert.All(after, word => Assert.Contains(word, known));
            Assert.InRange(made.Length, 4, 6);
        }
        Assert.Null(replacement.Corrupt([2, 1, 3], ref rng));
        Assert.Null(new WordReplacement(vocabulary, [[2, 7, 3], [2, 7, 7, 3]], 6).Corrupt([2, 7, 3], ref rng));
    }

    [Fact]
    public void Halves_are_parted_between_words_and_pairs_between_their_sentences()
    {
        var vocabulary = Pieces();
        int[] sentence = [2, Id("w1"), Id("##x1"), Id("##x2"), Id("w2"), Id("w3"), 3];
        Assert.Equal([Id("w1"), Id("##x1"), Id("##x2")], NextSentence.Halves(vocabulary, sentence, 3)!.Value.First);
        Assert.Equal([Id("w2"), Id("w3")], NextSentence.Halves(vocabulary, sentence, 3)!.Value.Second);
        var pair = NextSentence.Halves(vocabulary, [2, 10, 3, 11, 12, 3], 3)!.Value;
        Assert.Equal([10], pair.First);
        Assert.Equal([11, 12], pair.Second);
        Assert.Null(NextSentence.Halves(vocabulary, [2, Id("w1"), Id("##x1"), 3], 3));
    }

    [SkippableFact]
    public void The_loss_of_hidden_pieces_is_PyTorchs()
    {
        TorchRuntime.ManualSeed(7);
        var encoder = new TextEncoder(new EncoderShape { Kind = "bert", Vocabulary = 11, Width = 6, Embedding = 4, Layers = 1, Heads = 2, Inner = 8,
            Positions = 8 });
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using (encoder)
        {
            var words = encoder.NamedSlots().Single(slot => slot.Name == encoder.Names.Words + ".weight").Slot;
            using var head = new HiddenWordHead(6, words, 1e-12);
            foreach (var parameter in head.Parameters()) parameter.NormalInPlace(0, 0.5);
            words.Value.NormalInPlace(0, 1);
            var tokens = Ops.Empty([2, 3, 6]).NormalInPlace(0, 1);
            var hidden = new HiddenPieces([], [1, 3, 5], [4, 0, 10]);
            var step = new Step(0, 0, 0, 0, 0, 1);
            var loss = head.Loss(tokens, hidden, step).Item();
            var state = head.State();
            var given = JsonSerializer.Serialize(new[] { tokens, state["dense.weight"], state["dense.bias"], state["norm.weight"], state["norm.bias"],
                words.Value, state["bias"] }.Select(tensor => new { shape = tensor.Shape, values = tensor.ToArray<float>() }));
            var expected = Workshop.Python("""
                import json, sys, torch
                x, w, b, g, c, e, o = [torch.tensor(t["values"]).view(t["shape"]) for t in json.loads(sys.argv[1])]
                f = torch.nn.functional
                h = f.layer_norm(f.gelu(f.linear(x.view(-1, 6)[[1, 3, 5]], w, b)), (4,), g, c, 1e-12)
                s = h @ e.T + o
                y = torch.tensor([4, 0, 10])
                print(f.cross_entropy(s, y).item(), (s.argmax(1) == y).sum().item())
                """, given).Split(' ');
            Assert.Equal(double.Parse(expected[0], CultureInfo.InvariantCulture), loss, 1e-5);
            Assert.Equal(double.Parse(expected[1], CultureInfo.InvariantCulture), step.Counts["right"].Sum);
            Assert.Equal(3, step.Counts["right"].Of);
        }
    }

    [Theory]
    // Of 520 sentences some are held out, and the weights of the best look are kept beside the last.
    [InlineData("mlm", 520, 64, 10)]
    [InlineData("electra", 60, 16, 5)]
    [InlineData("good-or-corrupted", 60, 16, 5)]
    [InlineData("next-sentence", 60, 16, 5)]
    public void A_stopped_pretraining_goes_on_to_the_bit(string method, int lines, int batch, int steps)
    {
        var data = Write("lines.txt", Lines(lines));
        PretrainOptions Options(string run) => Small(data, method, run) with { BatchSize = batch };
        new PretrainTask(Options("whole")).Run();
        using (var stop = new CancellationTokenSource())
        {
            var task = new PretrainTask(Options("stopped")) { Cancel = stop.Token, Progress = at => { if (at.Done == steps) stop.Cancel(); } };
            Assert.ThrowsAny<OperationCanceledException>(() => task.Run());
        }
        Assert.False(File.Exists(Path.Combine(_shop["stopped"], RunFolder.Model)));
        new PretrainTask(PretrainTask.OptionsOf(_shop["stopped"])).Run(resume: true);
        string Print(string run)
        {
            using var backbone = ModelOpener.Load(_shop[run]).Backbone;
            return backbone.Fingerprint();
        }
        Assert.Equal(Print("whole"), Print("stopped"));
        using var start = TextStart.Create(DatasetReader.OpenUnlabelledText(data), Options("")).Encoder;
        Assert.NotEqual(start.Fingerprint(), Print("whole"));
    }

    [Fact]
    public void A_run_is_the_network_of_a_training_and_its_model_answers()
    {
        var lines = Lines(600);
        var (data, log) = (Write("lines.txt", lines), new List<string>());
        var result = new PretrainTask(Small(data) with { Epochs = 3, Rate = 3e-3, NoReport = false }) { Log = log.Add }.Run();
        Assert.Equal("bert", result.Architecture.Split(' ', '(')[0]);
        Assert.True(File.Exists(result.Report));
        Assert.Contains(log, line => line.Contains("word pieces made from the sentences", StringComparison.Ordinal));
        // Without reading, the most frequent piece alone is guessed: ln of some forty pieces, and a sixth of the hidden ones right.
        var epochs = log.Where(line => line.Contains("held out", StringComparison.Ordinal)).ToArray();
        Assert.Equal(3, epochs.Length);
        Assert.True(result.Loss < 2.5, string.Join('\n', epochs));
        using (var encoder = (TextEncoder)ModelOpener.Load(result.Run).Backbone)
        {
            Assert.Contains("mlm", encoder.Provenance.Domain, StringComparison.Ordinal);
            var ids = encoder.Encode(new TextItem("The film was great")).Ids;
            Assert.Equal(["[CLS]", "the", "film", "was", "great", "[SEP]"], ids.Select(encoder.Tokenizer.Piece));
        }
        var table = Write("reviews.tsv", ["text\tlabel", .. lines.Take(80).Select((line, k) => $"{line}\t{(k % 2 == 0 ? "good" : "bad")}")]);
        var trained = new TransferTask(new TrainOptions { Data = table, Weights = result.Run, Strategy = "feature", Out = _shop["trained"],
            NoReport = true, NoCache = true }).Run();
        Assert.True(trained.Accuracy > 0.8, $"{trained.Accuracy}");
        using var model = TextModel.Open(trained.Run);
        Assert.NotNull(model);
        // It also goes on: with the encoder's own vocabulary.
        var further = new PretrainTask(Small(data, "mlm-whole-word", "further") with { Weights = result.Run, Backbone = null, Epochs = 1,
            Text = new() }).Run();
        Assert.Contains("vocabulary=", further.Architecture, StringComparison.Ordinal);
        Assert.Equal(result.Architecture, further.Architecture);
    }

    [Fact]
    public void What_cannot_be_learned_from_is_refused_with_the_reason()
    {
        Assert.Contains("holds no text", Refused(() => new PretrainTask(Small(Write("empty.txt"))).Run()), StringComparison.Ordinal);
        Assert.Contains("one sentence is too little to learn from",
            Refused(() => new PretrainTask(Small(Write("one.txt", "a single line"))).Run()), StringComparison.Ordinal);
        Assert.Contains("all 50 sentences are alike",
            Refused(() => new PretrainTask(Small(Write("same.txt", [.. Enumerable.Repeat("the same again", 50)]))).Run()), StringComparison.Ordinal);
        File.WriteAllBytes(_shop["bytes.txt"], [.. "good lines\nand ü: "u8, 0xff, 0xfe, .. "\n한국어 줄\n한국어 줄\n"u8]);
        var bytes = Refused(() => new PretrainTask(Small(_shop["bytes.txt"])).Run());
        Assert.Contains("line 2", bytes, StringComparison.Ordinal);
        Assert.Contains("no UTF-8", bytes, StringComparison.Ordinal);
        Assert.Contains("hold no word", Refused(() => new PretrainTask(Small(Write("signs.txt", "\u0001", "\u0002 \u0003"))).Run()),
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_network_of_pictures_and_options_that_do_not_go_together_are_refused()
    {
        var small = Small(Write("lines.txt", Lines(20)));
        void Holds(string reason, PretrainOptions options) =>
            Assert.Contains(reason, Refused(() => new PretrainTask(options).Run()), StringComparison.Ordinal);
        Holds("holds sentences, and", small with { Backbone = null, Weights = "shapes", Text = new() });
        Holds("sees pictures", small with { Backbone = "resnet18" });
        Holds("bert-tiny, bert-mini", small with { Backbone = "roberta" });
        Holds("there is no encoder 'bert-tny'", small with { Backbone = "bert-tny" });
        Holds("--vocabulary and --cased", small with { Weights = "shapes" });
        Holds("--size are for pictures", small with { Input = new InputOptions { Size = 32 } });
        Holds("--vocabulary", small with { Text = new TextStartOptions { Vocabulary = 5 } });
    }

    [Fact]
    public void Pictures_have_no_word_pieces()
    {
        Directory.CreateDirectory(_shop["photos"]);
        for (var k = 0; k < 3; k++)
        {
            using var picture = Picture.Create(16, 16);
            File.WriteAllBytes(Path.Combine(_shop["photos"], $"{k}.jpg"), picture.ToJpeg(90));
        }
        Assert.Contains("--vocabulary and --cased are for sentences", Refused(() => new PretrainTask(new PretrainOptions
        {
            Data = _shop["photos"], Method = "simclr", Out = _shop["run"], Text = new TextStartOptions { Cased = true },
        }).Run()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_that_is_cut_and_a_vocabulary_that_the_text_cannot_give_are_told()
    {
        var data = Write("long.txt", [.. Lines(40), string.Concat(Enumerable.Repeat("a very long line ", 1 << 16))]);
        var result = new PretrainTask(Small(data) with { Epochs = 1, Text = new TextStartOptions { Vocabulary = 5000 } }).Run();
        Assert.Contains(result.Notes, note => note.StartsWith("1 text is longer than the 128 tokens", StringComparison.Ordinal));
        Assert.Contains(result.Notes, note => note.Contains("fewer than --vocabulary 5000", StringComparison.Ordinal));
    }

    [Fact]
    public void Korean_syllables_stay_whole_and_capitals_do_where_it_is_asked_for()
    {
        string[] korean = [.. Enumerable.Range(0, 40).Select(k => $"영화가 정말 재미있다 {k} 배우의 연기가 좋다")];
        var asked = new PretrainOptions { Data = "lines.txt", Backbone = "bert-tiny" };
        using var one = TextStart.Create(DatasetReader.OpenUnlabelledText(Write("korean.txt", korean)), asked).Encoder;
        Assert.Contains("영화가", one.Encode(new TextItem("영화가")).Ids.Select(one.Tokenizer.Piece));
        var english = DatasetReader.OpenUnlabelledText(Write("english.txt", [.. Enumerable.Range(0, 40).Select(k => $"The Café was open {k}")]));
        string First(bool cased)
        {
            using var made = TextStart.Create(english, asked with { Text = new() { Cased = cased } }).Encoder;
            return string.Join(' ', made.Encode(new TextItem("The Café")).Ids[1..^1].Select(made.Tokenizer.Piece));
        }
        Assert.Equal("the cafe", First(cased: false));
        Assert.Equal("The Café", First(cased: true));
    }
}
