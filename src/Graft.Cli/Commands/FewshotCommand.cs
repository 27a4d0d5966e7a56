using System.CommandLine;

namespace Graft.Cli.Commands;

internal static class FewshotCommand
{
    public static Command Create() => new("fewshot", """
        Learn from one picture of each class, or five.

        Examples:
          graft fewshot classify --support pets/ photo.jpg --weights mobilenet_v2.safetensors
          graft fewshot verify a.jpg b.jpg --weights mobilenet_v2.safetensors --calibrate pets/
          graft fewshot train omniglot.zip --method protonet --way 20 --shot 1 --turns 4
          graft fewshot eval runs/LAST other.zip --way 5 --shot 5
        """) { FewshotTrainCommand.Create(), FewshotEvalCommand.Create(), FewshotClassifyCommand.Create(), FewshotVerifyCommand.Create() };
}
