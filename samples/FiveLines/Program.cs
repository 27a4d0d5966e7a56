// dotnet run -- PHOTOS PICTURE [WEIGHTS]: trains on a folder of class folders, and says what a picture is.
using Graft.Inference;
using Graft.Transfer;

var task = new TransferTask(new TrainOptions { Data = args[0], Weights = args.ElementAtOrDefault(2) }) { Progress = step =>
    Console.Error.Write($"\r{step}   ") };
using var model = PictureModel.Open(task.Run().Run);
Console.WriteLine(model.Answer(args[1]));
