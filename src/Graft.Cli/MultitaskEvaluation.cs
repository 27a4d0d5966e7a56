using Graft.Data;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.MultiTask;

namespace Graft.Cli;

/// <summary>What <c>graft evaluate</c> does with a model of several tasks.</summary>
internal static class MultitaskEvaluation
{
    public static void Run(Shell shell, IAnsweringModel model, string data, string? split, TextColumns columns)
    {
        TaskColumn[] tasks = [.. model.Card.Tasks!.Select(task => new TaskColumn(task.Name, task.Card.Task, task.Card.Names))];
        var (set, notes) = TaskTable.ReadFor(data, tasks, split, columns);
        if (set.IsText != model is TextModel) throw new GraftException($"{data} holds {set.Noun.Many}, and the model "
            + $"{(set.IsText ? "sees pictures" : "reads sentences")}");
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var (answers, indices, broken) = model.AnswerAll(set, (done, total) =>
            shell.Progress(new ProgressReport(set.Noun.Many, done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)) {
                Unit = set.Noun.Many }), shell.Stop);
        if (indices.Length == 0) throw new GraftException($"none of the {set.Count} {set.Noun.Many} of {data} can be "
            + $"read{(broken.Count > 0 ? $". The first: {broken[0].File}: {broken[0].Error}" : "")}");
        var (starts, _) = TaskColumn.Places(tasks, task => task.Width);
        var (outputs, width) = TaskColumn.Places(tasks, task => task.Names.Count);
        var rows = ((NumberTargets)set.Targets).Rows;
        float[][] read = [.. indices.Select(k => rows[k])];
        var scores = tasks.Select((task, t) =>
        {
            var (items, targets) = task.Told(read, starts[t]);
            float[] own = [.. items.SelectMany(k => answers[(k * width + outputs[t])..(k * width + outputs[t] + task.Names.Count)])];
            return TaskScore.Of(task, items.Length == 0 ? null : TaskMetrics.Of(own, targets));
        }).ToArray();
        shell.Result(new { tasks = scores, errors = broken, left_out = LeftOutView.Json(notes, broken), notes = model.Notes.Concat(notes.Remarks) });
        if (shell.Json) return;
        LeftOutView.Say(shell, notes, broken);
        shell.Table(["task", "measure", set.Noun.Many, "score", "95% interval"], scores.Select(score => new[]
        {
            score.Task, score.Measure, $"{score.Count}", MultiTaskView.Said(score), MultiTaskView.Interval(score),
        }), 2, 3, 4);
    }
}
