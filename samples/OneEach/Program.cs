// dotnet run -- SUPPORT PICTURE [WEIGHTS]: one picture of each class in a folder of its own is enough; nothing is trained. (libtorch is needed for
// weights that the cache does not know yet.)
using Graft.Data;
using Graft.Features;
using Graft.FewShot;

using var encoder = PictureEncoder.Open(args.ElementAtOrDefault(2) ?? "shapes", cache: FeatureCache.Default());
using var set = new SupportSet(encoder);
foreach (var broken in set.Add(DatasetReader.Open(args[0]).Train)) Console.Error.WriteLine($"{broken.File}: {broken.Error}");
foreach (var answer in set.Classify([args[1]])
    .Answers) Console.WriteLine($"{answer.File}: {answer.Label ?? "none of these"}{(answer.Unsure ? " (unsure)" : "")}");
