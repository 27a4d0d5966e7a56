using System.CommandLine;
using Graft.Experiments;

namespace Graft.Cli.Commands;

internal static class ReproduceCommand
{
    public static Command Create()
    {
        var name = new Argument<string?>("NAME") { Description = "Which result; without it, the list", Arity = ArgumentArity.ZeroOrOne };
        var data = new Option<string?>("--data") { Description = "The folder of the datasets", HelpName = "DIR" };
        var brief = new Option<bool>("--short") { Description = "A short form of the experiment" };
        var full = new Option<bool>("--full") { Description = "On the whole of the data, as the papers have it (omniglot); hours" };
        var steps = new Option<int?>("--steps") { Description = "With --full: steps of every training, in place of its own", HelpName = "N" };
        var seeds = new Option<int?>("--seeds") { Description = "How many seeds, in place of the experiment's own", HelpName = "N" };
        var output = new Option<string>("--out") { Description = "Where charts go", DefaultValueFactory = _ => "runs", HelpName = "DIR" };
        var only = new Option<string[]>("--only") { Description = "Some of its parts, such as methods of omniglot", HelpName = "NAME", AllowMultipleArgumentsPerToken = true };
        var command = new Command("reproduce", """
            Reproduce a published result, beside the paper's figure.

            Examples:
              graft reproduce
              graft reproduce model-a-task-b --data ../shared/data
              graft reproduce omniglot --only protonet maml
              graft reproduce omniglot --full --only challenge
            """) { name, data, brief, full, steps, seeds, output, only };
        Shell.Handle(command, (shell, parsed) =>
        {
            var wanted = parsed.GetValue(name);
            if (wanted is null)
            {
                shell.Result(new { experiments = Experiment.All.Select(found => new { found.Name, found.Summary }) });
                if (!shell.Json) shell.Table(["name", "what"], Experiment.All.Select(found => new[] { found.Name, found.Summary }));
                return;
            }
            Bounds.Whole("--seeds", parsed.GetValue(seeds), 1, 1000);
            var experiment = Experiment.All.FirstOrDefault(found => found.Name == wanted) ?? throw UnknownName.Of("experiment", wanted, Experiment.All.Select(found => found.Name), NextCommand.Of("reproduce"));
            Refuse(experiment, parsed.GetValue(brief), parsed.GetValue(full), parsed.GetValue(steps));
            var form = parsed.GetValue(brief) ? "-short" : parsed.GetValue(full) ? "-full" : "";
            var parts = ExperimentParts.In(Path.Combine(parsed.GetValue(output)!, $"reproduce-{wanted}{form}"), shell.Log, parsed.GetValue(data) ?? Environment.GetEnvironmentVariable("GRAFT_DATA"));
            var result = experiment.Run(new(parsed.GetValue(data), parsed.GetValue(brief), parsed.GetValue(seeds), shell.Log, shell.Stop)
            {
                Output = parsed.GetValue(output)!,
                Only = parsed.GetValue(only) ?? [],
                Full = parsed.GetValue(full),
                Steps = parsed.GetValue(steps),
                Parts = parts,
            });
            parts.Finish();
            shell.Result(result);
            if (shell.Json) return;
            shell.Table(result.Headers, result.Rows, [.. Enumerable.Range(1, result.Headers.Length - 1)]);
            foreach (var line in result.Remarks) shell.Say(line);
        });
        return command;
    }

    private static void Refuse(Experiment experiment, bool brief, bool full, int? steps)
    {
        Bounds.Whole("--steps", steps, 1);
        var others = string.Join(", ", Experiment.All.Where(found => found.HasFull).Select(found => found.Name));
        if (full && !experiment.HasFull) throw Bounds.Refuse($"{experiment.Name} has no full form: leave --full out. Those that have one: {others}");
        if (full && brief) throw Bounds.Refuse("--full and --short: give one of them");
        if (steps is not null && !full) throw Bounds.Refuse("--steps is of the full form: give --full too, or leave it out");
    }
}
