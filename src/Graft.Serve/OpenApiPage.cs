using System.Text.Json;
using Graft.Data;
using Graft.Inference;
using Graft.Inference.Text;

namespace Graft.Serve;

/// <summary>What the server can be asked, in OpenAPI's words.</summary>
internal static class OpenApiPage
{
    /// <summary>Of one model.</summary>
    public static string Of(IAnsweringModel model, ServeOptions options)
    {
        var (task, names, text) = (model.Card.Task, model.Card.Names, model is TextModel);
        var what = text ? "texts" : "pictures";
        object texts = new { type = "object", properties = new { text = new { type = "string" }, pair = new { type = "string" }, texts = new { type = "array", items = new { type = "string" } } } };
        var picture = new { type = "string", format = "binary" };
        object Content(object schema) => new { schema };
        var paths = new Dictionary<string, object>
        {
            ["/predict"] = new
            {
                post = new
                {
                    summary = task switch { TargetKind.Labels => $"Which labels {what} have",
                        TargetKind.Numbers => $"Which numbers go with {what}",
                        TargetKind.Similarity => "How alike two texts are", _ => $"Which of the classes {what} show" },
                        security = options.ApiKey is null ? Array.Empty<object>() : [new Dictionary<string, string[]> { ["key"] = [] }],
                    requestBody = new { required = true,
                        content = text ? new Dictionary<string, object> { ["text/plain"] = Content(new { type = "string" }), ["application/json"] = Content(texts) } : new Dictionary<string, object> { ["image/*"] = Content(picture), ["application/octet-stream"] = Content(picture),
                        ["multipart/form-data"] = Content(
                        new { type = "object", properties = new { files = new { type = "array", items = picture } } }),
                        ["application/json"] = Content(
                        new { type = "object", properties =
                        new { image = new { type = "string", description = "base64" },
                        images = new { type = "array", items = new { type = "string" } } } }) } },
                    responses = new Dictionary<string,
                        object> { ["200"] = new { description = $"predictions: {task switch { TargetKind.Labels => "labels, all", TargetKind.Numbers or TargetKind.Similarity => "numbers", _ => model.Card.Support is null ? "label" : "label (or none), unsure, distances" }} ({string.Join(", ", names.Take(20))}){(task == TargetKind.Classes && model.Card.Support is null ? ", probability, top" : "")}; errors: {what} that could not be read" }, ["401"] = new { description = "no API key" }, ["413"] = new { description = "too large" }, ["422"] = new { description = "nothing could be read" }, ["503"] = new { description = "too busy: try again" } },
                },
            },
            ["/health"] = new { get = new { summary = "Whether it runs",
                responses = new Dictionary<string, object> { ["200"] = new { description = "it does" } } } },
            ["/metrics"] = new { get = new { summary = "Counts and times, for Prometheus",
                responses = new Dictionary<string, object> { ["200"] = new { description = "text" } } } },
        };
        return JsonSerializer.Serialize(
            new { openapi = "3.0.3", info =
            new { title = "Graft", version = "1", description = $"{model.Architecture}, {names.Count} classes" }, paths,
            components = new { securitySchemes = new { key = new { type = "apiKey", name = "X-API-Key", @in = "header" } } } }, ModelServer.Json);
    }
}
