using System.Globalization;
using System.IO.Compression;
using System.Text.Json;
using Graft.Data;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Experiments on the whole of their data, which is asked for by name.</summary>
public sealed class FullFormTests : IDisposable
{
    private const int Characters = 20, Drawings = 20, Side = 16;

    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Reproduce(params string[] arguments) =>
        Workshop.Run("dotnet", [s_cli, "reproduce", .. arguments, "--out", _shop["runs"]],
            environment: new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    /// <summary>An archive as Omniglot's are, NAME/Alphabet/character01/0001_01.jpg: bars that cross, where is the character's own.</summary>
    private void Archive(string name, params string[] alphabets)
    {
        using var archive = new ZipArchive(File.Create(_shop["omniglot", $"{name}.zip"]), ZipArchiveMode.Create);
        using var picture = Picture.Create(Side, Side);
        foreach (var (alphabet, number) in alphabets.Select((alphabet, k) => (alphabet, k)))
        {
            for (var c = 0; c < Characters; c++)
            {
                for (var d = 0; d < Drawings; d++)
                {
                    picture.Pixels.Fill(255);
                    var (across, down) = (2 + (3 * c + d % 2) % 12, 2 + (c / 4 * 5 + number + d % 3 / 2) % 12);
                    for (var k = 1; k < Side - 1; k++)
                    {
                        picture.Pixels.Slice(3 * (k * Side + across), 3).Clear();
                        picture.Pixels.Slice(3 * (down * Side + k), 3).Clear();
                    }
                    var path = FormattableString.Invariant($"{name}/{alphabet}/character{c + 1:00}/{c:0000}_{d + 1:00}.jpg");
                    using var file = archive.CreateEntry(path).Open();
                    file.Write(picture.ToJpeg(95));
                }
            }
        }
    }

    private void Split(string file, string alphabet)
    {
        Directory.CreateDirectory(_shop["omniglot", "splits", "vinyals"]);
        string[] turns = ["000", "090", "180", "270"];
        var characters = Enumerable.Range(1, Characters).Select(c => FormattableString.Invariant($"{alphabet}/character{c:00}"));
        var lines = characters.SelectMany(character => turns.Select(turn => $"{character}/rot{turn}"));
        File.WriteAllLines(_shop["omniglot", "splits", "vinyals", file], lines);
    }

    [Theory]
    [InlineData("shots has no full form: leave --full out. Those that have one: ssl-cifar10, omniglot", "shots", "--full")]
    [InlineData("--full and --short: give one of them", "omniglot", "--full", "--short")]
    [InlineData("--steps is of the full form", "omniglot", "--steps", "10")]
    [InlineData("--steps 0: a whole number from 1 on", "omniglot", "--full", "--steps", "0")]
    [InlineData("names nothing of the full form, which has \"challenge: prototypical network\"", "omniglot", "--full", "--only", "mann")]
    public void A_full_form_that_cannot_be_is_usage(string sentence, params string[] arguments)
    {
        var (status, _, errors) = Reproduce(arguments);
        Assert.Contains(sentence, errors, StringComparison.Ordinal);
        Assert.Equal(2, status);
    }

    [Fact]
    public void Omniglots_full_form_tests_within_every_evaluation_alphabet_and_on_the_split_of_Vinyals()
    {
        Directory.CreateDirectory(_shop["omniglot"]);
        Archive("images_background", "Greek", "Hebrew");
        Archive("images_evaluation", "Tibetan", "ULOG");
        foreach (var (file, alphabet) in new[] { ("train.txt", "Greek"), ("val.txt", "Tibetan"), ("test.txt", "ULOG") }) Split(file, alphabet);
        var (status, output, errors) = Reproduce("omniglot", "--full", "--only", "protonet", "--steps", "2", "--data", _shop.Root, "--json");
        Assert.True(status == 0, errors);
        var result = JsonDocument.Parse(output).RootElement;
        static string[] Words(JsonElement list) => [.. list.EnumerateArray().Select(cell => cell.GetString()!)];
        var rows = result.GetProperty("rows").EnumerateArray().Select(Words).ToArray();
        Assert.Equal(["challenge: prototypical network, 2 steps", "vinyals: prototypical network, 2 steps"], rows.Select(row => row[0]));
        double Number(string cell) => double.Parse(cell.Split(' ')[0], CultureInfo.InvariantCulture);
        var remark = Words(result.GetProperty("remarks")).Single(found => found.Contains("Error by alphabet", StringComparison.Ordinal));
        string After(string word) => remark[(remark.IndexOf(word, StringComparison.Ordinal) + word.Length)..];
        double[] errorsOf = [Number(After("Tibetan ")), Number(After("ULOG "))];
        Assert.DoesNotContain("Greek", remark, StringComparison.Ordinal);
        // Figures with one decimal.
        Assert.InRange(Number(rows[0][6]), errorsOf.Average() - 0.11, errorsOf.Average() + 0.11);
        Assert.Equal("98.8 / 99.7 / 96.0 / 98.9", rows[1][9]);
        Assert.All(rows[1][1..5], cell => Assert.InRange(Number(cell), 0, 100));
    }
}
