// Fills in what a card says of its architecture and can be computed: parameters, operations, the classifier's name, the signature.
//   dotnet run --project tools/CardWriter -c Release -- src/Graft/Models/Zoo/Cards/cards.json
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Torch;

var path = args[0];
var cards = JsonNode.Parse(File.ReadAllText(path))!.AsArray();
foreach (var card in cards.Select(card => card!.AsObject()))
{
    using var skip = Initialisers.Skip();
    var name = (string)card["name"]!;
    using var backbone = BackboneCatalogue.Create(name, name.StartsWith("cifar", StringComparison.Ordinal) ? 10 : name is "convnet" or "mlp" ? null : 1000);
    card["parameters"] = backbone.ParameterCount;
    card["multiplyAdds"] = Profile.Of(backbone).Sum(stage => stage.MultiplyAdds);
    card["head"] = backbone.HeadName;
    if (name is not ("convnet" or "mlp")) card["signature"] = BackboneCatalogue.Signature(backbone.State().Select(item => KeyValuePair.Create(item.Key, item.Value.Shape)), backbone.HeadName);
    Console.Error.WriteLine($"{name}: {(long)card["parameters"]! / 1e6:0.00} M parameters, {(long)card["multiplyAdds"]! / 1e9:0.000} G multiply-adds");
}
var json = new JsonSerializerOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
File.WriteAllText(path, $"[\n{string.Join(",\n", cards.Select(card => "  " + card!.ToJsonString(json)))}\n]\n");
