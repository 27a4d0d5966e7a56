using System.IO.Compression;
using System.Text;
using Graft.Data;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Tests;

/// <summary>Sentences come by the same door as pictures, from what people have, and what is wrong with a file is told by its line.</summary>
public sealed class TextDataTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static string Refused(Action action) => Assert.Throws<GraftException>(action).Message;

    private string Write(string name, string text, Encoding? encoding = null)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_shop[name])!);
        File.WriteAllText(_shop[name], text, encoding ?? new UTF8Encoding(false));
        return _shop[name];
    }

    private string WriteBytes(string name, byte[] bytes)
    {
        File.WriteAllBytes(_shop[name], bytes);
        return _shop[name];
    }

    private static string Names(Dataset data) => string.Join(' ', Enumerable.Range(0, data.Count).Select(data.Name));

    private static string[] Texts(Dataset data) => [.. Enumerable.Range(0, data.Count).Select(k => data.Text(k).ToString())];

    // Enough rows for columns to be told by what stands in them.
    private static string Rows(Func<int, string> row, int count = 12) => string.Join('\n', Enumerable.Range(0, count).Select(row)) + "\n";

    // Counts are those that the sets' own papers and pages give, or lines of the files.
    [SkippableTheory]
    [InlineData("sst2", null, 6920, 872, 1821, TargetKind.Classes, false)]
    [InlineData("nsmc", null, 40000, 0, 10000, TargetKind.Classes, false)]
    [InlineData("text/stsb", null, 5749, 1500, 1379, TargetKind.Similarity, true)]
    [InlineData("text/glue/CoLA", null, 8551, 1043, 0, TargetKind.Classes, false)]
    [InlineData("text/glue/MRPC", null, 3667, 408, 0, TargetKind.Classes, true)]
    [InlineData("text/glue/RTE", null, 2490, 277, 0, TargetKind.Classes, true)]
    [InlineData("text/korean/hate-speech", "hate", 7896, 471, 0, TargetKind.Classes, false)]
    [InlineData("text/korean/kornli", null, 0, 2490, 5010, TargetKind.Classes, true)]
    [InlineData("text/korean/korsts", null, 5749, 1500, 1379, TargetKind.Similarity, true)]
    [InlineData("text/korean/paws", null, 0, 2000, 2000, TargetKind.Classes, true)]
    [InlineData("text/korean/question-pair", null, 6136, 682, 758, TargetKind.Classes, true)]
    [InlineData("text/ag_news", null, 0, 0, 7600, TargetKind.Classes, false)]
    [InlineData("text/amazon/books.tsv", null, 2000, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/amazon/dvd.tsv", null, 2000, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/amazon/electronics.tsv", null, 2000, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/amazon/kitchen.tsv", null, 2000, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/senteval/TREC.train.tsv", null, 5452, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/senteval/TREC.test.tsv", null, 500, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/senteval/custrev.tsv", null, 3771, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/senteval/mpqa.tsv", null, 10603, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/senteval/rt-polarity.tsv", null, 10662, 0, 0, TargetKind.Classes, false)]
    [InlineData("text/senteval/subj.tsv", null, 10000, 0, 0, TargetKind.Classes, false)]
    public void Real_sets_open_with_every_sentence_that_they_have(string path, string? label, int train, int validation, int test, TargetKind kind, bool pairs)
    {
        var parts = DatasetReader.OpenParts(Workshop.Need(path.Split('/')), columns: new TextColumns { Label = label });
        Assert.Equal((train, validation, test), (Count(Parts.Train), Count(Parts.Validation), Count(Parts.Test)));
        Assert.All(parts.All.Values, part => Assert.Equal((kind, true, pairs), (part.Targets.Kind, part.IsText, part.Text(0).Second is not null)));
        int Count(string name) => parts.Part(name)?.Count ?? 0;
    }

    [SkippableFact]
    public void Unlabelled_lines_open_without_labels()
    {
        var data = DatasetReader.OpenUnlabelledText(Workshop.Need("nsmc", "unlabelled.txt"));
        Assert.Equal((60000, TargetKind.Labels, 0), (data.Count, data.Targets.Kind, data.Targets.Names.Count));
        var path = Write("lines.txt", "one thing\n\n  \nanother\n\n");
        data = DatasetReader.OpenUnlabelledText(path);
        Assert.Equal(["one thing", "another"], Texts(data));
        Assert.Equal("lines.txt:1 lines.txt:4", Names(data));
        Assert.Equal(["lines.txt:2 has no text", "lines.txt:3 has no text"], data.Notes.Lines);
        Assert.Contains("is text without labels", Refused(() => DatasetReader.Open(path)), StringComparison.Ordinal);
        Assert.Equal(2, DatasetReader.OpenUnlabelledText(Write("t.csv", "text,other\nfine words,1\nmore of them,7\n")).Count);
    }

    [Theory]
    [InlineData("text,label", "fine words,good", null)]
    [InlineData("Label;Sentence", "good;fine words", null)]
    [InlineData("id,review,sentiment", "7,fine words,good", null)]
    [InlineData("sentiment,document,id", "good,fine words,7", null)]
    [InlineData("category,content", "good,fine words", null)]
    [InlineData("title,comment,class", "a,fine words,good", null)]
    [InlineData("tweet,target", "fine words,good", null)]
    [InlineData("sentence1,sentence2,gold_label", "fine words,other,good", "other")]
    [InlineData("question1,question2,is_duplicate", "fine words,other,good", "other")]
    [InlineData("premise,hypothesis,label", "fine words,other,good", "other")]
    [InlineData("label,text_a,text_b", "good,fine words,other", "other")]
    public void Columns_are_found_by_the_names_that_people_give_them(string header, string row, string? second)
    {
        var data = DatasetReader.OpenParts(Write("t.csv", $"{header}\n{row}\n")).All[Parts.Train];
        Assert.Equal((new TextItem("fine words", second), "good", "t.csv:2"), (data.Text(0), data.Targets.Describe(0), data.Name(0)));
    }

    [Fact]
    public void Columns_are_named_where_nobody_can_tell()
    {
        var path = Write("t.csv", "who,said,mood,place\n" + Rows(k => $"u{k},these are words {k},{(k % 2 == 0 ? "sad" : "glad")},{(k % 3 == 0 ? "home" : "away")}"));
        Assert.Contains("mood, place may each be it. Say which: --label mood", Refused(() => DatasetReader.Open(path)), StringComparison.Ordinal);
        var splits = DatasetReader.Open(path, columns: new TextColumns(Label: "place"));
        Assert.Equal(["away", "home"], splits.Train.Classes);
        Assert.Equal("these are words 0", splits.Train.Text(0).First);
        Assert.Contains("of t.csv, column said is taken for the text (--text and --label say otherwise)", splits.Notes.Remarks);
        splits = DatasetReader.Open(path, columns: new TextColumns("who", "said", "3"));
        Assert.Equal(["glad", "sad"], splits.Train.Classes);
        Assert.Equal(new TextItem("u0", "these are words 0"), splits.Train.Text(0));
        Assert.Empty(splits.Notes.Lines);
        var wrong = Assert.Throws<GraftException>(() => DatasetReader.Open(path, columns: new TextColumns(Text: "words")));
        Assert.Equal(("--text words: t.csv has no such column, only who, said, mood, place", true), (wrong.Message, wrong.IsUsage));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_table_whose_first_line_names_nothing_is_told_by_what_stands_in_it(bool labelFirst)
    {
        string Line(int k) => labelFirst ? $"{k % 2}\tsome words number {k}" : $"some words number {k}\t{k % 2}";
        var data = DatasetReader.Open(Write("t.tsv", Rows(Line))).Train;
        Assert.Equal((12, "some words number 0", "0", "t.tsv:1"), (data.Count, data.Text(0).First, data.Targets.Describe(0), data.Name(0)));
        Assert.Contains($"line 1 of t.tsv names no columns: column {(labelFirst ? 2 : 1)} is taken for the text, column {(labelFirst ? 1 : 2)} for the label "
            + "(--text and --label say otherwise)", data.Notes.Remarks);
        // A first line of names that nobody knows is none of the rows.
        data = DatasetReader.Open(Write("u.tsv", (labelFirst ? "gut\tbericht\n" : "bericht\tgut\n") + Rows(Line))).Train;
        Assert.Equal((12, "some words number 0"), (data.Count, data.Text(0).First));
        Assert.Contains("of u.tsv, column bericht is taken for the text, column gut for the label (--text and --label say otherwise)", data.Notes.Remarks);
    }

    [Fact]
    public void Quotes_of_a_tsv_that_are_not_balanced_are_letters_and_balanced_ones_are_quotes()
    {
        var data = DatasetReader.Open(Write("raw.tsv", "text\tlabel\n\" The company said\tyes\nhe called it \"fine\" twice\tno\n\"all of it\"\tno\n")).Train;
        Assert.Equal(["\" The company said", "he called it \"fine\" twice", "\"all of it\""], Texts(data));
        Assert.Contains("the quotes in raw.tsv are read as letters: they are not balanced (line 2)", data.Notes.Remarks);
        data = DatasetReader.Open(Write("quoted.tsv", "text\tlabel\n\"two\nlines, a \"\"quote\"\" and a\ttab\"\tyes\nplain\tno\n")).Train;
        Assert.Equal(["two\nlines, a \"quote\" and a\ttab", "plain"], Texts(data));
        Assert.Equal("quoted.tsv:2 quoted.tsv:4", Names(data));
        Assert.Empty(data.Notes.Lines);
    }

    [Fact]
    public void A_cell_of_a_csv_may_hold_line_breaks_and_names_are_of_the_line_where_it_begins()
    {
        var data = DatasetReader.Open(Write("t.csv", "text,label\r\n\"one\r\n\r\ntwo, three\",a\r\nfour,b\r\n")).Train;
        Assert.Equal(["one\r\n\r\ntwo, three", "four"], Texts(data));
        Assert.Equal("t.csv:2 t.csv:5", Names(data));
    }

    [Theory]
    [InlineData("text,label\nfine,a\nhe said \"no\" to it,b\n", "line 3: a stray quote in 'he said \"no\" to it,b'. Double the quotes")]
    [InlineData("text,label\nfine,a\n\"never closed,b\nmore,c\n", "line 3: a quote that opens here never closes")]
    [InlineData("text,label\nfine,a\none, two, three,b\n", "line 3: it has 4 fields, and line 1 has 2 (text, label): 'one,two,three,b'. A field with ',' in it stands in double quotes")]
    [InlineData("text,label\nfine,a\nonly\n", "line 3: it has 1 field, and line 1 has 2 (text, label): 'only'")]
    [InlineData("text,mark\nfine,4 of 5\nbad,1 of 5 stars\n", "tells nothing of its sentences: the columns are text, mark; one must be called label")]
    [InlineData("label,said\ngood,x\nbad,y\n", "line 1: the columns are label, said; one must be called path")]
    [InlineData("text,label\n,a\n", "has no sentence with text and label. Left out: t.csv:2 has no text")]
    [InlineData("text,label\nwords,\n", "has no sentence with text and label. Left out: t.csv:2 has no text or no label")]
    public void What_is_wrong_with_a_table_is_told_by_its_line(string table, string told)
    {
        var said = Refused(() => DatasetReader.Open(Write("t.csv", table)));
        Assert.Contains(told, said, StringComparison.Ordinal);
        Assert.Contains(_shop["t.csv"], said, StringComparison.Ordinal);
    }

    [Fact]
    public void Json_lines_are_a_table_whose_columns_are_their_keys()
    {
        var path = Write("t.jsonl", "{\"text\": \"fine \\u00e9\", \"label\": \"a\", \"extra\": {\"x\": 1}}\n\n{\"label\": \"b\", \"text\": \"two\\nlines\"}\n{\"text\": null, \"label\": \"b\"}\n");
        var data = DatasetReader.Open(path).Train;
        Assert.Equal(["fine é", "two\nlines"], Texts(data));
        Assert.Equal("t.jsonl:1 t.jsonl:3", Names(data));
        Assert.Equal(["t.jsonl:2 has no text", "t.jsonl:4 has no text"], data.Notes.Lines);
        data = DatasetReader.Open(Write("m.jsonl", "{\"text\": \"a\", \"labels\": [\"x\", \"y\"]}\n{\"text\": \"b\", \"labels\": []}\n{\"text\": \"c\", \"labels\": [\"y\"]}\n")).Train;
        Assert.Equal(["x", "y"], data.Targets.Names);
        Assert.Equal(("x; y", ""), (data.Targets.Describe(0), data.Targets.Describe(1)));
    }

    [Theory]
    [InlineData("{\"text\": \"a\", \"label\": \"b\"}\n{\"text\": \"c\", label}\n", "line 2: it is no JSON (")]
    [InlineData("{\"text\": \"a\", \"label\": \"b\"}\nhello\n", "'hello'. Each line is an object")]
    [InlineData("[1, 2]\n", "line 1: it holds a list, and each line is an object")]
    [InlineData("{\"text\": \"half \\ud800\", \"label\": \"b\"}\n", "line 1: a text of it holds half of a letter")]
    [InlineData("\n", "is empty: each line is an object")]
    public void A_line_that_is_no_object_of_json_is_told_by_its_number(string lines, string told) =>
        Assert.Contains(told, Refused(() => DatasetReader.Open(Write("t.jsonl", lines))), StringComparison.Ordinal);

    // Written by Apache's own C++ library (ParquetSharp 25.0.1.2): two row groups, Snappy, a list column, a null, a withheld label, Hugging Face's card.
    private static readonly byte[] s_parquet = Convert.FromBase64String("UEFSMRUEFWgVbEwVBhUAEgAANMwLAAAAYSBmaW5lIGZpbG0QAAAA65Sw65y77ZWcIOyYge2ZlA0AAABkdWxsIGFuZCBsb25nFQAVFBUYLBUGFRAVBhUGAAAKJAIAAAAGAQIDJAAVBBUg"
        + "FSRMFQQVABIAABA8AQAAAAAAAAAAAAAAAAAAABUAFRIVFiwVBhUQFQYVBgAACSACAAAABgEBAwQVBBUQFRRMFQQVABIAAAgcAAAAPwAAgD4VABUSFRYsFQYVEBUGFQYAAAkgAgAAAAMF"
        + "AQMCFQQVHhUiTBUGFQASAAAPOAEAAAB4AQAAAHkBAAAAehUAFSIVJiwVCBUQFQYVBgAAEUACAAAAAwIDAAAAA98AAgMkABUEFSYVKkwVBBUAEgAAE0gAAAAACwAAAG5ldmVyIGFnYWlu"
        + "FQAVEhUWLBUEFRAVBhUGAAAJIAIAAAAEAQEDAhUEFSAVJEwVBBUAEgAAEDwBAAAAAAAAAP//////////FQAVEhUWLBUEFRAVBhUGAAAJIAIAAAAEAQEDAhUEFQgVDEwVAhUAEgAABAwA"
        + "AIA/FQAVEhUWLBUEFRAVBhUGAAAJIAIAAAAEAQEEABUEFRQVGEwVBBUAEgAACiQBAAAAcQEAAAByFQAVHhUiLBUEFRAVBhUGAAAPOAIAAAAEAAIAAAAEAwEDAhkRAhkYC2EgZmluZSBm"
        + "aWxtGRgQ65Sw65y77ZWcIOyYge2ZlBUCGRYAKSYABgAZEQIZGAgAAAAAAAAAABkYCAEAAAAAAAAAFQIZFgApJgAGABkRAhkYBAAAgD4ZGAQAAAA/FQIZFgIpJgIEABkRAhkYAXgZGAF6"
        + "FQIZFgIZJgYCGUYAAgAGABkRAhkYABkYC25ldmVyIGFnYWluFQIZFgApJgAEABkRAhkYCP//////////GRgIAQAAAAAAAAAVAhkWACkmAAQAGRECGRgEAACAPxkYBAAAgD8VAhkWACkm"
        + "AAQAGRECGRgBcRkYAXIVAhkWABkmBAAZRgAAAAQAGRwWkAEVOhYAABkWUAAZHBaKAhU4FgAAABkcFvICFTgWAAAAGRwW6AMVSBYAABkWBgAZHBb2BBU4FgAAGRYWABkcFu4FFTgWAAAA"
        + "GRwWzgYVOBYAAAAZHBa6BxVEFgAAGRYEABUEGXw1ABgGc2NoZW1hFQgAFQwlAhgIc2VudGVuY2UlAEwcAAAAFQQlAhgFbGFiZWwlJEysE0ARAAAAFQglAhgFc2NvcmUANQIYBHRhZ3MV"
        + "AhUGTDwAAAA1BBgEbGlzdBUCABUMJQIYBGl0ZW0lAEwcAAAAFgoZLBlMJgAcFQwZNQAGEBkYCHNlbnRlbmNlFQIWBha6ARbCASaQASYIHDYAKBDrlLDrnLvtlZwg7JiB7ZmUGAthIGZp"
        + "bmUgZmlsbRERABksFQQVABUCABUAFRAVAgA8FlAZBhkmAAYAABb6CxUcFv4HFVwAJgAcFQQZNQAGEBkYBWxhYmVsFQIWBhZwFngmigImygEcGAgBAAAAAAAAABgIAAAAAAAAAAAWACgI"
        + "AQAAAAAAAAAYCAAAAAAAAAAAEREAGSwVBBUAFQIAFQAVEBUCADwpBhkmAAYAABaWDBUWFtoIFUYAJgAcFQgZNQAGEBkYBXNjb3JlFQIWBhZgFmgm8gImwgIcGAQAAAA/GAQAAIA+FgIo"
        + "BAAAAD8YBAAAgD4REQAZLBUEFQAVAgAVABUQFQIAPCkGGSYCBAAAFqwMFRYWoAkVNgAmABwVDBk1AAYQGTgEdGFncwRsaXN0BGl0ZW0VAhYIFn4WhgEm6AMmqgMcNgIoAXoYAXgREQAZ"
        + "LBUEFQAVAgAVABUQFQIAPBYGGSYGAhlGAAIABgAAFsIMFRwW1gkVNgAWiAQWBiYIFqgEABlMJgAcFQwZNQAGEBkYCHNlbnRlbmNlFQIWBBZ2Fn4m9gQmsAQcNgAoC25ldmVyIGFnYWlu"
        + "GAAREQAZLBUEFQAVAgAVABUQFQIAPBYWGQYZJgAEAAAW3gwVHBaMChU8ACYAHBUEGTUABhAZGAVsYWJlbBUCFgQWcBZ4Ju4FJq4FHBgIAQAAAAAAAAAYCP//////////FgAoCAEAAAAA"
        + "AAAAGAj//////////xERABksFQQVABUCABUAFRAVAgA8KQYZJgAEAAAW+gwVFhbIChVGACYAHBUIGTUABhAZGAVzY29yZRUCFgQWWBZgJs4GJqYGHBgEAACAPxgEAACAPxYAKAQAAIA/"
        + "GAQAAIA/EREAGSwVBBUAFQIAFQAVEBUCADwpBhkmAAQAABaQDRUWFo4LFTYAJgAcFQwZNQAGEBk4BHRhZ3MEbGlzdARpdGVtFQIWBBZwFngmugcmhgccNgAoAXIYAXEREQAZLBUEFQAV"
        + "AgAVABUQFQIAPBYEGSYEABlGAAAABAAAFqYNFRwWxAsVNgAWrgMWBCawBBbOAwAZHBgLaHVnZ2luZ2ZhY2UYkAF7ImluZm8iOiB7ImZlYXR1cmVzIjogeyJzZW50ZW5jZSI6IHsiZHR5"
        + "cGUiOiAic3RyaW5nIiwgIl90eXBlIjogIlZhbHVlIn0sICJsYWJlbCI6IHsibmFtZXMiOiBbIm5lZ2F0aXZlIiwgInBvc2l0aXZlIl0sICJfdHlwZSI6ICJDbGFzc0xhYmVsIn19fX0A"
        + "GCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI1LjAuMRlMHAAAHAAAHAAAHAAAAJsEAABQQVIx");

    [Fact]
    public void Parquet_gives_what_its_writer_put_in_with_the_class_names_of_its_card()
    {
        var path = WriteBytes("t.parquet", s_parquet);
        var splits = DatasetReader.Open(path);
        Assert.Equal(["a fine film", "따뜻한 영화", "dull and long"], Texts(splits.Train));
        Assert.Equal(["positive", "positive", "negative"], Enumerable.Range(0, 3).Select(splits.Train.Targets.Describe));
        Assert.Equal("t.parquet:1 t.parquet:2 t.parquet:3", Names(splits.Train));
        Assert.Equal(["t.parquet:4 has no text", "t.parquet:5 has no text or no label"], splits.Ignored);
        Assert.Equal([0.5f, 0.25f, 1f], ((NumberTargets)DatasetReader.Open(path, TargetKind.Numbers).Train.Targets).Rows.Select(row => row[0]));
    }

    [Fact]
    public void Parquet_that_is_cut_off_or_damaged_ends_in_a_sentence_or_is_read()
    {
        for (var length = 0; length < s_parquet.Length; length += 9)
            Assert.Contains("it is cut off or damaged. Download it again", Refused(() => DatasetReader.Open(WriteBytes("t.parquet", s_parquet[..length]))), StringComparison.Ordinal);
        for (var k = 0; k < s_parquet.Length; k += 3)
        {
            byte[] bad = [.. s_parquet];
            bad[k] ^= 0xff;
            try
            {
                DatasetReader.Open(WriteBytes("t.parquet", bad));
            }
            catch (GraftException)
            {
                // said
            }
        }
    }

    [Fact]
    public void A_folder_holds_a_table_for_each_part()
    {
        Write("d/train.tsv", "text\tlabel\nfine\ta\nbad\tb\n");
        Write("d/dev.tsv", "label\tid\ttext\nb\t7\tworse\nc\t8\tother\n");
        Write("d/test.tsv", "id\ttext\n1\twithheld\n");
        Write("d/sample_submission.csv", "id,label\n1,a\n");
        Write("d/README.md", "words");
        var splits = DatasetReader.Open(_shop["d"]);
        Assert.Equal((2, 1, null), (splits.Train.Count, splits.Validation!.Count, splits.Test));
        Assert.Equal(("worse", "b", "dev.tsv:2", "val"), (splits.Validation.Text(0).First, splits.Validation.Targets.Describe(0), splits.Validation.Name(0), splits.Validation.Part));
        Assert.Equal(["README.md is no part of the dataset by its name", "sample_submission.csv is neither train, val nor test",
            "test.tsv has no text or no label (no column label, 1 sentences)", "val/c is a class that training does not have"], splits.Ignored.Order(StringComparer.Ordinal));
        Assert.Equal(1, DatasetReader.OpenWithClasses(_shop["d"], ["a", "b"], "val").Count);
        Assert.Equal("worse", DatasetReader.OpenValidation(_shop["d"], ["a", "b"]).Text(0).First);
    }

    [Fact]
    public void Pieces_of_a_part_are_read_together_and_two_datasets_or_two_copies_are_not()
    {
        Write("d/train-00000-of-00002.jsonl", "{\"text\": \"one\", \"label\": \"a\"}\n");
        Write("d/train-00001-of-00002.jsonl", "{\"text\": \"two\", \"label\": \"b\"}\n");
        var splits = DatasetReader.Open(_shop["d"]);
        Assert.Equal("train-00000-of-00002.jsonl:1 train-00001-of-00002.jsonl:1", Names(splits.Train));
        Assert.Contains("train-00000-of-00002.jsonl and train-00001-of-00002.jsonl are together the train part", splits.Notes.Remarks);
        Write("d/train-00000-of-00002.csv", "text,label\none,a\n");
        Assert.Contains("are both the train part. If they hold the same, keep one of them", Refused(() => DatasetReader.Open(_shop["d"])), StringComparison.Ordinal);
        Write("e/TREC.train.tsv", "text\tlabel\none\ta\n");
        Write("e/other.tsv", "text\tlabel\none\ta\n");
        Assert.Contains("holds tables of more than one dataset: TREC.train.tsv, other.tsv", Refused(() => DatasetReader.Open(_shop["e"])), StringComparison.Ordinal);
        Write("f/books.tsv", "text\tlabel\none\ta\n");
        Write("f/films.tsv", "text\tlabel\none\ta\n");
        Assert.Contains("none is called train, val or test: books.tsv, films.tsv", Refused(() => DatasetReader.Open(_shop["f"])), StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_must_name_their_columns_alike()
    {
        Write("d/train.csv", "text,label\nfine,a\nbad,b\n");
        Write("d/dev.csv", "words,label\nfine,a\n");
        Assert.Contains("has no column text, which train.csv has, only words, label", Refused(() => DatasetReader.Open(_shop["d"])), StringComparison.Ordinal);
        Write("d/dev.csv", "some thing,1\nanother thing,0\n");
        Assert.Contains("dev.csv, line 1: it names no columns, and train.csv does", Refused(() => DatasetReader.Open(_shop["d"])), StringComparison.Ordinal);
    }

    [Fact]
    public void Text_files_in_class_folders_are_texts_of_those_classes_in_a_folder_and_in_a_zip()
    {
        foreach (var part in new[] { "train", "test" })
        {
            Write($"d/{part}/pos/1.txt", "a fine film\nindeed");
            Write($"d/{part}/neg/1.txt", "dull");
            Write($"d/{part}/neg/2.txt", " \n");
        }
        Write("d/imdb.vocab", "the");
        ZipFile.CreateFromDirectory(_shop["d"], _shop["d.zip"]);
        foreach (var path in new[] { _shop["d"], _shop["d.zip"] })
        {
            var splits = DatasetReader.Open(path);
            Assert.Equal(["neg", "pos"], splits.Train.Classes);
            Assert.Equal((2, 2), (splits.Train.Count, splits.Test!.Count));
            Assert.Equal(["dull", "a fine film\nindeed"], Texts(splits.Train));
            Assert.Equal("train/neg/1.txt train/pos/1.txt", Names(splits.Train));
            Assert.Equal(["imdb.vocab is no part of the dataset by its name", "test/neg/2.txt has no text", "train/neg/2.txt has no text"], splits.Ignored.Order(StringComparer.Ordinal));
        }
        Assert.Contains("tells one class of each sentence, its folder", Refused(() => DatasetReader.Open(_shop["d"], TargetKind.Numbers)), StringComparison.Ordinal);
        Assert.Equal(4, DatasetReader.OpenUnlabelledText(_shop["d"]).Count);
    }

    [Fact]
    public void A_table_of_pictures_stays_one_whatever_words_stand_beside()
    {
        ShapeWorld.Write(_shop["p"], ["star4", "gear"], 2, 1);
        var rows = "image,text,label\n" + string.Concat(Directory.GetFiles(_shop["p"], "*.jpg", SearchOption.AllDirectories).Select(file => $"{Path.GetRelativePath(_shop.Root, file)},some words on it,{Path.GetFileName(Path.GetDirectoryName(file))}\n"));
        Assert.False(DatasetReader.Open(Write("t.csv", rows)).Train.IsText);
        // A column of that name that names no picture does not make it one.
        Assert.True(DatasetReader.Open(Write("u.csv", "filename,text,label\nMSRvid,some words,a\nMSRvid,other words,b\n")).Train.IsText);
    }

    [Fact]
    public void Korean_and_utf16_files_are_read_and_said_so()
    {
        const string Table = "text,label\n따뜻하고 재미있는 영화,긍정\n지루하고 재미없는 영화,부정\n";
        var korean = DatasetReader.Open(Write("k.csv", Table, CodePagesEncodingProvider.Instance.GetEncoding(949)!));
        Assert.Equal(["k.csv is read as cp949 (Korean)"], korean.Notes.Lines);
        foreach (var encoding in new Encoding[] { Encoding.Unicode, Encoding.BigEndianUnicode })
        {
            var wide = DatasetReader.Open(Write("w.csv", Table, encoding));
            Assert.Equal(Texts(korean.Train), Texts(wide.Train));
            Assert.Equal(["w.csv is read as UTF-16, which its first bytes say"], wide.Notes.Lines);
        }
        Assert.Equal("따뜻하고 재미있는 영화", DatasetReader.Open(Write("m.csv", Table, new UTF8Encoding(true))).Train.Text(0).First);
        Assert.Contains("line 1: there is a zero byte, which no text has: it is UTF-16 without its mark, or no text file. Save it as UTF-8",
            Refused(() => DatasetReader.Open(WriteBytes("n.csv", Encoding.Unicode.GetBytes(Table)), columns: new TextColumns("text"))), StringComparison.Ordinal);
    }

    [Fact]
    public void A_line_that_is_no_utf8_in_a_file_that_is_is_named_and_not_guessed_at()
    {
        byte[] bytes = [.. Encoding.UTF8.GetBytes("text,label\nit’s a café’s,a\n"), .. "bad "u8, 0xe9, 0x92, .. " one,b\n"u8];
        Assert.Contains("line 3: the byte 0xe9 is no UTF-8, and the rest of the file is. Mend that line", Refused(() => DatasetReader.Open(WriteBytes("t.csv", bytes))),
            StringComparison.Ordinal);
        byte[] noise = [.. "text,label\n"u8, 0x80, 0x81, 0x8d, 0xff, .. ",a\n"u8];
        Assert.Contains("line 2: the byte 0x80 is no UTF-8, and nobody can tell in which encoding the file is", Refused(() => DatasetReader.Open(WriteBytes("n.csv", noise))),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Empty_lines_and_empty_texts_are_left_out_and_counted()
    {
        var splits = DatasetReader.Open(Write("t.tsv", "sentence1\tsentence2\tlabel\na\tb\tx\n\n\t\t\nc\t \ty\n\td\ty\ne\tf\ty\n\n\n"));
        Assert.Equal(2, splits.Train.Count);
        var left = Assert.Single(LeftOut.Group(splits.Notes.LeftOut));
        Assert.Equal((LeftOutKind.EmptyText, "sentences without text", 4), (left.Kind, left.Reason, left.Pictures));
        Assert.Equal(["t.tsv:3", "t.tsv:4", "t.tsv:5", "t.tsv:6"], left.Names.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_text_of_a_megabyte_and_odd_characters_are_kept_and_said()
    {
        var long_ = string.Concat(Enumerable.Repeat("word ", 250_000)).Trim();
        var data = DatasetReader.Open(Write("t.csv", $"text,label\n{long_},a\nbell \u0007 rings,b\nlost \ufffd letter,b\n")).Train;
        Assert.Equal(long_.Length, data.Text(0).First.Length);
        Assert.Equal(["1 sentence holds control characters (the first: t.csv:3): they are kept as they are",
            "1 sentence holds U+FFFD, which stands where another program could not read a letter (the first: t.csv:4): they are kept as they are"], data.Notes.Lines);
    }

    [Fact]
    public void A_label_that_is_another_of_every_sentence_is_refused()
    {
        var path = Write("t.csv", "text,label\n" + Rows(k => $"some words,their own {k}", 40));
        var said = Refused(() => DatasetReader.Open(path));
        Assert.Contains("the column label has 40 different values in 40 sentences, so it is hardly their class ('their own 0'). Name the right one: --label COLUMN", said, StringComparison.Ordinal);
        Assert.Equal(40, DatasetReader.Open(path, TargetKind.Classes).Train.Classes.Count);
    }

    [Fact]
    public void Numbers_several_labels_and_parts_of_a_column_go_by_the_rules_of_pictures()
    {
        var numbers = DatasetReader.Open(Write("n.csv", "score,sentence1,sentence2\n4,a b,c d\n2,e f,g h\n,i,j\n")).Train;
        Assert.Equal((TargetKind.Similarity, 2, 4f), (numbers.Targets.Kind, numbers.Count, ((NumberTargets)numbers.Targets).Rows[0][0]));
        var labels = DatasetReader.Open(Write("l.csv", "text,label\na b,x;y\nc d,\ne f,y\n")).Train;
        Assert.Equal((TargetKind.Labels, 3), (labels.Targets.Kind, labels.Count));
        Assert.Contains("the column label of l.csv holds several labels for a sentence, with ; or | between (--task says otherwise)", labels.Notes.Remarks);
        var flags = DatasetReader.Open(Write("f.csv", "comment_text,toxic,rude\n" + Rows(k => $"words of {k},{k % 2},{(k % 3 == 0 ? 1 : 0)}"))).Train;
        Assert.Equal(["toxic", "rude"], flags.Targets.Names);
        Assert.Equal("rude", flags.Targets.Describe(0));
        var parted = DatasetReader.Open(Write("s.csv", "text,label,split\na,x,train\nb,y,train\nc,x,dev\nd,y,test\n"));
        Assert.Equal((2, 1, 1), (parted.Train.Count, parted.Validation!.Count, parted.Test!.Count));
        Assert.Contains("line 3: the score 'much' is no number. Write it with a point for decimals, such as 12.5, or leave it blank: the sentence is then left out",
            Refused(() => DatasetReader.Open(Write("w.csv", "text,score\na b,1.5\nc d,much\n" + Rows(k => $"t {k},{k}.5")))), StringComparison.Ordinal);
    }

    [Fact]
    public void Messages_speak_of_sentences_where_there_are_sentences()
    {
        var splits = DatasetReader.Open(Write("n.csv", "text,score\na b,4.5\nc d,2.5\n"));
        Assert.Equal("the sentences have numbers, and this is for sentences of one class each", Refused(() => _ = splits.Train.Labels));
        Assert.EndsWith("has no parts, its sentences are not divided: leave --split out", Refused(() => DatasetReader.OpenWithClasses(_shop["n.csv"], ["score"], "val", TargetKind.Numbers)), StringComparison.Ordinal);
        Assert.Contains("holds one class only ('a'), of 1 sentences", Refused(() => DatasetReader.Open(Write("o.csv", "text,label\nb c,a\n"))), StringComparison.Ordinal);
        var other = Refused(() => DatasetReader.OpenWithClasses(Write("p.csv", "text,label\nb c,a\nd e,b\n"), ["score"], null, TargetKind.Numbers));
        Assert.DoesNotContain("picture", other, StringComparison.Ordinal);
    }

    [Fact]
    public void Nearly_equal_texts_are_those_whose_five_grams_overlap_by_four_fifths()
    {
        // Against every pair compared in full.
        var rng = new Rng(3);
        string[] words = ["film", "story", "actor", "great", "dull", "music", "ending", "camera", "slow", "funny", "plot", "scene"];
        var texts = new List<string>();
        for (var k = 0; k < 150; k++)
        {
            string[] own = [.. Enumerable.Range(0, 18).Select(_ => words[rng.Below(words.Length)])];
            texts.Add(string.Join(' ', own));
            if (k % 3 > 0) continue;
            own[rng.Below(own.Length)] = "changed";
            texts.Add(string.Join(' ', own).ToUpperInvariant() + " !");
        }
        HashSet<string>[] grams = [.. texts.Select(text => text.ToLowerInvariant().TrimEnd('!', ' ')).Select(text => Enumerable.Range(0, text.Length - 4).Select(at => text.Substring(at, 5)).ToHashSet())];
        var expected = new HashSet<(int, int)>();
        for (var a = 0; a < texts.Count; a++)
        {
            for (var b = a + 1; b < texts.Count; b++)
            {
                var shared = grams[a].Count(grams[b].Contains);
                if (shared >= 0.8 * (grams[a].Count + grams[b].Count - shared)) expected.Add((a, b));
            }
        }
        var found = NearTexts.Groups(texts, default).SelectMany(group => group.SelectMany((a, k) => group.Skip(k + 1).Select(b => (a, b)))).ToHashSet();
        Assert.InRange(expected.Count, 20, 60);
        Assert.Equal(expected.Order(), found.Order());
        Assert.Empty(NearTexts.Groups(["good", "food", "great", ""], default));
        Assert.Equal([0, 1], Assert.Single(NearTexts.Groups(["Good!", "good", "bad"], default)));
    }

    [Fact]
    public void Inspection_counts_lengths_scripts_and_what_stands_in_two_parts()
    {
        Write("d/train.csv", "text,label\na fine film with a story,a\n지루한 영화,b\nthe very same sentence as elsewhere in the data,b\n이 映画 です カナ,b\n");
        Write("d/test.csv", "text,label\nA fine film with a story!,b\nthe very same sentence as elsewhere in the data,b\n!!!,a\n");
        var report = TextInspection.Run(DatasetReader.Open(_shop["d"]));
        Assert.Equal([1, 3], report.CountsBySplit["train"]);
        Assert.Equal([1, 2], report.CountsBySplit["test"]);
        Assert.Equal(new TextOverlap("test", 1, 1, 1), Assert.Single(report.Overlaps));
        Assert.Equal(new TextLengths("train", 4, new LengthSummary(24, 47, 47), new LengthSummary(6, 9, 9), "train.csv:4"), report.Lengths[0]);
        Assert.Equal((4 / 7.0, 1 / 7.0, 1 / 7.0, 1 / 7.0), (report.Scripts["Latin"], report.Scripts["Hangul"], report.Scripts["Kana"], report.Scripts["no letters"]));
        Assert.Equal(["train: train.csv:4", "test: test.csv:3"], report.Duplicates.Single(found => found.Exact).Files);
        Assert.True(report.Duplicates.Single(found => !found.Exact) is { AcrossSplits: true, AcrossClasses: true });
        Assert.Equal("Cyrillic Arabic Han Greek Thai Devanagari", string.Join(' ', new[] { "привет", "مرحبا", "你好", "γεια", "สวัสดี", "नमस्ते" }.Select(TextInspection.Script)));
    }

    [SkippableFact]
    public void Sst2_holds_the_copies_that_it_is_known_to_hold()
    {
        // Counted by sort and uniq over the three files' sentences.
        var report = TextInspection.Run(DatasetReader.Open(Workshop.Need("sst2")));
        Assert.Equal((10, 2), (report.Duplicates.Count(found => found.Exact), report.Overlaps.Single(found => found.Part == "test").Exact));
    }
}
