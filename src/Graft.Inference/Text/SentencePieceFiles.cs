using System.Buffers.Binary;
using System.Text;
using System.Text.RegularExpressions;

namespace Graft.Inference.Text;

/// <summary>A .model of SentencePiece (Kudo and Richardson 2018) that holds a unigram model: XLM-R's, of which fairseq moved the numbers, and
/// ALBERT's.</summary>
internal static class SentencePieceFiles
{
    private sealed record Piece(string Text, float Score, int Type);

    private sealed record Model(List<Piece> Pieces, int Kind, int Unknown, byte[] CharsMap, bool AddsPrefix, bool TrimsSpaces, bool EscapesSpaces);

    // SentencePiece's numbers for sorts of pieces.
    private const int Normal = 1, UserDefined = 4;

    public static PieceTokenizer Read(TokenizerFiles files, string name)
    {
        var config = files.ReadConfig();
        Model model;
        List<Normalizer> map;
        try
        {
            model = ReadModel(files.All[name]);
            map = model.CharsMap.Length > 0 ? [new CharsMap(model.CharsMap)] : [];
        }
        catch (InvalidDataException error)
        {
            throw files.Damaged(name, error.Message, error);
        }
        if (model.Pieces.Count == 0) throw files.Damaged(name, "it holds no pieces");
        if (model.Kind != 1) throw files.Unknown(name,
            model.Kind switch { 2 => "a BPE model of SentencePiece", 3 => "a model of whole words", _ => "a model of single characters" });
        if (!model.AddsPrefix || !model.TrimsSpaces || !model.EscapesSpaces) throw files.Unknown(name,
            "a way with spaces that is not the usual one (add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces)");
        var texts = model.Pieces.Select(piece => piece.Text).ToList();
        var isAlbert = texts.Contains("[CLS]") && texts.Contains("[SEP]");
        var isXlmr = !isAlbert && texts.Count > 3 && texts[0] == "<unk>" && texts[1] == "<s>" && texts[2] == "</s>";
        if (config.Class is { } kind && !(isAlbert && kind.StartsWith("Albert", StringComparison.Ordinal))
            && !(isXlmr && kind.StartsWith("XLMRoberta", StringComparison.Ordinal)))
            throw files.Unknown(TokenizerFiles.Config, $"the tokenizer_class {kind}");
        if (!isAlbert && !isXlmr) throw files.Unknown(name, "signs that are neither XLM-R's (<unk>, <s>, </s>) nor ALBERT's ([CLS], [SEP])");
        if (texts.Distinct(StringComparer.Ordinal).Count() != texts.Count) throw files.Damaged(name, "a piece stands in it twice");
        var kept = files.Only(name, TokenizerFiles.Config);
        return isAlbert ? Albert(files, name, model, map, config, kept) : Xlmr(model, map, kept);
    }

    private static PieceTokenizer Xlmr(Model model, List<Normalizer> map, Dictionary<string, byte[]> files)
    {
        // fairseq's numbers: its own four signs first, then SentencePiece's from the fourth on, and <mask> last.
        var pieces = new List<(string, double)> { ("<s>", 0), ("<pad>", 0), ("</s>", 0), ("<unk>", 0) };
        pieces.AddRange(model.Pieces.Skip(3).Select(piece => (piece.Text, (double)piece.Score)));
        pieces.Add(("<mask>", 0));
        List<AddedToken> added = [new(0, "<s>"), new(1, "<pad>"), new(2, "</s>"), new(3, "<unk>"), new(pieces.Count - 1, "<mask>", LeftSpaces: true)];
        var signs = new Signs([0], [2, 2], [2], Pad: 1, Mask: pieces.Count - 1);
        return Build(pieces, 3, map, added, signs, files);
    }

    private static PieceTokenizer Albert(TokenizerFiles files, string name, Model model, List<Normalizer> map, TokenizerConfig config,
        Dictionary<string, byte[]> kept)
    {
        // A number's comma stands apart: so Hugging Face makes the piece "1," unlikely, where the original cut it again.
        var pieces = model.Pieces.Select(piece =>
            (piece.Text, piece.Text is [.., var before, ','] && char.IsDigit(before) ? piece.Score - 100.0 : piece.Score)).ToList();
        int? Find(string sign) => pieces.FindIndex(piece => piece.Text == sign) is >= 0 and var id ? id : null;
        int Need(string sign) => Find(sign) ?? throw files.Damaged(name, $"it has no piece {sign}");
        var (first, separator, pad, mask) = (Need("[CLS]"), Need("[SEP]"), Need("<pad>"), Find("[MASK]"));
        List<AddedToken> added = [new(pad, "<pad>"), new(model.Unknown, pieces[model.Unknown].Text), new(first, "[CLS]"), new(separator, "[SEP]")];
        if (mask is { } hidden) added.Add(new AddedToken(hidden, "[MASK]", LeftSpaces: true));
        added.AddRange(model.Pieces.Select((piece, id) => (piece, id)).Where(pair => pair.piece.Type == UserDefined
            && added.All(token => token.Id != pair.id))
            .Select(pair => new AddedToken(pair.id, pair.piece.Text)));
        List<Normalizer> steps = [new ReplaceNormalizer(new Regex("``|''", RegexOptions.NonBacktracking), "\"")];
        if (config.KeepAccents != true) steps.AddRange([new UnicodeNormalizer(compatible: true, compose: false),
            new MarkNormalizer(CharacterKinds.Mark)]);
        if (config.Lower != false) steps.Add(new LowerNormalizer());
        steps.AddRange(map);
        return Build(pieces, model.Unknown, steps, added, new Signs([first], [separator], [separator], pad, mask), kept);
    }

    private static PieceTokenizer Build(
        List<(string Text, double Score)> pieces, int unknown, List<Normalizer> steps, List<AddedToken> added, Signs signs,
        Dictionary<string, byte[]> files) =>
        new(new TokenizerParts([.. pieces.Select(piece => piece.Text)], new UnigramModel(pieces, unknown), steps,
            [new SpacePreTokenizer(punctuation: false), new MetaspacePreTokenizer('▁', "always", split: true)], added, signs), files);

    // ModelProto of sentencepiece_model.proto: pieces = 1 { piece = 1, score = 2, type = 3 }, trainer_spec = 2 { model_type = 3, unk_id = 40 },
    // normalizer_spec = 3 { precompiled_charsmap = 2, add_dummy_prefix = 3, remove_extra_whitespaces = 4, escape_whitespaces = 5 }.
    private static Model ReadModel(byte[] file)
    {
        var pieces = new List<Piece>();
        var (kind, unknown, map, prefix, trims, escapes) = (1, 0, Array.Empty<byte>(), true, true, true);
        ForEach(file, (field, number, bytes) =>
        {
            if (field == 1)
            {
                var (text, score, type) = ("", 0f, Normal);
                ForEach(bytes, (part, value, own) =>
                {
                    if (part == 1) text = Encoding.UTF8.GetString(own.Span);
                    else if (part == 2) score = BitConverter.UInt32BitsToSingle((uint)value);
                    else if (part == 3) type = (int)value;
                });
                pieces.Add(new Piece(text, score, type));
            }
            else if (field == 2)
            {
                ForEach(bytes, (part, value, _) =>
                {
                    if (part == 3) kind = (int)value;
                    else if (part == 40) unknown = (int)value;
                });
            }
            else if (field == 3)
            {
                ForEach(bytes, (part, value, own) =>
                {
                    if (part == 2) map = own.ToArray();
                    else if (part == 3) prefix = value != 0;
                    else if (part == 4) trims = value != 0;
                    else if (part == 5) escapes = value != 0;
                });
            }
        });
        if (unknown < 0 || unknown >= Math.Max(pieces.Count, 1))
            throw new InvalidDataException($"its unknown piece {unknown} is not among its {pieces.Count}");
        return new Model(pieces, kind, unknown, map, prefix, trims, escapes);
    }

    private static void ForEach(ReadOnlyMemory<byte> message, Action<int, ulong, ReadOnlyMemory<byte>> act)
    {
        var at = 0;
        ulong Number()
        {
            ulong value = 0;
            for (var shift = 0; shift < 64; shift += 7)
            {
                if (at >= message.Length) break;
                var one = message.Span[at++];
                value |= (ulong)(one & 0x7f) << shift;
                if (one < 0x80) return value;
            }
            throw new InvalidDataException("it is cut off, or no model of SentencePiece");
        }
        ReadOnlyMemory<byte> Take(ulong count)
        {
            if (count > (ulong)(message.Length - at)) throw new InvalidDataException("it is cut off, or no model of SentencePiece");
            at += (int)count;
            return message.Slice(at - (int)count, (int)count);
        }
        while (at < message.Length)
        {
            var tag = Number();
            var field = (int)Math.Min(tag >> 3, int.MaxValue);
            switch (tag & 7)
            {
                case 0: act(field, Number(), default); break;
                case 1: act(field, BinaryPrimitives.ReadUInt64LittleEndian(Take(8).Span), default); break;
                case 2: act(field, 0, Take(Number())); break;
                case 5: act(field, BinaryPrimitives.ReadUInt32LittleEndian(Take(4).Span), default); break;
                default: throw new InvalidDataException("it is no model of SentencePiece");
            }
        }
    }
}
