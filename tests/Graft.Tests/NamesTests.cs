using System.Buffers.Binary;
using System.Text;
using Graft.Data;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Tests;

/// <summary>Names as other systems write them: decomposed, in older encodings, with backslashes.</summary>
public sealed class NamesTests : IDisposable
{
    private const string Ant = "개미", Butterfly = "나비";

    private readonly Workshop _shop = new();

    public NamesTests() => ShapeWorld.Write(_shop["d"], ["star4", "gear"], 3, 1);

    public void Dispose() => _shop.Dispose();

    private static Encoding CodePage(int number) => CodePagesEncodingProvider.Instance.GetEncoding(number)!;

    private static string Refused(Action action) => Assert.Throws<GraftException>(action).Message;

    /// <summary>A zip as other programs write them: stored, with names of any bytes.</summary>
    private string Zip(string name, IEnumerable<(byte[] Name, int Flags, byte[] Extra)> entries)
    {
        var picture = File.ReadAllBytes(_shop["d", "gear", "0000.jpg"]);
        using var file = new BinaryWriter(File.Create(_shop[name]));
        var directory = new MemoryStream();
        var central = new BinaryWriter(directory);
        var count = 0;
        foreach (var (raw, flags, extra) in entries)
        {
            var offset = (uint)file.BaseStream.Position;
            void Common(BinaryWriter to)
            {
                to.Write((ushort)20); to.Write((ushort)flags); to.Write((ushort)0); to.Write(0u); to.Write(Crc(picture)); to.Write((uint)picture.Length); to.Write((uint)picture.Length); to.Write((ushort)raw.Length);
            }
            file.Write(0x04034b50u); Common(file); file.Write((ushort)0); file.Write(raw); file.Write(picture);
            central.Write(0x02014b50u); central.Write((ushort)20); Common(central);
            central.Write((ushort)extra.Length); central.Write((ushort)0); central.Write((ushort)0); central.Write((ushort)0); central.Write(0u); central.Write(offset);
            central.Write(raw); central.Write(extra);
            count++;
        }
        var start = (uint)file.BaseStream.Position;
        file.Write(directory.ToArray());
        file.Write(0x06054b50u); file.Write(0u); file.Write((ushort)count); file.Write((ushort)count); file.Write((uint)directory.Length); file.Write(start); file.Write((ushort)0);
        return _shop[name];
    }

    private string Zip(string name, Encoding encoding, params string[] names) => Zip(name, names.Select(entry => (encoding.GetBytes(entry), 0, Array.Empty<byte>())));

    private static uint Crc(byte[] bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
        }
        return ~crc;
    }

    private static string[] Classes(string path) => [.. DatasetReader.Open(path).Train.Classes];

    [Fact]
    public void Decomposed_names_of_macOS_are_the_composed_ones_in_folders_and_tables()
    {
        Assert.Equal("é", UnicodeNames.Compose("e\u0301"));
        Assert.Equal(Ant, UnicodeNames.Compose("\u1100\u1162\u1106\u1175"));
        ShapeWorld.Write(_shop["m", "train"], ["star4", "gear"], 3, 1);
        ShapeWorld.Write(_shop["m", "val"], ["star4", "gear"], 2, 1);
        Directory.Move(_shop["m", "train", "gear"], _shop["m", "train", Ant]);
        Directory.Move(_shop["m", "val", "gear"], _shop["m", "val", "\u1100\u1162\u1106\u1175"]);
        var splits = DatasetReader.Open(_shop["m"]);
        Assert.Equal([2, 2], splits.Validation!.CountsByClass());
        Assert.Empty(splits.Ignored);
        Assert.Equal(2, DatasetReader.OpenWithClasses(_shop["m", "val"], [Ant]).Count);
        File.WriteAllText(_shop["m.csv"], $"path,label\nm/val/{Ant}/0000.jpg,a\nm/val/star4/0000.jpg,b\n");
        Assert.Equal(2, DatasetReader.Open(_shop["m.csv"]).Train.Count);
    }

    [Fact]
    public void A_zip_with_Korean_Japanese_Western_or_unmarked_UTF8_names_keeps_its_classes_apart()
    {
        string[] korean = [$"사진/{Ant}/1.jpg", $"사진/{Ant}/2.jpg", $"사진/{Butterfly}/1.jpg"];
        var splits = DatasetReader.Open(Zip("k.zip", CodePage(949), korean));
        Assert.Equal([Ant, Butterfly], splits.Train.Classes);
        Assert.Equal([2, 1], splits.Train.CountsByClass());
        Assert.Contains(splits.Notes.Remarks, line => line.Contains("cp949 (Korean)", StringComparison.Ordinal));
        using var picture = splits.Train.Decode(0);
        Assert.Equal(32, picture.Width);
        Assert.Equal([Ant, Butterfly], Classes(Zip("u.zip", new UTF8Encoding(false), korean)));
        Assert.Equal(["アリ", "蝶"], Classes(Zip("j.zip", CodePage(932), "アリ/1.jpg", "蝶/1.jpg")).Order(StringComparer.Ordinal));
        Assert.Equal(["Ameise", "Käfer"], Classes(Zip("w.zip", CodePage(1252), "Käfer/1.jpg", "Ameise/1.jpg")));
    }

    [Fact]
    public void A_zip_says_its_names_by_the_flag_and_by_the_Unicode_path_field()
    {
        (byte[], int, byte[]) Field(string name)
        {
            var raw = CodePage(437).GetBytes(new string('?', 3) + Path.GetFileName(name));
            var text = Encoding.UTF8.GetBytes(name);
            var extra = new byte[9 + text.Length];
            BinaryPrimitives.WriteUInt16LittleEndian(extra, 0x7075);
            BinaryPrimitives.WriteUInt16LittleEndian(extra.AsSpan(2), (ushort)(5 + text.Length));
            extra[4] = 1;
            raw[0] = 0xe9; // no ASCII, or the field is not needed
            BinaryPrimitives.WriteUInt32LittleEndian(extra.AsSpan(5), Crc(raw));
            text.CopyTo(extra, 9);
            return (raw, 0, extra);
        }
        Assert.Equal([Ant, Butterfly], Classes(Zip("x.zip", [Field($"{Ant}/1.jpg"), Field($"{Butterfly}/2.jpg")])));
        Assert.Equal([Ant, Butterfly], Classes(Zip("f.zip", [(Encoding.UTF8.GetBytes($"{Ant}/1.jpg"), 1 << 11, []), (Encoding.UTF8.GetBytes($"{Butterfly}/1.jpg"), 1 << 11, [])])));
    }

    [Fact]
    public void Names_that_nobody_can_read_and_encrypted_zips_are_refused_with_the_remedy()
    {
        Assert.Contains("UTF-8 names", Refused(() => DatasetReader.Open(Zip("c.zip", CodePage(936), "蚂蚁/1.jpg", "蝴蝶/1.jpg"))), StringComparison.Ordinal);
        var locked = Refused(() => DatasetReader.Open(Zip("e.zip", [("a/1.jpg"u8.ToArray(), 1, []), ("b/1.jpg"u8.ToArray(), 1, [])])));
        Assert.Contains("is encrypted (2 of its 2 entries)", locked, StringComparison.Ordinal);
        Assert.Contains("unpack it", locked, StringComparison.Ordinal);
    }

    [Fact]
    public void Backslashes_are_separators_in_zips_and_tables()
    {
        Assert.Equal(["ants", "bees"], Classes(Zip("b.zip", Encoding.ASCII, @"photos\ants\1.jpg", @"photos\bees\1.jpg")));
        File.WriteAllText(_shop["b.csv"], "path,label\nd\\star4\\0000.jpg,star\nd\\gear\\0000.jpg,gear\n");
        Assert.Equal(2, DatasetReader.Open(_shop["b.csv"]).Train.Count);
    }

    [Fact]
    public void A_table_is_read_in_the_encoding_that_Excel_saved_it_in()
    {
        var text = $"path,label\nd/star4/0000.jpg,{Ant}\nd/gear/0000.jpg,{Butterfly}\n";
        foreach (var encoding in new[] { CodePage(949), Encoding.Unicode, Encoding.BigEndianUnicode, new UTF8Encoding(true), new UTF8Encoding(false) })
        {
            File.WriteAllBytes(_shop["t.csv"], [.. encoding.GetPreamble(), .. encoding.GetBytes(text)]);
            Assert.Equal([Ant, Butterfly], Classes(_shop["t.csv"]));
        }
        File.WriteAllBytes(_shop["t.csv"], CodePage(1252).GetBytes("path;label\nd/star4/0000.jpg;Käfer\nd/gear/0000.jpg;Ameise\n"));
        Assert.Equal(["Ameise", "Käfer"], Classes(_shop["t.csv"]));
        // Chinese, which the text alone does not tell from Korean: no path decides it either.
        File.WriteAllBytes(_shop["t.csv"], CodePage(936).GetBytes("path,label\nd/star4/0000.jpg,蚂蚁\nd/gear/0000.jpg,蝴蝶\n"));
        Assert.Contains("Save it as UTF-8", Refused(() => DatasetReader.Open(_shop["t.csv"])), StringComparison.Ordinal);
    }

    [Fact]
    public void Where_the_text_alone_does_not_tell_the_encoding_the_paths_on_the_disk_do()
    {
        // As cp1252 it is a word with accents, as cp949 a syllable: ÀÌa and 이a.
        Directory.Move(_shop["d", "gear"], _shop["d", "이a"]);
        File.WriteAllBytes(_shop["t.csv"], CodePage(949).GetBytes("path,label\nd/star4/0000.jpg,star\nd/이a/0000.jpg,gear\n"));
        Assert.Equal(2, DatasetReader.Open(_shop["t.csv"]).Train.Count);
    }
}
