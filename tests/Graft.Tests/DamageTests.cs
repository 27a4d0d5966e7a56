using System.IO.Compression;
using System.Text;
using CsCheck;
using Graft.Data;
using Graft.Exports;
using Graft.Models.Checkpoints;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>Files that were written are read back as they were; damaged in any byte, they are read or refused with the exception that is documented,
/// and nothing else.</summary>
public sealed class DamageTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    /// <summary>Some bytes changed, and perhaps the end cut off or a piece put in.</summary>
    private static readonly Gen<Func<byte[], byte[]>> s_damage = Gen.Select(Gen.Select(Gen.Double[0, 1], Gen.Byte).Array[0, 4], Gen.Double[0, 1],
        Gen.Int[0, 3], Gen.Byte.Array[1, 9]).Select((changes, place, kind, piece) => (Func<byte[], byte[]>)(sound =>
    {
        var bytes = sound.ToArray();
        foreach (var (at, value) in changes) bytes[(int)(at * (bytes.Length - 1))] = value;
        var cut = (int)(place * bytes.Length);
        return kind switch { 1 => bytes[..cut], 2 => [.. bytes[..cut], .. piece, .. bytes[cut..]], 3 =>
            [.. bytes[..cut], .. bytes[Math.Min(bytes.Length, cut + piece.Length)..]], _ => bytes };
    }));

    // Read, or refused by this.
    private static void Only<TException>(Action read) where TException : Exception => Only<TException, TException>(read);

    private static void Only<TException, TOther>(Action read) where TException : Exception where TOther : Exception
    {
        try
        {
            read();
        }
        catch (Exception reason) when (reason is TException or TOther)
        {
        }
    }

    private static readonly Gen<string> s_name = Gen.Char[' ', '\ud7ff'].Array[0, 12].Select(letters => new string(letters));

    private static readonly DType[] s_types = [DType.Float32, DType.Float64, DType.Int64, DType.Int32, DType.UInt8, DType.Float16, DType.Bool];

    private static readonly Gen<(DType Type, long[] Shape)> s_kind = Gen.Select(Gen.Int[0, s_types.Length - 1].Select(k => s_types[k]), Gen.Long[0, 4]
        .Array[0, 4]);

    [Fact]
    public void Safetensors_are_read_as_they_were_written() =>
        Gen.Select(Gen.Dictionary(s_name, s_kind)[0, 6], Gen.Dictionary(s_name, s_name)[0, 4], Gen.Long[0, 1 << 20])
            .Where((tensors, _, _) => !tensors.ContainsKey("__metadata__")).Sample((kinds, metadata, seed) =>
        {
            using var scope = new TensorScope();
            var rng = new Rng(seed);
            var tensors = new Dictionary<string, Tensor>();
            foreach (var (name, (type, shape)) in kinds)
            {
                var values = new float[shape.Aggregate(1L, (n, size) => n * size)];
                for (var k = 0; k < values.Length; k++) values[k] = rng.Below(200);
                tensors[name] = Tensor.From(values, shape).To(type);
            }
            Safetensors.Write(_shop["a.safetensors"], tensors, metadata);
            var read = Safetensors.Read(_shop["a.safetensors"]);
            Assert.Equal(tensors.Keys.Order(StringComparer.Ordinal), read.Tensors.Keys.Order(StringComparer.Ordinal));
            foreach (var (name, tensor) in tensors)
            {
                Assert.Equal((tensor.Type, string.Join('x', tensor.Shape)), (read.Tensors[name].Type, string.Join('x', read.Tensors[name].Shape)));
                Assert.Equal(tensor.To(DType.Float64).ToArray<double>(), read.Tensors[name].To(DType.Float64).ToArray<double>());
            }
            Assert.Equal(metadata.OrderBy(item => item.Key, StringComparer.Ordinal), read.Metadata.OrderBy(item => item.Key, StringComparer.Ordinal));
        }, iter: 100, threads: 1);

    [Fact]
    public void Damaged_safetensors_are_refused()
    {
        using var scope = new TensorScope();
        Safetensors.Write(_shop["a.safetensors"], new Dictionary<string, Tensor> { ["weight"] = Ops.Ones([2, 3]), ["bias"] = Ops.Zeros([3]) },
            new Dictionary<string, string> { ["architecture"] = "convnet" });
        var sound = File.ReadAllBytes(_shop["a.safetensors"]);
        s_damage.Sample(damage =>
        {
            using var inner = new TensorScope();
            File.WriteAllBytes(_shop["b.safetensors"], damage(sound));
            // IOException: a file without a byte cannot be mapped.
            Only<InvalidDataException, IOException>(() => Safetensors.Read(_shop["b.safetensors"]));
            Only<InvalidDataException, IOException>(() => Safetensors.ReadMetadata(_shop["b.safetensors"]));
            Only<GraftException>(() => Checkpoint.Read(_shop["b.safetensors"]));
        }, iter: 500, threads: 1);
    }

    [Fact]
    public void Metadata_whose_text_is_no_UTF_8_is_refused_in_a_sentence()
    {
        byte[] header = [.. Encoding.ASCII.GetBytes("{\"__metadata__\":{\"a\":\""), 0xaf, .. Encoding.ASCII.GetBytes("\"}}")];
        File.WriteAllBytes(_shop["m.safetensors"], [.. BitConverter.GetBytes((long)header.Length), .. header]);
        Assert.Contains("the header's text is damaged", Assert.Throws<InvalidDataException>(() => Safetensors.ReadMetadata(_shop["m.safetensors"]))
            .Message, StringComparison.Ordinal);
        Assert.Contains("the header's text is damaged", Assert.Throws<GraftException>(() => Checkpoint.Read(_shop["m.safetensors"])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_checkpoints_of_PyTorch_are_refused()
    {
        using var scope = new TensorScope();
        PyTorchWriter.Write(_shop["a.pth"], new Dictionary<string, Tensor> { ["weight"] = Ops.Ones([2, 3]), ["bias"] = Ops.Zeros([3]) },
            new Dictionary<string, string> { ["architecture"] = "convnet" });
        var sound = File.ReadAllBytes(_shop["a.pth"]);
        Assert.Equal(2, Checkpoint.Read(_shop["a.pth"]).Tensors.Count);
        s_damage.Sample(damage =>
        {
            using var inner = new TensorScope();
            File.WriteAllBytes(_shop["b.pth"], damage(sound));
            Only<GraftException>(() => Checkpoint.Read(_shop["b.pth"]));
        }, iter: 300, threads: 1);
    }

    // Protocol 4, by hand: {'a': [1, 2.5, 'text', None, True], 'b': ((1, -1), 2**40, b'xy')}, memoised here and there.
    private static readonly byte[] s_pickle =
    [
        0x80, 4, (byte)'}', 0x94, (byte)'(', 0x8c, 1, (byte)'a', 0x94, (byte)']',
            (byte)'(', (byte)'K', 1, (byte)'G', 0x40, 4, 0, 0, 0, 0, 0, 0, (byte)'X', 4, 0, 0, 0, (byte)'t', (byte)'e', (byte)'x', (byte)'t',
        (byte)'N', 0x88, (byte)'e', 0x8c, 1, (byte)'b', (byte)'K', 1, (byte)'J', 255, 255, 255, 255, 0x86, 0x8a, 6, 0, 0, 0, 0, 0, 1, (byte)'C', 2,
            (byte)'x', (byte)'y', 0x87, (byte)'u', (byte)'.',
    ];

    [Fact]
    public void A_damaged_pickle_is_refused_and_calls_nothing()
    {
        static Pickle Reader() => new((name, _) => throw PickleNames.Refusal(name), _ => throw new InvalidDataException("nothing stands outside"));
        var found = (Dictionary<object, object?>)Reader().Read(s_pickle, out var used)!;
        Assert.Equal((s_pickle.Length, 5, 1L << 40), (used, ((List<object?>)found["a"]!).Count, ((object?[])found["b"]!)[1]));
        s_damage.Sample(damage => Only<InvalidDataException>(() => Reader().Read(damage(s_pickle), out _)), iter: 20_000);
    }

    [Fact]
    public void Damaged_tables_of_paths_and_labels_are_refused()
    {
        ShapeWorld.Write(_shop["d"], ["star4", "gear"], 3, 1);
        var sound = Encoding.UTF8.GetBytes("path,label,split\nd/star4/0000.jpg,\"a star\",train\nd/gear/0000.jpg,gear,train\nd/gear/0001.jpg,gear,val\nd/star4/0001.jpg,a star,val\n");
        File.WriteAllBytes(_shop["a.csv"], sound);
        Assert.Equal(2, DatasetReader.Open(_shop["a.csv"]).Train.Count);
        s_damage.Sample(damage =>
        {
            File.WriteAllBytes(_shop["b.csv"], damage(sound));
            Only<GraftException>(() => DatasetReader.Open(_shop["b.csv"]));
        }, iter: 400, threads: 1);
    }

    [Fact]
    public void Damaged_IDX_files_are_refused()
    {
        Directory.CreateDirectory(_shop["idx"]);
        byte[] images = [0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 3, .. Enumerable.Range(0, 24).Select(k => (byte)k)],
            labels = [0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1];
        Gen.Select(s_damage, Gen.Bool).Sample((damage, first) =>
        {
            File.WriteAllBytes(_shop["idx", "train-images-idx3-ubyte"], first ? damage(images) : images);
            File.WriteAllBytes(_shop["idx", "train-labels-idx1-ubyte"], first ? labels : damage(labels));
            Only<GraftException>(() =>
            {
                var train = DatasetReader.Open(_shop["idx"]).Train;
                for (var k = 0; k < train.Count; k++) train.Decode(k).Dispose();
            });
        }, iter: 400, threads: 1);
    }

    [Fact]
    public void A_zip_whose_directory_says_that_it_is_larger_than_the_file_is_refused()
    {
        ShapeWorld.Write(_shop["d"], ["star4", "gear"], 2, 1);
        ZipFile.CreateFromDirectory(_shop["d"], _shop["a.zip"]);
        var bytes = File.ReadAllBytes(_shop["a.zip"]);
        // The directory's size and place in its closing record, by the published layout: bytes 12 and 16.
        var end = bytes.AsSpan().LastIndexOf("PK\x05\x06"u8);
        foreach (var at in new[] { 12, 16 })
        {
            foreach (var value in new[] { int.MaxValue, -2, bytes.Length })
            {
                var damaged = (byte[])bytes.Clone();
                BitConverter.TryWriteBytes(damaged.AsSpan(end + at), value);
                File.WriteAllBytes(_shop["b.zip"], damaged);
                Assert.Contains("b.zip", Assert.Throws<GraftException>(() => DatasetReader.Open(_shop["b.zip"])).Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Damaged_zips_are_refused_and_their_pictures_too()
    {
        ShapeWorld.Write(_shop["d", "사진"], ["star4", "gear"], 2, 1);
        ZipFile.CreateFromDirectory(_shop["d"], _shop["a.zip"]);
        var sound = File.ReadAllBytes(_shop["a.zip"]);
        Assert.Equal(4, DatasetReader.Open(_shop["a.zip"]).Train.Count);
        // Its directory, with the names, is the last part.
        var directory = sound.AsSpan().IndexOf("PK\x01\x02"u8);
        Gen.Select(s_damage, Gen.Bool).Sample((damage, names) =>
        {
            File.WriteAllBytes(_shop["b.zip"], names ? [.. sound[..directory], .. damage(sound[directory..])] : damage(sound));
            Only<GraftException>(() =>
            {
                var train = DatasetReader.Open(_shop["b.zip"]).Train;
                for (var k = 0; k < train.Count; k++) Only<PictureException>(() => train.Decode(k).Dispose());
            });
        }, iter: 300, threads: 1);
    }
}
