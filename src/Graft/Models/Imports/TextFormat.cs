using System.Globalization;

namespace Graft.Models.Imports;

/// <summary>Protobuf's text format, as a tree: what Caffe's prototxt files are written in.</summary>
internal sealed class TextFormat
{
    private const int DepthLimit = 32;

    private readonly Dictionary<string, List<object>> _fields = new(StringComparer.Ordinal);

    private TextFormat(int line) => Line = line;

    /// <summary>Where the message begins.</summary>
    public int Line { get; }

    /// <summary>Messages under a name.</summary>
    public IEnumerable<TextFormat> Messages(string name) => All(name).OfType<TextFormat>();

    /// <summary>The message under a name; an empty one where there is none.</summary>
    public TextFormat Message(string name) => Messages(name).FirstOrDefault() ?? new TextFormat(Line);

    /// <summary>Texts (and names and numbers as they are written) under a name.</summary>
    public IReadOnlyList<string> Texts(string name) => [.. All(name).OfType<string>()];

    /// <summary>The text under a name, or null.</summary>
    public string? Text(string name) => Texts(name) is [.., var last] ? last : null;

    /// <summary>Whether something stands under a name.</summary>
    public bool Has(string name) => _fields.ContainsKey(name);

    /// <summary>Whole numbers under a name.</summary>
    public long[] Numbers(string name) => [.. Texts(name).Select(text => long.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out var value) ? value : throw new InvalidDataException($"line {Line}: {name} is '{text}', no whole number"))];

    /// <summary>A whole number.</summary>
    public long Number(string name, long otherwise) => Numbers(name) is [.., var last] ? last : otherwise;

    /// <summary>A number.</summary>
    public double Real(string name, double otherwise) => Text(name) is not { } text ? otherwise : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) ? value : throw new InvalidDataException($"line {Line}: {name} is '{text}', no number");

    /// <summary>A truth.</summary>
    public bool Flag(string name, bool otherwise) => Text(name) is { } text ? text is "true" or "1" : otherwise;

    private List<object> All(string name) => _fields.GetValueOrDefault(name) ?? [];

    /// <summary>Reads a text.</summary>
    /// <exception cref="InvalidDataException">Not the text format: the line.</exception>
    public static TextFormat Parse(string text)
    {
        var reader = new Reader(text);
        return reader.Message(0, top: true);
    }

    private sealed class Reader(string text)
    {
        private int _at, _line = 1;

        public TextFormat Message(int depth, bool top)
        {
            if (depth > DepthLimit) throw new InvalidDataException($"line {_line}: nested more than {DepthLimit} deep");
            var message = new TextFormat(_line);
            while (true)
            {
                Skip();
                if (_at >= text.Length) return top ? message : throw new InvalidDataException($"line {message.Line}: the brace that opens here is not closed: the file is cut off");
                if (text[_at] is '}' or '>')
                {
                    if (top) throw new InvalidDataException($"line {_line}: a brace closes what none opened");
                    _at++;
                    return message;
                }
                var name = Word();
                Skip();
                var colon = Take(':');
                Skip();
                if (Take('{') || Take('<')) { Add(message, name, Message(depth + 1, false)); continue; }
                if (!colon) throw new InvalidDataException($"line {_line}: a colon or a brace should follow '{name}'");
                if (Take('['))
                {
                    for (Skip(); !Take(']'); Skip()) { Add(message, name, Value()); Skip(); Take(','); }
                    continue;
                }
                Add(message, name, Value());
            }
        }

        private static void Add(TextFormat message, string name, object value)
        {
            if (!message._fields.TryGetValue(name, out var list)) message._fields[name] = list = [];
            list.Add(value);
        }

        private bool Take(char c)
        {
            if (_at >= text.Length || text[_at] != c) return false;
            _at++;
            return true;
        }

        private void Skip()
        {
            for (; _at < text.Length; _at++)
            {
                if (text[_at] == '#') while (_at + 1 < text.Length && text[_at + 1] != '\n') _at++;
                else if (text[_at] == '\n') _line++;
                else if (!char.IsWhiteSpace(text[_at]) && text[_at] is not (',' or ';')) return;
            }
        }

        private string Word()
        {
            var start = _at;
            while (_at < text.Length && (char.IsLetterOrDigit(text[_at]) || text[_at] is '_' or '.' or '-' or '+')) _at++;
            return _at > start ? text[start.._at] : throw new InvalidDataException($"line {_line}: '{text[_at]}' stands where a name should");
        }

        private string Value()
        {
            if (_at >= text.Length) throw new InvalidDataException($"line {_line}: a value is missing: the file is cut off");
            if (text[_at] is not ('"' or '\'')) return Word();
            var quote = text[_at++];
            var start = _at;
            while (_at < text.Length && text[_at] != quote && text[_at] != '\n') _at++;
            if (_at >= text.Length || text[_at] != quote) throw new InvalidDataException($"line {_line}: the quote is not closed");
            return text[start.._at++];
        }
    }
}
