using System.Text;
using Graft.Data;
using Graft.Inference.Text;
using Graft.Testing;

namespace Graft.Tests;

public sealed class WordPieceTrainerTests
{
    private static string[] Pieces(byte[] vocabulary) => Encoding.UTF8.GetString(vocabulary).TrimEnd('\n').Split('\n');

    /// <summary>Worked by hand. At first w e stands beside each other 2 + 6 = 8 times, which is the most; then l o, 7 times, where o w is left with
    /// 5; then come
    /// those of newest, 6 times each, of equals the pair whose pieces came first; then lo w, 5 times; at last those of lower, twice.</summary>
    [Fact]
    public void Pairs_become_pieces_by_their_counts()
    {
        string[] lines = [.. Enumerable.Repeat("low", 5), .. Enumerable.Repeat("lower", 2), .. Enumerable.Repeat("newest", 6)];
        var pieces = Pieces(WordPieceTrainer.Train(lines, 100, lower: true));
        Assert.Equal(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##e", "##o", "##r", "##s", "##t", "##w", "l", "n"], pieces[..13]);
        Assert.Equal(["##we", "lo", "##ewe", "##st", "newe", "newest", "low", "##wer", "lower"], pieces[13..]);
    }

    [Fact]
    public void The_same_lines_give_the_same_bytes_whatever_their_order()
    {
        string[] lines = [.. Enumerable.Range(0, 3000).Select(k => $"word{k % 70} and ano{k % 13}ther {(char)('가' + k % 200)}다")];
        var first = WordPieceTrainer.Train(lines, 300, lower: false);
        Assert.Equal(first, WordPieceTrainer.Train(lines, 300, lower: false));
        Assert.Equal(first, WordPieceTrainer.Train(lines.Reverse(), 300, lower: false));
        Assert.Equal(300, Pieces(first).Length);
    }

    [Fact]
    public void No_word_at_all_and_a_size_out_of_bounds_are_refused()
    {
        Assert.Contains("hold no word", Assert.Throws<GraftException>(() => WordPieceTrainer.Train(["", "  "], 100, lower: true)).Message,
            StringComparison.Ordinal);
        Assert.True(Assert.Throws<GraftException>(() => WordPieceTrainer.Train(["a"], 99, lower: true)).IsUsage);
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_vocabulary_of_Korean_sentences_knows_nearly_all_of_them_and_has_frequent_words_whole(bool lower)
    {
        var lines = File.ReadAllLines(Workshop.Need("nsmc", "unlabelled.txt"))[..20_000];
        var told = 0;
        var vocabulary = WordPieceTrainer.Train(lines, 8000, lower, _ => told++);
        Assert.True(told > 3);
        var pieces = Pieces(vocabulary);
        Assert.Equal(8000, pieces.Length);
        var tokenizer = Tokenizers.WordPiece(vocabulary, lower);
        var (all, unknown) = (0, 0);
        foreach (var line in lines)
        {
            var ids = tokenizer.Encode(new TextItem(line), 100_000).Ids;
            all += ids.Length;
            unknown += ids.Count(id => id == 1);
        }
        Assert.InRange((double)unknown / all, 0, 0.005);
        foreach (var word in new[] { "영화", "진짜", "너무", "정말", "재미" }) Assert.Single(tokenizer.Encode(new TextItem(word), 9).Ids[1..^1]);
    }
}
