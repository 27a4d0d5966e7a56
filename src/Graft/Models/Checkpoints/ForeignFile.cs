using System.Text;
using System.Text.RegularExpressions;

namespace Graft.Models.Checkpoints;

/// <summary>Files and folders of kinds that Graft does not read: what they are, and what to do.</summary>
internal static partial class ForeignFile
{
    private const string ToOnnx = "convert it to ONNX and give that file";

    private const string Languages = "the weights of a language model, quantised: Graft reads networks that see pictures, as safetensors, PyTorch, Keras, Caffe, ONNX or TorchScript";

    /// <summary>The first bytes of a kind, where they stand, and what it is.</summary>
    private sealed record Sign(int At, byte[] Bytes, string What);

    private static readonly Sign[] s_signs =
    [
        new(0, [.. "version https://git-lfs"u8], "a Git LFS pointer, which stands for the file and is not the file: fetch it with git lfs pull (git lfs install first, where that is not known)"),
        new(4, [.. "TFL3"u8], $"a TensorFlow Lite model: {ToOnnx} (python -m tf2onnx.convert --tflite MODEL.tflite --output MODEL.onnx)"),
        new(0, [.. "GGUF"u8], $"a GGUF file, {Languages}"),
        new(0, [.. "lmgg"u8], $"a GGML file, {Languages}"), new(0, [.. "tjgg"u8], $"a GGML file, {Languages}"), new(0, [.. "fmgg"u8], $"a GGML file, {Languages}"),
        new(0, [.. "ftrt"u8], "a TensorRT engine, made for one graphics card: give the ONNX file that it was made from"), new(0, [.. "ptrt"u8], "a TensorRT engine, made for one graphics card: give the ONNX file that it was made from"),
        new(0, [0x93, .. "NUMPY"u8], "a NumPy array (.npy): save the weights by name as safetensors (safetensors.numpy.save_file)"),
        new(0, [0x1f, 0x8b], "packed by gzip: unpack it first (gunzip)"), new(0, [0xfd, .. "7zXZ"u8], "packed by xz: unpack it first (unxz)"), new(0, [0x28, 0xb5, 0x2f, 0xfd], "packed by Zstandard: unpack it first (unzstd)"),
        new(0, [.. "BZh"u8], "packed by bzip2: unpack it first (bunzip2)"), new(0, [.. "7z"u8, 0xbc, 0xaf], "a 7z archive: unpack it first"), new(0, [.. "Rar!"u8], "a RAR archive: unpack it first"),
        new(257, [.. "ustar"u8], "a tar archive: unpack it, and give the file of weights in it"),
        new(0, [0xff, 0xd8, 0xff], "a picture (JPEG), not weights"), new(0, [0x89, .. "PNG"u8], "a picture (PNG), not weights"), new(0, [.. "GIF8"u8], "a picture (GIF), not weights"), new(0, [.. "%PDF"u8], "a PDF document, not weights"),
    ];

    private static readonly (string Extension, string What)[] s_names =
    [
        (".tflite", $"named as a TensorFlow Lite model, and is not one that is whole: download it again, and {ToOnnx}"),
        (".mlmodel", $"a Core ML model: {ToOnnx}, from the model that it was made from"),
        (".pb", "a TensorFlow graph (protobuf): convert it to ONNX and give that file (python -m tf2onnx.convert --saved-model FOLDER --output MODEL.onnx; --graphdef FILE for a frozen graph)"),
        (".ckpt.index", "a part of a TensorFlow checkpoint, which holds no network: save the model (model.save(\"model.keras\")), or convert it to ONNX (tf2onnx)"),
        (".ckpt.meta", "a part of a TensorFlow checkpoint, which holds no network: save the model (model.save(\"model.keras\")), or convert it to ONNX (tf2onnx)"),
        (".engine", "a TensorRT engine, made for one graphics card: give the ONNX file that it was made from"),
        (".trt", "a TensorRT engine, made for one graphics card: give the ONNX file that it was made from"),
        (".msgpack", "a Flax checkpoint: save it for PyTorch or as safetensors (from_pretrained(…, from_flax=True), then save_pretrained)"),
        (".mnn", $"an MNN model: {ToOnnx}"),
        (".pdparams", "a PaddlePaddle checkpoint: convert it to ONNX (paddle2onnx) and give that file"),
        (".pdmodel", "a PaddlePaddle model: convert it to ONNX (paddle2onnx) and give that file"),
    ];

    /// <summary>Refuses what is known and not read.</summary>
    /// <exception cref="GraftException">It is empty, of a foreign kind, or a folder.</exception>
    public static void Refuse(string path)
    {
        if (Directory.Exists(path)) throw new GraftException($"{path} is {Folder(path)}");
        if (File.Exists(path) && What(path) is { } what) throw new GraftException($"{path} is {what}");
    }

    private static string? What(string path)
    {
        var buffer = new byte[4096];
        using (var file = File.OpenRead(path)) buffer = buffer[..file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false)];
        ReadOnlySpan<byte> first = buffer;
        if (first.Length == 0) return "empty: download it again";
        // A safetensors header's length may begin with any bytes; its JSON begins with the ninth.
        if (first.Length > 8 && first[8] == '{' && first[7] == 0) return null;
        foreach (var sign in s_signs) if (first.Length >= sign.At + sign.Bytes.Length && first[sign.At..].StartsWith(sign.Bytes)) return sign.What;
        if (Text(first) is { } text) return text;
        if (first[0] == 0x80 && Encoding.Latin1.GetString(first) is var pickle && Learned().Match(pickle) is { Success: true, Value: var made } && !pickle.Contains("torch", StringComparison.Ordinal))
            return $"a pickle of {made.Split('.')[0]}'s, which only Python can run: no network is in it. Train a head on the same data with graft train DATA --weights NETWORK";
        if (s_names.FirstOrDefault(name => path.EndsWith(name.Extension, StringComparison.OrdinalIgnoreCase)).What is { } named) return named;
        return ShardOfTensorFlow().IsMatch(path) ? s_names.First(name => name.Extension == ".ckpt.index").What : null;
    }

    // Pages, and the answers of servers, saved under the name of the file that was asked for.
    private static string? Text(ReadOnlySpan<byte> first)
    {
        var start = first.StartsWith("\ufeff"u8) ? first[3..] : first;
        start = start.TrimStart(" \t\r\n"u8);
        if (start.Length == 0) return "blank: download it again";
        if (start[0] is not ((byte)'<' or (byte)'{') || start.IndexOfAnyInRange((byte)0, (byte)8) >= 0) return null;
        var text = Encoding.UTF8.GetString(start);
        if (text[0] == '<')
        {
            return text.Contains("<net ", StringComparison.Ordinal) ? $"an OpenVINO network: {ToOnnx}, from the model that it was made from"
                : "a web page, not a checkpoint: the download gave a page in place of the file. Download it again";
        }
        return text.Contains("\"weight_map\"", StringComparison.Ordinal) ? "the index of a checkpoint in several files under another name: let it end with .index.json"
            : text.Contains("\"modelTopology\"", StringComparison.Ordinal) || text.Contains("\"weightsManifest\"", StringComparison.Ordinal) ? $"a TensorFlow.js model: {ToOnnx} (python -m tf2onnx.convert --tfjs model.json --output MODEL.onnx)"
            : text.Contains("\"architectures\"", StringComparison.Ordinal) || text.Contains("\"model_type\"", StringComparison.Ordinal) ? "a model's configuration (Hugging Face's config.json), not its weights: give model.safetensors beside it"
            : $"text (JSON), not weights: {text[..Math.Min(text.Length, 80)].ReplaceLineEndings(" ")}";
    }

    /// <summary>What a folder is, that is no run.</summary>
    public static string Folder(string path)
    {
        bool Has(string name) => File.Exists(Path.Combine(path, name));
        if (Has("saved_model.pb")) return $"a TensorFlow SavedModel, which is not read: {ToOnnx} (python -m tf2onnx.convert --saved-model {path} --output MODEL.onnx), or save it from Keras as one file (model.save(\"model.keras\"))";
        if (path.TrimEnd('/', '\\').EndsWith(".mlpackage", StringComparison.OrdinalIgnoreCase) || Has("coremldata.bin")) return $"a Core ML model: {ToOnnx}, from the model that it was made from";
        string[] published = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "model.onnx"];
        if (published.FirstOrDefault(Has) is { } weights) return $"a folder{(Has("config.json") ? " of a Hugging Face model" : "")}: give the file in it, {Path.Combine(path, weights)}";
        string[] kinds = [".safetensors", ".pth", ".pt", ".th", ".bin", ".h5", ".keras", ".caffemodel", ".onnx"];
        var files = Directory.EnumerateFiles(path).Where(file => kinds.Contains(Path.GetExtension(file).ToLowerInvariant())).Order(StringComparer.Ordinal).Take(4).Select(Path.GetFileName).ToArray();
        return files.Length > 0 ? $"a folder: give one of the files in it ({string.Join(", ", files)})" : "a folder without weights: give a file";
    }

    [GeneratedRegex(@"(sklearn|joblib|xgboost|lightgbm|catboost|pandas)\.[a-zA-Z_.]+")]
    private static partial Regex Learned();

    [GeneratedRegex(@"(\.data-\d{5}-of-\d{5}|variables\.index)$")]
    private static partial Regex ShardOfTensorFlow();
}
