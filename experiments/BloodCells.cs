using System.Globalization;
using System.Text;
using System.Xml.Linq;
using Graft.Data;
using Graft.Features;
using Graft.Inference;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>
/// The BCCD blood-cell pictures (Cheng, MIT licence) on the official split of ImageSets/Main: which kinds of cell are in a picture, as
/// several labels, and how many red cells, as a number. Both come from the annotations' boxes; there is no published figure for either.
/// </summary>
public sealed class BloodCells : Experiment
{
    private static readonly string[] s_kinds = ["RBC", "WBC", "Platelets"];

    /// <inheritdoc/>
    public override string Name => "blood-cells";

    /// <inheritdoc/>
    public override string Summary => "Which kinds of blood cell are in a picture, and how many red ones (BCCD)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var data = options.Need("bccd");
        var weights = options.Need("weights", "mobilenet_v2_imagenet.safetensors");
        var folder = Directory.CreateDirectory(Path.Combine(Path.GetFullPath(options.Output), Name)).FullName;
        var (kinds, counts) = WriteTables(data, folder);
        var rows = new List<string[]>();
        // s4 is where the advisor's probe of the training pictures is best for the number: the mean over the positions of the top keeps no count.
        foreach (var strategy in options.Short ? ["feature", "feature:s4"] : (string[])["feature", "feature:s4", "head-then-full"])
        {
            foreach (var table in strategy == "feature:s4" ? [counts] : (string[])[kinds, counts])
            {
                options.Log($"{strategy}, {Path.GetFileName(table)}");
                var run = Path.Combine(folder, $"{Path.GetFileNameWithoutExtension(table)}-{strategy.Replace(':', '-')}");
                var how = new TrainOptions { Data = table, Weights = weights, Strategy = strategy, Out = run, Overwrite = true };
                var task = new TransferTask(how) { Cache = FeatureCache.Default(), Cancel = options.Cancel };
                var result = task.Run();
                using var model = PictureModel.Open(run);
                var judged = model.Judge(model.OpenData(table, "test"), cancel: options.Cancel).Measured;
                rows.Add(judged is LabelMetrics labels
                    ? [$"kinds present, {strategy}",
                        F($"mAP {labels.MeanAveragePrecision:0.000} ({labels.Interval[0]:0.000} to {labels.Interval[1]:0.000})"),
                        F($"F1: micro {labels.MicroF1:0.000}, macro {labels.MacroF1:0.000}"),
                        string.Join(", ", labels.PerLabel.Select(label => F($"{label.Name} {(double)label.Count / labels.Count:0.000}"))),
                        F($"{result.Seconds:0.0}")]
                    : Counted((NumberMetrics)judged, strategy, result.Seconds, MeanError(table)));
            }
        }
        return new ExperimentResult(Name, ["what, and how", "on the test part", "", "beside it", "seconds"], rows,
            ["Beside it: of the kinds, the share of pictures that have each, which is the average precision of any order; of the number, "
                + "the mean absolute error of always saying the training part's mean.", $"The tables: {kinds}, {counts}"]);
    }

    private static string F(FormattableString text) => FormattableString.Invariant(text);

    private static string[] Counted(NumberMetrics numbers, string strategy, double seconds, double mean)
    {
        var cells = numbers.PerColumn[0];
        return [$"red cells, {strategy}", F($"MAE {cells.Mae:0.00} ({cells.MaeInterval[0]:0.00} to {cells.MaeInterval[1]:0.00})"),
            F($"RMSE {cells.Rmse:0.00}, R² {cells.RSquared:0.000}"), F($"MAE of the mean {mean:0.00}"), F($"{seconds:0.0}")];
    }

    private static double MeanError(string table)
    {
        var splits = DatasetReader.Open(table);
        static IEnumerable<double> Values(Dataset part) => ((NumberTargets)part.Targets).Rows.Select(row => (double)row[0]);
        var mean = Values(splits.Train).Average();
        return Values(splits.Test!).Average(value => Math.Abs(value - mean));
    }

    /// <summary>Two CSVs from the annotations: path, split and the kinds present; path, split and the number of red cells.</summary>
    private static (string Kinds, string Counts) WriteTables(string data, string folder)
    {
        var (kinds, counts) = (new StringBuilder("path,split,labels\n"), new StringBuilder("path,split,red_cells\n"));
        foreach (var part in new[] { "train", "val", "test" })
        {
            var names = File.ReadLines(Path.Combine(data, "ImageSets", "Main", $"{part}.txt")).Select(line => line.Trim());
            foreach (var name in names.Where(line => line.Length > 0))
            {
                var boxes = XDocument.Load(Path.Combine(data, "Annotations", $"{name}.xml")).Descendants("object");
                var cells = boxes.Select(box => box.Element("name")!.Value.Trim()).ToArray();
                var picture = Path.GetFullPath(Path.Combine(data, "JPEGImages", $"{name}.jpg"));
                kinds.Append(CultureInfo.InvariantCulture, $"\"{picture}\",{part},{string.Join(';', s_kinds.Where(cells.Contains))}\n");
                counts.Append(CultureInfo.InvariantCulture, $"\"{picture}\",{part},{cells.Count(cell => cell == "RBC")}\n");
            }
        }
        var (first, second) = (Path.Combine(folder, "kinds.csv"), Path.Combine(folder, "counts.csv"));
        File.WriteAllText(first, kinds.ToString());
        File.WriteAllText(second, counts.ToString());
        return (first, second);
    }
}
