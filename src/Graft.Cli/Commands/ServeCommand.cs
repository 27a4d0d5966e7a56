using System.CommandLine;
using Graft.Classification;
using Graft.Inference;
using Graft.Models;
using Graft.Serve;

namespace Graft.Cli.Commands;

internal static class ServeCommand
{
    public static Command Create()
    {
        var run = new Argument<string>("RUN") { Description = "A run folder, or any pretrained network with its classifier" };
        var asked = OptionBinder.Of<ServeOptions>();
        var command = new Command("serve", """
            Answer predictions over HTTP until Ctrl-C or SIGTERM, which let running requests finish: POST /predict, GET /health, /metrics, /openapi.json.

            Examples:
              graft serve runs/ants --urls http://0.0.0.0:8080 --api-key secret
              graft serve runs/ants --watch
              curl -H 'Content-Type: text/plain' -d 'A film to remember.' http://127.0.0.1:8080/predict
              curl --data-binary @picture.jpg http://127.0.0.1:8080/predict
              curl -F files=@a.jpg -F files=@b.jpg http://127.0.0.1:8080/predict
            """) { run };
        asked.AddTo(command);
        var watch = new Option<bool>("--watch")
            { Description = "Take the model that is put in this one's place, between two requests; one that cannot be opened is refused" };
        command.Options.Add(watch);
        var input = OptionBinder.Of<InputOptions>();
        input.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var options = asked.Read(parsed, new ServeOptions { StopsOnSignals = false });
            options = options with { ApiKey = options.ApiKey ?? Environment.GetEnvironmentVariable("GRAFT_API_KEY") };
            options.Validate();
            var path = parsed.GetValue(run)!;
            IAnsweringModel Open() => Answering.Open(path, input.Read(parsed, new InputOptions()));
            using var model = Open();
            foreach (var note in model.Notes) shell.Log(note);
            var models = new ServedModels(model);
            if (parsed.GetValue(watch)) models.Watch(Answering.FileOf(path), Open, shell.Log);
            using var server = ModelServer.Create(models, options);
            ModelServer.Start(server, options, shell.Stop).GetAwaiter().GetResult();
            shell.Result(new { urls = server.Urls, classes = model.Card.Names, preprocessing = (model as PictureModel)?.Preprocessing, notes = model.Notes });
            shell.Log($"Serving {model.Card.Names.Count} {(model.Card.Task == Data.TargetKind.Classes ? "classes" : model.Card.Task == Data.TargetKind.Labels ? "labels" : "numbers")} on {string.Join(", ", server.Urls)} (Ctrl-C or SIGTERM stops it){(options.ApiKey is null ? "; no API key is asked for" : "")}");
            shell.Stop.WaitHandle.WaitOne();
            shell.Log("Stopping: running requests are finished first");
            server.StopAsync().GetAwaiter().GetResult();
        });
        return command;
    }
}
