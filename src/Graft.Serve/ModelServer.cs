using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Graft.Data;
using Graft.Inference;
using Graft.Inference.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Graft.Serve;

/// <summary>A model behind HTTP: POST /predict, GET /health, /metrics, /openapi.json.</summary>
public static class ModelServer
{
    internal static readonly JsonSerializerOptions Json =
        new(JsonSerializerDefaults.Web) { NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private sealed record Found(string? File, Prediction? Said, string? Error);

    private sealed record Ranked(string Label, double Probability);

    /// <summary>Makes the server; the caller runs it. A stop lets running requests finish.</summary>
    /// <exception cref="GraftException">An address that is none.</exception>
    public static WebApplication Create(PictureModel model, ServeOptions options) => Create(new ServedModels(model), options);

    /// <summary>The same, of a model that may be replaced while it is served.</summary>
    internal static WebApplication Create(ServedModels models, ServeOptions options)
    {
        options.Validate();
        foreach (var address in Addresses(options)) Check(address);
        var builder = WebApplication.CreateSlimBuilder();
        // What fails while it starts is thrown, not logged beside it; stdout is the caller's.
        builder.Logging.SetMinimumLevel(LogLevel.Warning).AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.WebHost.UseUrls(options.Urls).ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = options.MaxBytes;
            kestrel.AddServerHeader = false;
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.MaxTime);
        if (!options.StopsOnSignals) builder.Services.AddSingleton<IHostLifetime, NoSignals>();
        builder.Services.Configure<FormOptions>(form => form.MultipartBodyLengthLimit = options.MaxBytes);
        var application = builder.Build();
        // What no handler answers (another path, another verb, a fault) is answered in JSON too.
        application.UseExceptionHandler(failed => failed.Run(context => Tell(context, 500, "something went wrong here: the server's log says what")));
        application.UseStatusCodePages(pages =>
            Tell(pages.HttpContext, pages.HttpContext.Response.StatusCode, pages.HttpContext.Response.StatusCode switch
        {
            404 => $"there is no {pages.HttpContext.Request.Path}: POST /predict, GET /health, /metrics, /openapi.json",
            405 => $"{pages.HttpContext.Request.Path} is not asked by {pages.HttpContext.Request.Method}: {pages.HttpContext.Response.Headers.Allow} is",
            var status => Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status).ToLowerInvariant(),
        }));
        application.Lifetime.ApplicationStopped.Register(models.Dispose);
        var counts = new RequestCounts();
        T Now<T>(Func<ServedModel, T> ask)
        {
            var served = models.Hold();
            try
            {
                return ask(served);
            }
            finally
            {
                served.Release();
            }
        }
        application.MapGet("/health", () =>
            Now(served => Results.Json(new { status = "ok", classes = served.Model.Card.Names.Count, architecture = served.Model.Architecture },
            Json)));
        application.MapGet("/metrics", () => Now(served => Results.Text(counts.Text(served.Predictor), "text/plain; version=0.0.4")));
        application.MapGet("/openapi.json", () => Now(served => Results.Text(OpenApiPage.Of(served.Model, options), "application/json")));
        application.MapPost("/predict", async context =>
        {
            // All pictures of a request are answered by one model.
            var served = models.Hold();
            try
            {
                await Predict(context, served.Model, served.Predictor, options, counts).ConfigureAwait(false);
            }
            finally
            {
                served.Release();
            }
        });
        return application;
    }

    /// <summary>Starts a server that <see cref="Create(PictureModel, ServeOptions)"/> made.</summary>
    /// <exception cref="GraftException">It cannot listen where it should: why, and what to do.</exception>
    public static async Task Start(WebApplication server, ServeOptions options, CancellationToken cancel = default)
    {
        try
        {
            await server.StartAsync(cancel).ConfigureAwait(false);
        }
        catch (Exception reason) when (reason is IOException or SocketException or InvalidOperationException or ArgumentException or FormatException)
        {
            var socket = reason as SocketException ?? reason.InnerException as SocketException
                ?? reason.InnerException?.InnerException as SocketException;
            throw new GraftException($"cannot listen on {options.Urls}: " + socket?.SocketErrorCode switch
            {
                SocketError.AddressAlreadyInUse => "another program does. Stop it, or name another port, such as --urls http://127.0.0.1:8081",
                SocketError.AccessDenied => "this account may not. Ports below 1024 are the system's: name a higher one, such as --urls http://127.0.0.1:8080",
                SocketError.AddressNotAvailable => "this machine has no such address. 127.0.0.1 is itself alone, 0.0.0.0 all that it has",
                _ => reason.Message.TrimEnd('.'),
            }, reason);
        }
    }

    private static IEnumerable<string> Addresses(ServeOptions options) =>
        options.Urls.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) is { Length: > 0 } found ? found : [""];

    private static void Check(string address)
    {
        if (address.StartsWith("https:", StringComparison.OrdinalIgnoreCase)) throw Bounds.Refuse($"--urls {address}: only http is spoken here. Put a proxy that speaks https (nginx, Caddy) in front");
        try
        {
            if (BindingAddress.Parse(address) is { Scheme: "http", Port: >= 0 and <= 65535, PathBase.Length: 0 }) return;
        }
        catch (Exception reason) when (reason is FormatException or InvalidOperationException or ArgumentException)
        {
            throw NoAddress(address, reason);
        }
        throw NoAddress(address, null);
    }

    private static GraftException NoAddress(string address, Exception? reason) => new($"--urls {(address.Length > 0 ? address : "''")}: no address to listen on. Give one such as http://127.0.0.1:8080, or http://0.0.0.0:8080 for every machine that reaches this one", reason!) { IsUsage = true };

    private static Task Tell(HttpContext context, int status, string sentence)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(new { error = sentence }, Json);
    }

    private static async Task Predict(HttpContext context, IAnsweringModel model, IPredictor predictor, ServeOptions options,
        RequestCounts counts)
    {
        var clock = Stopwatch.GetTimestamp();
        var (status, body) = await Answer(context, model, predictor, options).ConfigureAwait(false);
        counts.Count(status, Stopwatch.GetElapsedTime(clock).TotalSeconds);
        if (context.RequestAborted.IsCancellationRequested) return;
        context.Response.StatusCode = status;
        if (status == 503) context.Response.Headers.RetryAfter = "1";
        await context.Response.WriteAsJsonAsync(body, Json, context.RequestAborted).ConfigureAwait(false);
    }

    private static async Task<(int Status, object Body)> Answer(HttpContext context, IAnsweringModel model, IPredictor predictor,
        ServeOptions options)
    {
        if (options.ApiKey is { } key && !Same(key, Given(context.Request))) return (401,
            new { error = "the API key is missing or wrong: send it as X-API-Key" });
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(options.MaxTime);
        try
        {
            var text = model is TextModel;
            var pictures = await (text ? RequestItems.Sentences(context.Request, limit.Token) : RequestItems.Pictures(context.Request, limit.Token)).ConfigureAwait(false);
            if (pictures.Count == 0) return (400, new { error = text ? "no text was sent: send it as text/plain, or {\"text\": \"…\"}, {\"texts\": […]}"
                : "no picture was sent: send its bytes, a form with files, or {\"image\": \"…base64…\"}" });
            if (pictures.Count > options.MaxPictures) return (413,
                new { error = $"{pictures.Count} {(text ? "texts" : "pictures")} in one request: at most {options.MaxPictures}" });
            var found = await Task.WhenAll(pictures.Select(picture => One(picture.Name, picture.Bytes, model, predictor, options.Top)))
                .WaitAsync(limit.Token).ConfigureAwait(false);
            // curl -d @FILE says so, and leaves line ends out of the file.
            var hint = context.Request.ContentType?.StartsWith("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase) == true
                ? "; curl sends a file whole with --data-binary @FILE or -F files=@FILE" : "";
            var answered = found.Where(item => item.Error is null).Select(item => Answered(item.File, item.Said!));
            var failed = found.Where(item => item.Error is not null).Select(item => new { item.File, error = item.Error + hint }).ToArray();
            return failed.Length == found.Length ? (422, new { error = failed[0].error, predictions = answered, errors = failed })
                : (200, new { predictions = answered, errors = failed });
        }
        catch (QueueFullException reason)
        {
            return (503, new { error = reason.Message });
        }
        catch (OperationCanceledException)
        {
            return (503, new { error = $"it took longer than {options.MaxTime.TotalSeconds:0} s" });
        }
        catch (BadHttpRequestException reason)
        {
            return (reason.StatusCode, new { error =
                reason.StatusCode == 413 ? $"the request is larger than {options.MaxBytes >> 20} MB" : reason.Message });
        }
        catch (JsonException reason)
        {
            return (400, new { error = $"the JSON cannot be read: {reason.Message.Split(" LineNumber:")[0].Split(" Path:")[0]} Send {(model is TextModel ? "{\"text\": \"…\"} or {\"texts\": […]}" : "{\"image\": \"…base64…\"} or {\"images\": […]}")}" });
        }
        catch (Exception reason) when (reason is FormatException or InvalidDataException)
        {
            return (400, new { error = reason.Message });
        }
        catch (Exception reason) when (reason is not IOException)
        {
            context.RequestServices.GetRequiredService<ILogger<BatchingPredictor>>()
                .LogError("{Kind}: {Reason}", reason.GetType().Name, reason.Message);
            return (500, new { error = "something went wrong here: the server's log says what" });
        }
    }

    private static object Answered(string? file, Prediction said)
    {
        static Ranked[] Ranks(IEnumerable<RankedLabel> labels) => [.. labels.Select(item => new Ranked(item.Label, item.Probability))];
        if (said.Numbers is { } numbers) return new { file, numbers };
        if (said.Support is { } set) return new { file, label = set.Label, none = set.Label is null, unsure = set.Unsure,
            distances = set.Distances.Select(pair => new { label = pair.Class, distance = pair.Distance }) };
        return said.Labels is { } labels ? new { file, labels = Ranks(labels), all = Ranks(said.Top) }
            : new { file, label = said.Label, probability = said.Probability, top = Ranks(said.Top) };
    }

    private static async Task<Found> One(string? name, byte[] bytes, IAnsweringModel model, IPredictor predictor, int top)
    {
        try
        {
            var probabilities = await Task.Run(() => predictor.Predict(bytes)).ConfigureAwait(false);
            return new Found(name, model.Card.Say(name ?? "", probabilities, top), null);
        }
        catch (PictureException reason)
        {
            return new Found(name, null, reason.Message);
        }
    }

    private static string Given(HttpRequest request) => request.Headers["X-API-Key"].FirstOrDefault()
        ?? (request.Headers.Authorization.FirstOrDefault() is { } bearer
        && bearer.StartsWith("Bearer ", StringComparison.Ordinal) ? bearer[7..] : "");

    private static bool Same(string key, string given) =>
        CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(key)), SHA256.HashData(Encoding.UTF8.GetBytes(given)));

    /// <summary>The host of the server listens to signals.</summary>
    private sealed class NoSignals : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
