// POST a picture to /classify, and the trained model says what it is:
//     dotnet run -- runs/ants
//     curl --data-binary @ant.jpg http://localhost:5000/classify
using Graft.Data;
using Graft.Inference;

using var model = PictureModel.Open(args is [var path, ..] ? path : "model.onnx");
var app = WebApplication.CreateBuilder(args).Build();
app.MapPost("/classify", async (HttpRequest request) =>
{
    using var body = new MemoryStream();
    await request.Body.CopyToAsync(body);
    try
    {
        var found = model.Answer(body.ToArray());
        return Results.Ok(new { found.Label, found.Probability, found.Top });
    }
    catch (PictureException reason)
    {
        return Results.UnprocessableEntity(new { error = reason.Message });
    }
});
app.Run();
