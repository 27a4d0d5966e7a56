using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using Graft.Data;
using Graft.Features;
using Graft.Inference.Text;
using Graft.Inference.Words;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>Files of word vectors written by hand in every format, questions to a small table, skip-gram against its own formula, and an encoder of
/// words.</summary>
public sealed class WordVectorTests : IDisposable
{
    // king − man + woman = queen to the last digit; apple lies apart.
    private const string Royal = "man 1 0 0\nwoman 0 1 0\nking 1 0 1\nqueen 0 1 1\napple -1 -1 -1\n";

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private WordVectors Text(string content, string name = "words.txt")
    {
        File.WriteAllText(_shop[name], content);
        return WordVectors.Open(_shop[name]);
    }

    [Fact]
    public void The_text_of_GloVe_and_that_of_word2vec_give_the_same_vectors()
    {
        var (plain, headed) = (Text(Royal), Text("5 3\n" + Royal.Replace("\n", " \r\n", StringComparison.Ordinal), "words.vec"));
        foreach (var vectors in new[] { plain, headed })
        {
            Assert.Equal((5, 3), (vectors.Count, vectors.Size));
            Assert.Equal([1, 0, 1], vectors.Vector("king")!);
            Assert.Equal([1, 0, 1], vectors.Vector("King")!);
            Assert.Null(vectors.Vector("pear"));
        }
    }

    [Fact]
    public void A_word_of_GloVe_may_have_spaces_and_a_word_may_stand_there_twice()
    {
        var vectors = Text("a 1 2\n. . 3 4\na 5 6\n3 7 8\n");
        Assert.Equal((IEnumerable<string>)["a", ". .", "3"], Enumerable.Range(0, 3).Select(k => vectors[k]));
        Assert.Equal([3, 4], vectors.Vector(". .")!);
        Assert.Equal([1, 2], vectors.Vector("a")!);
        Assert.Equal([7, 8], vectors.Vector("3")!);
        Assert.Contains("1 words stand in words.txt a second time", vectors.Notes[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_binary_file_of_word2vec_is_read_with_and_without_line_ends(bool ends)
    {
        using (var file = File.Create(_shop["words.bin"]))
        {
            file.Write("2 3\n"u8);
            foreach (var (word, row) in new[] { ("영화", new[] { 1f, 2, 3 }), ("film", [4f, 5, 6]) })
            {
                file.Write(Encoding.UTF8.GetBytes(word + " "));
                file.Write(MemoryMarshal.AsBytes<float>(row));
                if (ends) file.WriteByte((byte)'\n');
            }
        }
        var vectors = WordVectors.Open(_shop["words.bin"]);
        Assert.Equal([1, 2, 3], vectors.Vector("영화")!);
        Assert.Equal([4, 5, 6], vectors.Vector("film")!);
        vectors.Save(_shop["again.bin"]);
        Assert.Equal([1, 2, 3], WordVectors.Open(_shop["again.bin"]).Vector("영화")!);
        vectors.Save(_shop["again.vec"]);
        Assert.Equal("2 3\n영화 1 2 3\nfilm 4 5 6\n", File.ReadAllText(_shop["again.vec"]));
    }

    // fastText's own code in a few lines of Python: Dictionary::computeSubwords and hash, FastText::getWordVector, FastText::saveModel.
    private const string FastText = """
        import struct, sys
        path, words = sys.argv[1], sys.argv[2].split()
        size, buckets, least, most = 4, 50, 2, 4
        def hashed(piece):
            h = 2166136261
            for b in piece.encode():
                h = ((h ^ (b if b < 128 else b - 256) & 0xffffffff) * 16777619) & 0xffffffff
            return h % buckets
        def pieces(word):
            w = '<' + word + '>'
            return [w[i:j] for i in range(len(w)) for j in range(i + 1, len(w) + 1) if least <= j - i <= most and not (j - i == 1 and (i == 0 or j == len(w)))]
        rows = [[((7 * r + 3 * c) % 11 - 5) / 4 for c in range(size)] for r in range(len(words) + buckets)]
        with open(path, 'wb') as f:
            f.write(struct.pack('<ii', 793712314, 12))
            f.write(struct.pack('<12id', size, 5, 5, 1, 5, 1, 2, 2, buckets, least, most, 100, 1e-4))
            f.write(struct.pack('<iiiqq', len(words), len(words), 0, 9, -1))
            for w in words: f.write(w.encode() + b'\0' + struct.pack('<qb', 3, 0))
            f.write(struct.pack('<?qq', False, len(rows), size))
            for r in rows: f.write(struct.pack('<4f', *r))
            f.write(struct.pack('<?qq', False, len(words), size) + bytes(4 * size * len(words)))
        for w in words + ['재미있어요', 'filmen', 'ß']:
            ids = ([words.index(w)] if w in words else []) + [len(words) + hashed(p) for p in pieces(w)]
            print(' '.join(repr(sum(rows[i][c] for i in ids) / len(ids)) for c in range(size)))
        """;

    [SkippableFact]
    public void A_model_of_fastText_gives_vectors_to_words_that_it_never_saw()
    {
        Skip.IfNot(File.Exists("/usr/bin/python3"), "python3 is not here");
        var (status, output, errors) = Workshop.Run("/usr/bin/python3", ["-c", FastText, _shop["model.bin"], "film 재미 movie"],
            environment: new Dictionary<string, string> { ["PYTHONIOENCODING"] = "utf-8", ["PYTHONUTF8"] = "1" });
        Assert.True(status == 0, errors);
        var expected = output.Trim().Split('\n').Select(line => line.Split(' ').Select(value => float.Parse(value,
            CultureInfo.InvariantCulture)).ToArray()).ToArray();
        var vectors = WordVectors.Open(_shop["model.bin"]);
        Assert.True(vectors.HasPieces);
        void Same(WordVectors found)
        {
            foreach (var (word, row) in new[] { "film", "재미", "movie", "재미있어요", "filmen", "ß" }.Zip(expected))
                Assert.All(row.Zip(found.Vector(word)!), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
        }
        Same(vectors);
        vectors.Save(_shop["again.bin"]);
        Same(WordVectors.Open(_shop["again.bin"]));
        Assert.Equal(File.ReadAllBytes(_shop["model.bin"]).Length, File.ReadAllBytes(_shop["again.bin"]).Length);
    }

    [Theory]
    [InlineData("words.txt", "a 1 2\nb 1 x\n", "line 2 is no word with 2 numbers: b 1 x")]
    [InlineData("words.txt", "a 1 2\nb 1\n", "line 2 is no word with 2 numbers: b 1")]
    [InlineData("words.txt", "a 1 2\nb nan 2\n", "line 2 is no word with 2 numbers")]
    [InlineData("words.vec", "3 2\na 1 2\nb 1 2\n", "its first line speaks of 3 words, and 2 lines follow: it is cut off")]
    [InlineData("words.vec", "2 3\na 1 2\nb 1 2\n", "line 2 is no word with 3 numbers: a 1 2")]
    [InlineData("words.vec", "hello\n", "its first line is no word with its numbers: hello")]
    [InlineData("words.vec", "", "it is empty")]
    [InlineData("words.bin", "9999999 300\nabc", "more than its 15 bytes hold: it is cut off")]
    public void A_damaged_file_is_told_of_with_its_place(string name, string content, string expected)
    {
        File.WriteAllText(_shop[name], content);
        Assert.Contains(expected, Assert.Throws<GraftException>(() => WordVectors.Open(_shop[name])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_binary_file_that_is_cut_anywhere_is_refused_in_a_sentence()
    {
        var grams = new CharacterGrams(2, 3, 7);
        var words = new WordList();
        foreach (var word in new[] { "ab", "cd" }) words.Add(Encoding.UTF8.GetBytes(word));
        var rows = Enumerable.Range(0, 9 * 2).Select(k => k / 8f).ToArray();
        new WordVectors(words, rows, 2, grams).Save(_shop["fast.bin"]);
        new WordVectors(words, rows[..4], 2, null).Save(_shop["plain.bin"]);
        foreach (var file in new[] { "fast.bin", "plain.bin" })
        {
            var bytes = File.ReadAllBytes(_shop[file]);
            // What lies behind the vectors is not looked at: fastText's outputs, the last line's end.
            var needed = file == "fast.bin" ? bytes.Length - (1 + 16 + 2 * 2 * 4) : bytes.Length - 1;
            for (var length = 0; length < needed; length++)
            {
                File.WriteAllBytes(_shop["cut.bin"], bytes[..length]);
                Assert.Throws<GraftException>(() => WordVectors.Open(_shop["cut.bin"]));
            }
            Assert.Equal(2, WordVectors.Open(_shop[file]).Count);
        }
    }

    [Fact]
    public void The_nearest_words_and_analogies_are_those_of_the_angles()
    {
        var vectors = Text(Royal);
        var nearest = vectors.Nearest("king");
        Assert.Equal(4, nearest.Count);
        Assert.Equal("man", nearest[0].Word);
        Assert.Equal(Math.Sqrt(0.5), nearest[0].Similarity, 1e-6);
        Assert.Equal("apple", nearest[^1].Word);
        Assert.Equal("queen", vectors.Analogy("man", "king", "woman")[0].Word);
        Assert.DoesNotContain(vectors.Analogy("man", "king", "woman"), found => found.Word is "man" or "king" or "woman");
        Assert.Equal("'pear' is none of the 5 words", Assert.Throws<GraftException>(() => vectors.Nearest("pear")).Message);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_step_of_skip_gram_is_down_the_gradient_of_its_loss(bool there)
    {
        float[] v = [0.3f, -0.7f, 0.2f], u = [0.5f, 0.4f, -0.9f];
        double Loss(float[] v, float[] u) => -Math.Log(1 / (1 + Math.Exp((there ? -1 : 1) * v.Zip(u, (a, b) => (double)a * b).Sum())));
        float[] Moved(float[] x, int k, float by) => [.. x.Select((value, j) => j == k ? value + by : value)];
        var (step, other) = (new float[3], (float[])u.Clone());
        Assert.Equal(Loss(v, u), SkipGram.Against(v, other, there, 1, step), 1e-6);
        for (var k = 0; k < 3; k++)
        {
            Assert.Equal(-(Loss(Moved(v, k, 1e-3f), u) - Loss(Moved(v, k, -1e-3f), u)) / 2e-3, step[k], 1e-4);
            Assert.Equal(-(Loss(v, Moved(u, k, 1e-3f)) - Loss(v, Moved(u, k, -1e-3f))) / 2e-3, other[k] - u[k], 1e-4);
        }
    }

    [Fact]
    public void Words_are_drawn_as_often_as_their_weights_say()
    {
        var (table, rng, counts) = (new SkipGram.AliasTable([1, 2, 5]), new Rng(3), new int[3]);
        for (var k = 0; k < 80_000; k++) counts[table.Next(ref rng)]++;
        Assert.All(new[] { 10_000, 20_000, 50_000 }.Zip(counts), pair => Assert.InRange(pair.Second, pair.First - 500, pair.First + 500));
    }

    // Two subjects whose words never stand together.
    private static string[] Subjects()
    {
        string[][] subjects = [["king", "queen", "crown", "throne"], ["apple", "pear", "plum", "cherry"]];
        var rng = new Rng(5);
        return [.. Enumerable.Range(0, 600).Select(k => string.Join(' ', Enumerable.Range(0, 8).Select(_ => subjects[k % 2][rng.Below(4)])))];
    }

    private static readonly SkipGramOptions s_small = new() { Size = 16, Epochs = 10, Sample = 1 };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Words_that_stand_together_end_nearer_than_those_that_do_not(bool subwords)
    {
        var losses = new List<double>();
        var vectors = SkipGram.Train(Subjects(), s_small with { Subwords = subwords, Buckets = 500 }, progress => losses.Add(progress.Loss));
        Assert.Equal(8, vectors.Count);
        foreach (var (word, own) in new[] { ("king", new[] { "queen", "crown", "throne" }), ("plum", ["apple", "pear", "cherry"]) })
            Assert.Equal(own.Order(), vectors.Nearest(word, 3).Select(found => found.Word).Order());
        Assert.Equal(subwords, vectors.Vector("kings") is not null);
    }

    [Fact]
    public void The_same_text_and_seed_give_the_same_vectors()
    {
        float[] Learned(long seed) => SkipGram.Train(Subjects(), s_small with { Seed = seed, Epochs = 2 }).Table;
        Assert.Equal(Learned(1), Learned(1));
        Assert.NotEqual(Learned(1), Learned(2));
        Assert.Contains("none stands there 5 times", Assert.Throws<GraftException>(() => SkipGram.Train(["too few words"],
            new SkipGramOptions())).Message, StringComparison.Ordinal);
        Assert.Contains("--max-piece 2", Assert.Throws<GraftException>(() => SkipGram.Train(Subjects(), s_small with { MaxPiece = 2 })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_is_cut_into_words_and_signs_and_small_letters_serve_where_great_ones_are_unknown()
    {
        var tokenizer = new WordTokenizer(Text("n't 1\nGood 2\ngood 3\nfilm 4\n. 5\n", "signs.vec").List, null);
        string[] Pieces(string text) => [.. tokenizer.Encode(new TextItem(text), 100, spans: true).Ids.Select(tokenizer.Piece)];
        Assert.Equal(["Good", "film", "."], Pieces("Good FILM."));
        Assert.Equal(["n't", "good"], Pieces("does n't  GOOD zzz"));
        Assert.Equal([1], tokenizer.Encode(new TextItem("nothing known"), 100).Ids);
        var cut = tokenizer.Encode(new TextItem("film film film"), 2, spans: true);
        Assert.True(cut.IsCut);
        Assert.Equal([new TokenSpan(0, 0, 4), new TokenSpan(0, 5, 4)], cut.Spans!);
        Assert.Equal(["does", "n", "'", "t", "영화", "!"], WordTokenizer.Cut("Does n't 영화!"));
        var again = Tokenizers.FromCard(tokenizer.ToCard());
        Assert.Equal(tokenizer.Encode(new TextItem("Good film."), 9).Ids, again.Encode(new TextItem("Good film."), 9).Ids);
    }

    [Fact]
    public void An_encoder_of_words_gives_the_mean_of_their_vectors()
    {
        Text(Royal, "words.vec");
        var (backbone, _) = ModelOpener.Load(_shop["words.vec"]);
        using var encoder = Assert.IsType<TextEncoder>(backbone);
        Assert.Equal(("words", 3, "embeddings"), (encoder.Architecture, encoder.FeatureSize, Assert.Single(encoder.Stages).Name));
        var data = new Dataset(new TextSource([new("King, queen zzz"), new("apple"), new("zzz")], ["a", "b", "c"]), new LabelTargets([[], [], []], []));
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        float[] expected = [0.5f, 0.5f, 1, -1, -1, -1, 0, 0, 0];
        Assert.Equal(expected, new FeatureExtractor(encoder, null).Pooled(data, encoder.Preprocessing).Rows.ToArray<float>());
        var ids = encoder.Batch([.. Enumerable.Range(0, 3).Select(k => encoder.Encode(data.Text(k)).Ids)]);
        Assert.Equal(expected, encoder.Forward(ids).ToArray<float>());
        using var copy = (TextEncoder)encoder.Clone();
        Assert.Equal(encoder.Fingerprint(), copy.Fingerprint());
    }

    [Fact]
    public void An_encoder_of_words_and_pieces_knows_words_that_it_never_saw()
    {
        SkipGram.Train(Subjects(), s_small with { Subwords = true, Buckets = 300 }).Save(_shop["words.bin"]);
        var (backbone, _) = ModelOpener.Load(_shop["words.bin"]);
        using var encoder = (TextEncoder)backbone;
        var data = new Dataset(new TextSource([new("kings"), new("king queen")], ["a", "b"]), new LabelTargets([[], []], []));
        using var scope = new TensorScope();
        var rows = new FeatureExtractor(encoder, null).Pooled(data, encoder.Preprocessing).Rows.ToArray<float>();
        Assert.All(WordVectors.Open(_shop["words.bin"]).Vector("kings")!.Zip(rows), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
        Assert.True(TensorPrimitives.CosineSimilarity<float>(rows.AsSpan(0, 16), rows.AsSpan(16)) > 0.5);
    }
}
