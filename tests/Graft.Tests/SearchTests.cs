using System.Runtime.InteropServices;
using System.Text.Json;
using Graft.Data;
using Graft.Features;
using Graft.Inference;
using Graft.Inference.Search;
using Graft.Models.Hub;
using Graft.Quickstart;
using Graft.Search;
using Graft.Testing;

namespace Graft.Tests;

/// <summary>The nearest of many vectors against a plain loop; indexes of sentences and of pictures from their making to an answer; damage.</summary>
public sealed class SearchTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static float[] Rows(int count, int size, long seed)
    {
        var rng = new Rng(seed);
        var rows = GC.AllocateArray<float>(count * size, pinned: true);
        for (var k = 0; k < rows.Length; k++) rows[k] = (float)rng.Next(-1, 1);
        return rows;
    }

    private static NearestRows Table(float[] rows, int size) => new(Marshal.UnsafeAddrOfPinnedArrayElement(rows, 0), rows.Length / size, size,
        half: false);

    private static float Product(float[] a, int row, float[] b, int other, int size)
    {
        var sum = 0.0;
        for (var k = 0; k < size; k++) sum += (double)a[row * size + k] * b[other * size + k];
        return (float)sum;
    }

    [Theory]
    [InlineData(1, 1, 8)]
    [InlineData(9001, 1, 37)]
    [InlineData(9001, 3, 384)]
    [InlineData(4097, 41, 5)]
    public void Exact_search_finds_what_a_plain_loop_finds(int count, int asked, int size)
    {
        var (rows, questions) = (Rows(count, size, 1), Rows(asked, size, 2));
        var found = Table(rows, size).Find(questions, 10);
        Assert.Equal(asked, found.Length);
        for (var q = 0; q < asked; q++)
        {
            var expected = Enumerable.Range(0, count).Select(row => (Row: row, Product: Product(rows, row, questions, q, size)))
                .OrderByDescending(one => one.Product).Take(10).ToArray();
            Assert.Equal(expected.Length, found[q].Length);
            for (var k = 0; k < expected.Length; k++) Assert.Equal(expected[k].Product, found[q][k].Product, 2e-5f);
            // Rows whose products differ by less than a rounding may change places.
            Assert.True(expected.Count(one => found[q].Any(other => other.Row == one.Row)) >= expected.Length - 1);
        }
    }

    [Fact]
    public void Half_numbers_find_nearly_what_single_ones_find()
    {
        const int Size = 64;
        var rows = Rows(5000, Size, 3);
        var halves = GC.AllocateArray<Half>(rows.Length, pinned: true);
        for (var k = 0; k < rows.Length; k++) halves[k] = (Half)rows[k];
        var table = new NearestRows(Marshal.UnsafeAddrOfPinnedArrayElement(halves, 0), 5000, Size, half: true);
        var (questions, shared) = (Rows(20, Size, 4), 0);
        var (found, exact) = (table.Find(questions, 10), Table(rows, Size).Find(questions, 10));
        for (var q = 0; q < 20; q++) shared += found[q].Count(one => exact[q].Any(other => other.Row == one.Row));
        Assert.True(shared >= 195, $"{shared} of 200 are the same");
        var row = new float[Size];
        table.Read(7, row);
        Assert.All(row.Zip(rows[(7 * Size)..]), pair => Assert.Equal(pair.Second, pair.First, 1e-3f));
    }

    [Fact]
    public void An_answer_depends_neither_on_the_threads_nor_on_what_else_is_asked_and_of_equal_rows_the_first_comes_first()
    {
        var rows = Rows(20_000, 24, 5);
        for (var k = 1; k < 10; k++) rows.AsSpan(0, 24).CopyTo(rows.AsSpan(k * 2001 * 24));
        var (table, questions, before) = (Table(rows, 24), Rows(7, 24, 6), Cores.Count);
        rows.AsSpan(0, 24).CopyTo(questions);
        try
        {
            Cores.Use(1);
            var one = table.Find(questions, 12);
            Cores.Use(3);
            var three = table.Find(questions, 12);
            for (var q = 0; q < 7; q++)
            {
                Assert.Equal(one[q], three[q]);
                Assert.Equal(one[q], table.Find(questions.AsSpan(q * 24, 24), 12)[0]);
            }
            Assert.Equal([.. Enumerable.Range(0, 10).Select(k => k * 2001)], one[0].Take(10).Select(found => found.Row));
        }
        finally
        {
            Cores.Use(before);
        }
    }

    [Fact]
    public void All_pairs_above_a_likeness_are_those_of_a_plain_loop()
    {
        const int Size = 6, Count = 700;
        var rows = Rows(Count, Size, 7);
        var expected = from a in Enumerable.Range(0, Count) from b in Enumerable.Range(a + 1, Count - a - 1) where Product(rows, a, rows, b,
            Size) >= 2.5 select (a, b);
        Assert.Equal(expected, Table(rows, Size).Pairs(2.5f, 1_000_000).Select(pair => (pair.First, pair.Second)));
        Assert.Equal((IEnumerable<int[]>)[[0, 4, 9, 12], [1, 2]],
            SearchIndex.Groups([new(0, 9, 1), new(1, 2, 1), new(4, 12, 1), new(9, 12, 1)]));
    }

    // Words about films and about fruit, each near its kind.
    private SearchOptions Sentences(string data = "reviews.tsv")
    {
        File.WriteAllText(_shop["words.vec"], "6 3\nfilm 1 0 0\nmovie 0.9 0.1 0\nfruit 0 1 0\napple 0 0.9 0.1\ngood 0 0 1\nbad 0 0 -1\n");
        File.WriteAllText(_shop["reviews.tsv"], "text\tlabel\na good film\tpos\na bad movie\tneg\nbad fruit\tneg\ngood apple\tpos\ngood apple!\tpos\n");
        return new SearchOptions { Data = _shop[data], Weights = _shop["words.vec"], Out = _shop["index"] };
    }

    private SearchIndex Made(SearchOptions options)
    {
        new IndexBuilder(options) { Overwrite = true }.Build();
        return SearchIndex.Open(options.Out!);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_index_of_sentences_answers_sentences_and_items(bool half)
    {
        using var index = Made(Sentences() with { Half = half });
        Assert.Equal((5, 3, true), (index.Count, index.Size, index.IsText));
        Assert.Equal("a bad movie", index.Find([new TextItem("Bad film")], 2)[0][0].Item.Text);
        Assert.Equal(new IndexItem("reviews.tsv:2", "a good film", "pos"), index[0]);
        var near = index.Find(3, 2);
        Assert.Equal((4, 2), (near[0].Index, near.Length));
        Assert.Equal(1, near[0].Similarity, half ? 1e-3 : 1e-6);
        Assert.Equal((3, 4), Assert.Single(index.Alike(1).Select(pair => (pair.First, pair.Second))));
        Assert.Contains("holds sentences", Assert.Throws<GraftException>(() => index.FindPictures(["x.jpg"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Lines_without_labels_make_an_index_too()
    {
        var options = Sentences() with { Data = _shop["lines.txt"] };
        File.WriteAllText(_shop["lines.txt"], "good film\n\nbad apple\n");
        using var index = Made(options);
        Assert.Equal([new IndexItem("lines.txt:1", "good film", null), new IndexItem("lines.txt:3", "bad apple", null)], [index[0], index[1]]);
    }

    [Fact]
    public void An_index_of_pictures_finds_the_same_picture_first()
    {
        ShapeWorld.Write(_shop["shapes"], ["star4", "gear"], 4, 1);
        var files = Directory.EnumerateFiles(_shop["shapes"], "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ToArray();
        File.WriteAllText(_shop["shapes", "gear", "broken.png"], "no picture");
        var options = new SearchOptions { Data = _shop["shapes"], Weights = EmbeddedWeights.Name, Out = _shop["index"] };
        var made = new IndexBuilder(options, new FeatureCache(_shop["cache"])).Build();
        Assert.Equal((8, false, 1), (made.Count, made.IsText, made.Broken.Count));
        using var index = SearchIndex.Open(_shop["index"]);
        foreach (var ((found, error), file) in index.FindPictures([.. files, _shop["none.png"]], 3).Zip([.. files, ""]))
        {
            if (file.Length == 0)
            {
                Assert.Equal((null, "there is no such file"), (found, error));
                continue;
            }
            Assert.Equal((Path.GetRelativePath(_shop["shapes"], file), Path.GetFileName(Path.GetDirectoryName(file))), (found![0].Item.Name,
                found[0].Item.Class));
            Assert.Equal(1, found[0].Similarity, 1e-5);
        }
        Assert.Contains("holds pictures", Assert.Throws<GraftException>(() => index.Find([new TextItem("a star")])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_does_not_go_together_is_refused()
    {
        ShapeWorld.Write(_shop["shapes"], ["star4", "gear"], 2, 1);
        string Refused(SearchOptions options, bool usage = false)
        {
            var reason = Assert.Throws<GraftException>(() => new IndexBuilder(options).Build());
            Assert.Equal(usage, reason.IsUsage);
            return reason.Message;
        }
        Assert.Contains("sees pictures", Refused(Sentences() with { Weights = EmbeddedWeights.Name }), StringComparison.Ordinal);
        Assert.Contains("holds pictures, and words.vec reads text", Refused(Sentences() with { Data = _shop["shapes"] }), StringComparison.Ordinal);
        Assert.Contains("--weights", Refused(Sentences() with { Weights = null }, usage: true), StringComparison.Ordinal);
        Assert.Contains("is no index", Refused(Sentences() with { Out = _shop["shapes"] }, usage: true), StringComparison.Ordinal);
        Made(Sentences()).Dispose();
        Assert.Contains("--overwrite", Refused(Sentences(), usage: true), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateDirectories(_shop.Root, "*.partial"));
    }

    [Fact]
    public void An_empty_index_has_nothing_to_find()
    {
        Made(Sentences()).Dispose();
        using (var writer = new IndexWriter(_shop["empty"], 3, half: false, overwrite: false))
            writer.Finish(File.ReadAllBytes(_shop["index", IndexFiles.Encoder]), text: true, "words.vec", "words", null, "nothing");
        using var index = SearchIndex.Open(_shop["empty"]);
        Assert.Contains("is empty", Assert.Throws<GraftException>(() => index.Find([new TextItem("film")])).Message, StringComparison.Ordinal);
        Assert.Empty(index.Alike(0.5));
    }

    [Theory]
    [InlineData(IndexFiles.Vectors)]
    [InlineData(IndexFiles.Items)]
    [InlineData(IndexFiles.Encoder)]
    [InlineData(IndexFiles.Card)]
    public void A_file_of_an_index_that_is_cut_or_gone_is_named(string name)
    {
        Made(Sentences()).Dispose();
        var bytes = File.ReadAllBytes(_shop["index", name]);
        File.WriteAllBytes(_shop["index", name], bytes[..^1]);
        Assert.Contains(name, Assert.Throws<GraftException>(() => SearchIndex.Open(_shop["index"])).Message, StringComparison.Ordinal);
        File.Delete(_shop["index", name]);
        Assert.Contains(name, Assert.Throws<GraftException>(() => SearchIndex.Open(_shop["index"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damage_that_keeps_the_length_is_told_when_it_is_met()
    {
        Made(Sentences()).Dispose();
        var items = File.ReadAllBytes(_shop["index", IndexFiles.Items]);
        items[6] = 0x7f;
        File.WriteAllBytes(_shop["index", IndexFiles.Items], items);
        using (var index = SearchIndex.Open(_shop["index"]))
            Assert.Contains("is damaged", Assert.Throws<GraftException>(() => index[0]).Message, StringComparison.Ordinal);
        var encoder = new byte[new FileInfo(_shop["index", IndexFiles.Encoder]).Length];
        File.WriteAllBytes(_shop["index", IndexFiles.Encoder], encoder);
        using var damaged = SearchIndex.Open(_shop["index"]);
        Assert.Contains(IndexFiles.Encoder, Assert.Throws<GraftException>(() => damaged.Find([new TextItem("film")])).Message,
            StringComparison.Ordinal);
        var card = File.ReadAllText(_shop["index", IndexFiles.Card]).Replace("\"size\": 3", "\"size\": 0", StringComparison.Ordinal);
        File.WriteAllText(_shop["index", IndexFiles.Card], card);
        Assert.Contains("is damaged", Assert.Throws<GraftException>(() => SearchIndex.Open(_shop["index"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_index_of_another_network_gives_no_reasons()
    {
        using var index = Made(Sentences());
        Assert.Contains("has no model.onnx", Assert.Throws<GraftException>(() => index.RequireRun(_shop["none"])).Message, StringComparison.Ordinal);
        Directory.CreateDirectory(_shop["run"]);
        File.WriteAllText(_shop["run", "model.onnx"], "another");
        Assert.Contains("holds vectors of words.vec, and not of the network of", Assert.Throws<GraftException>(() => index.RequireRun(_shop["run"])).Message, StringComparison.Ordinal);
        var card = IndexFiles.Read(_shop["index"]);
        File.WriteAllBytes(_shop["index", IndexFiles.Card], JsonSerializer.SerializeToUtf8Bytes(card with { Encoder = card.Encoder with { Run = "00" } }, IndexFiles.Json));
        using var other = SearchIndex.Open(_shop["index"]);
        Assert.Contains("of another network", Assert.Throws<GraftException>(() => other.RequireRun(_shop["run"])).Message, StringComparison.Ordinal);
    }
}
