// Writes src/Graft.Torch/Operators/Operators.g.cs from the table of schemas beside it:
//   dotnet run --project tools/OperatorGenerator -- src/Graft.Torch/Operators
using OperatorGenerator;

if (args is not [var folder])
{
    Console.Error.WriteLine("usage: OperatorGenerator FOLDER (the one that holds operators.txt)");
    return 2;
}
File.WriteAllText(Path.Combine(folder, "Operators.g.cs"), Writer.Write(File.ReadAllLines(Path.Combine(folder, "operators.txt"))));
return 0;
