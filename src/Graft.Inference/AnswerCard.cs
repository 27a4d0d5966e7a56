using System.Numerics.Tensors;
using System.Text.Json;
using Graft.Data;

namespace Graft.Inference;

/// <summary>What a model's answers are: of which task, what its outputs are called, and how their numbers are read.</summary>
/// <param name="Task">One class, several labels, numbers, how alike a pair is.</param>
/// <param name="Names">Of the classes, the labels or the columns, in the order of the outputs.</param>
public sealed record AnswerCard(TargetKind Task, IReadOnlyList<string> Names)
{
    /// <summary>Of several labels: from which probability on each is said; null: a half.</summary>
    public IReadOnlyList<double>? Thresholds { get; init; }

    /// <summary>Of numbers: between what residuals nine of ten lie, for each column; null: not known.</summary>
    public IReadOnlyList<double[]>? Residuals { get; init; }

    /// <summary>Whether the network gives scores, whose softmax or sigmoid the probabilities are; else it gives these.</summary>
    public bool Scores { get; init; }

    /// <summary>Whether the names are the outputs' numbers, for want of better ones.</summary>
    internal bool Unnamed { get; init; }

    /// <summary>Of the similarity of pairs: how the vectors of the two texts become a score; null: a pair is read at once.</summary>
    internal PairScore? Pair { get; init; }

    /// <summary>Of a model of several tasks: each, their outputs one after another. <see cref="Names"/> then are of all outputs, and
    /// <see cref="Task"/> says nothing; null: it has one task.</summary>
    public IReadOnlyList<TaskAnswers>? Tasks { get; init; }

    /// <summary>Of a support set: it. The numbers are distances then.</summary>
    internal SupportFeatures? Support { get; init; }

    /// <summary>From a file's card.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    internal static AnswerCard Of(IReadOnlyDictionary<string, string> card, int outputs)
    {
        var pair = PairScore.Of(card);
        // What the network itself gives then is a vector.
        if (pair is not null) outputs = 1;
        var names = card.TryGetValue("classes", out var text) ? JsonSerializer.Deserialize<string[]>(text) : null;
        if (names is null || names.Length != outputs || names.Contains(null!)) throw new InvalidDataException($"its classes are not {outputs} names");
        if (TaskAnswers.Of(card, outputs) is { } tasks) return OfTasks(tasks);
        return new AnswerCard(TaskOf(card), names) { Pair = pair, Thresholds = ThresholdsOf(card, outputs), Residuals = ResidualsOf(card, outputs),
            Scores = card.GetValueOrDefault("output") == "scores" };
    }

    /// <summary>Of several tasks, whose outputs are scores.</summary>
    internal static AnswerCard OfTasks(IReadOnlyList<TaskAnswers> tasks) =>
        new(TargetKind.Classes, [.. tasks.SelectMany(task => task.OutputNames)]) { Tasks = tasks, Scores = true };

    internal static TargetKind TaskOf(IReadOnlyDictionary<string, string>? card) => card?.GetValueOrDefault("task") switch
    {
        "labels" => TargetKind.Labels, "numbers" => TargetKind.Numbers, "similarity" => TargetKind.Similarity, _ => TargetKind.Classes,
    };

    internal static double[]? ThresholdsOf(IReadOnlyDictionary<string, string>? card, int count) =>
        card?.GetValueOrDefault("thresholds") is not { } text ? null
        : JsonSerializer.Deserialize<double[]>(text) is { } found && found.Length == count ? found
        : throw new InvalidDataException($"its thresholds are not {count} numbers");

    internal static double[][]? ResidualsOf(IReadOnlyDictionary<string, string>? card, int count) =>
        card?.GetValueOrDefault("residuals") is not { } text ? null
        : JsonSerializer.Deserialize<double[][]>(text) is { } found && found.Length == count && found.All(pair => pair is { Length: 2 }) ? found
        : throw new InvalidDataException($"its residuals are not {count} pairs of numbers");

    /// <summary>Makes answers of what the network gave for one picture.</summary>
    internal void Finish(Span<float> row)
    {
        if (Tasks is not null)
        {
            foreach (var task in Tasks)
            {
                task.Card.Finish(row[..task.Card.Names.Count]);
                row = row[task.Card.Names.Count..];
            }
            return;
        }
        if (!Scores || Task is TargetKind.Numbers or TargetKind.Similarity) return;
        if (Task == TargetKind.Labels) TensorPrimitives.Sigmoid<float>(row, row);
        else
        {
            // As libtorch does: less the largest, so that no power overflows.
            TensorPrimitives.Subtract(row, TensorPrimitives.Max<float>(row), row);
            TensorPrimitives.SoftMax<float>(row, row);
        }
    }

    /// <summary>An answer in words.</summary>
    /// <param name="file">The picture.</param>
    /// <param name="answers">Of each class, label or column.</param>
    /// <param name="top">Classes that are ranked.</param>
    public Prediction Say(string file, ReadOnlySpan<float> answers, int top = 5)
    {
        if (Tasks is not null)
        {
            var parts = new List<TaskPrediction>();
            foreach (var task in Tasks)
            {
                parts.Add(new TaskPrediction(task.Name, task.Card.Say(file, answers[..task.Card.Names.Count], top)));
                answers = answers[task.Card.Names.Count..];
            }
            return new Prediction(file, string.Join("; ", parts), double.NaN, []) { Tasks = parts };
        }
        if (Support is not null)
        {
            var said = Support.Say(file, answers);
            return new Prediction(file, said.Label ?? "none of these", double.NaN, []) { Support = said };
        }
        float[] values = [.. answers];
        if (Task is TargetKind.Numbers or TargetKind.Similarity)
        {
            PredictedNumber[] numbers = [.. values.Select((value, k) =>
                new PredictedNumber(Names[k], value, value + Residuals?[k][0], value + Residuals?[k][1]))];
            return new Prediction(file, string.Join("; ", numbers.Select(number => $"{number}")), double.NaN, []) { Numbers = numbers };
        }
        var ranked = values.Select((p, k) => (Index: k, Label: new RankedLabel(Names[k], p))).OrderByDescending(item => item.Label.Probability)
            .ToArray();
        if (Task == TargetKind.Labels)
        {
            RankedLabel[] said = [.. ranked.Where(item => item.Label.Probability >= (Thresholds?[item.Index] ?? 0.5)).Select(item => item.Label)];
            return new Prediction(file, string.Join("; ", said.Select(item => item.Label)), double.NaN,
                [.. ranked.Select(item => item.Label)]) { Labels = said };
        }
        RankedLabel[] first = [.. ranked.Take(top).Select(item => item.Label)];
        return new Prediction(file, first[0].Label, first[0].Probability, first);
    }

    /// <summary>Labelled pictures in the order of these names. Outputs without names take the dataset's own, in their order.</summary>
    /// <exception cref="GraftException">Other classes, or more of them.</exception>
    public Dataset Open(string data, string? split = null) => Open(data, split, null);

    /// <summary>The same, of a table of sentences whose columns are named.</summary>
    internal Dataset Open(string data, string? split, TextColumns? columns)
    {
        if (Tasks is not null) throw new GraftException($"the model tells several tasks, {string.Join(", ", Tasks.Select(task => task.Name))}: "
            + $"{NextCommand.Of("evaluate")} RUN TABLE measures it on a table with a column for each");
        if (Task != TargetKind.Classes) return DatasetReader.OpenWithClasses(data, Names, split, Task, columns);
        if (!Unnamed) return DatasetReader.OpenWithClasses(data, Names, split, TargetKind.Classes, columns);
        var parts = DatasetReader.OpenParts(data, null, TargetKind.Classes);
        var set = parts.Part("train") is { } train ? ClassNames.Match(parts.Pick(split), train.Classes) : parts.Pick(split);
        if (set.Classes.Count > Names.Count) throw new GraftException($"{data} has {set.Classes.Count} classes and the network {Names.Count} outputs: name the outputs with --labels FILE");
        return set.Classes.SequenceEqual(Names) ? set : set.Relabel(label => label, [.. set.Classes, .. Names.Skip(set.Classes.Count)]);
    }
}
