// Graft's side of bench/run: each job prints one JSON object with its figure and the process's peak memory.
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Heads;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Inference.Words;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Pretraining;
using Graft.Torch;

var data = Environment.GetEnvironmentVariable("GRAFT_DATA") ?? "../shared/data";
var ants = Path.Combine(data, "hymenoptera");
var weights = Path.Combine(data, "weights", "mobilenet_v2_imagenet.safetensors");

switch (args[0])
{
    case "features": Features(); break;
    case "decode": Decode(); break;
    case "finetune-mobilenet": FineTune(ModelOpener.Load(weights).Backbone, 2, 32, 224, 6); break;
    case "finetune-resnet20": FineTune(BackboneCatalogue.Create("cifar_resnet20"), 10, 128, 32, 15); break;
    case "head-export": HeadExport(); break;
    case "head-softmax": HeadSolve(LinearLoss.Softmax); break;
    case "head-svm": HeadSolve(LinearLoss.SquaredHinge); break;
    case "protonet" or "maml": Episodes(args[0]); break;
    case "rbm": Machine(int.Parse(args[1], CultureInfo.InvariantCulture)); break;
    case "memory": Memory(); break;
    case "load": LoadCheckpoint(args[1]); break;
    case "convolutional": ConvolutionalAlexNet(int.Parse(args[1], CultureInfo.InvariantCulture)); break;
    case "serve-load": ServeLoad(args[1], args[2], int.Parse(args[3], CultureInfo.InvariantCulture), double.Parse(args[4], CultureInfo.InvariantCulture)).GetAwaiter().GetResult(); break;
    case "text-export": TextExport(args[1], args[2]); break;
    case "sentences": Sentences(); break;
    case "finetune-sentences": FineTuneSentences(); break;
    case "ssl": SelfSupervision(args[1], args[2]); break;
    case "tokenize": Tokenize(args[1], args[2] == "lower", args[3]); break;
    case "search": Search(int.Parse(args[1], CultureInfo.InvariantCulture), args[2] == "half"); break;
    case "skip-gram": LearnWords(Path.Combine(data, "nsmc", "unlabelled.txt")); break;
    default: Console.Error.WriteLine($"no job is called {args[0]}"); return 2;
}
return 0;

void Report(double value, string more = "")
{
    var peak = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{{\"value\": {value:R}, {more}\"peak_mb\": {long.Parse(peak, CultureInfo.InvariantCulture) / 1024}}}"));
}

// The ten nearest of a million made-up vectors of 384 numbers, for so many questions at a time.
unsafe void Search(int batch, bool half)
{
    const int Count = 1_000_000, Size = 384, Top = 10;
    var rng = new Random(1);
    var asked = new float[batch * Size];
    for (var k = 0; k < asked.Length; k++) asked[k] = rng.NextSingle() - 0.5f;
    void Run<T>(Func<float, T> made) where T : unmanaged
    {
        var rows = GC.AllocateUninitializedArray<T>(Count * Size, pinned: true);
        for (var k = 0; k < rows.Length; k++) rows[k] = made(rng.NextSingle() - 0.5f);
        var table = new NearestRows(Marshal.UnsafeAddrOfPinnedArrayElement(rows, 0), Count, Size, half);
        table.Find(asked, Top);
        var (clock, done) = (Stopwatch.StartNew(), 0);
        for (; clock.Elapsed.TotalSeconds < 6; done += batch) table.Find(asked, Top);
        Report(done / clock.Elapsed.TotalSeconds);
        GC.KeepAlive(rows);
    }
    if (half) Run(value => (Half)value);
    else Run(value => value);
}

void LearnWords(string path)
{
    var lines = File.ReadAllLines(path);
    var clock = Stopwatch.StartNew();
    var words = 0L;
    SkipGram.Train(lines, new SkipGramOptions(), progress => words = progress.Total);
    Report(words / clock.Elapsed.TotalSeconds);
}

void Features()
{
    var splits = DatasetReader.Open(ants);
    using var backbone = ModelOpener.Load(weights).Backbone;
    var extractor = new FeatureExtractor(backbone, null);
    var clock = Stopwatch.StartNew();
    var count = 0;
    // The tracing and optimising of the network is part of the time.
    foreach (var part in new[] { splits.Train, splits.Validation! })
    {
        var extraction = extractor.Pooled(part, backbone.Preprocessing);
        count += extraction.Indices.Length;
        extraction.Rows.Dispose();
    }
    Report(count / clock.Elapsed.TotalSeconds);
}

void Decode()
{
    var splits = DatasetReader.Open(ants);
    var preprocessing = Preprocessing.Evaluation(256, 224, Normalize.Symmetric);
    var into = new float[3 * 224 * 224];
    var clock = Stopwatch.StartNew();
    var count = 0;
    // Three times over, so that starting up weighs little.
    foreach (var part in Enumerable.Repeat(new[] { splits.Train, splits.Validation! }, 3).SelectMany(parts => parts))
    {
        for (var k = 0; k < part.Count; k++, count++)
        {
            using var picture = part.Decode(k, preprocessing);
            Pipeline.Run(picture, preprocessing, into);
        }
    }
    Report(count / clock.Elapsed.TotalSeconds);
}

// 500 hidden units on 10,000 pictures of MNIST that are decoded already: pictures a second of two passes, after a first one.
void Machine(int batch)
{
    var all = DatasetReader.Open(Path.Combine(data, "mnist")).Train;
    var items = DatasetReader.Bare(all.Subset(Enumerable.Range(0, 10_000)));
    using var store = new PictureStore(items);
    using var network = new Mlp([500], 28, activation: "sigmoid");
    var options = new PretrainOptions { Epochs = 3, BatchSize = batch, Reconstruction = new ReconstructionOptions { Persistent = true } };
    var material = new PretrainMaterial(items, store.Check().Usable, network, options) { Pictures = store };
    var clock = new Stopwatch();
    new Rbm().Phases(material)[0].Run(material, new TrainingContext { Looked = look => { if (look.Epoch == 1) clock.Start(); else if (look.Epoch == 3) clock.Stop(); } }, _ => { });
    Report(2 * items.Count / clock.Elapsed.TotalSeconds);
}

void FineTune(Backbone backbone, int classes, int batch, int side, int steps)
{
    using var head = Head.Create(HeadKind.Softmax, backbone.FeatureSize, classes);
    backbone.FreezeBelow(0, freezeStatistics: true);
    backbone.Train();
    using var optimizer = new Sgd([new ParameterGroup("all", [.. backbone.Parameters().Where(parameter => parameter.RequiresGrad), .. head.Parameters()], 0.001, 1e-4)]);
    TorchRuntime.ManualSeed(0);
    using var x = Ops.Randn([batch, 3, side, side]).Contiguous(MemoryFormat.ChannelsLast);
    using var y = Ops.Randint(0, classes, [batch], dtype: DType.Int64);
    var clock = new Stopwatch();
    for (var step = 0; step < steps + 3; step++)
    {
        if (step == 3) clock.Start();
        using var scope = new TensorScope();
        optimizer.ZeroGrad();
        Losses.CrossEntropy(head.Forward(backbone.Forward(x)), y).Backward();
        optimizer.Step();
    }
    Report(steps * batch / clock.Elapsed.TotalSeconds);
}

// Real features: the photographs' and, to have enough of them, blood cells', in several crops; ten classes by k-means-like
// splitting would be made up, so the labels are the upstream network's own ten most frequent answers.
void HeadExport()
{
    using var backbone = ModelOpener.Load(weights).Backbone;
    var splits = DatasetReader.Open(Path.Combine(data, "cifar10", "cifar10.zip"));
    var some = splits.Train.Subset(new Rng(1).Permutation(splits.Train.Count).Take(3000));
    var extraction = new FeatureExtractor(backbone, null).Pooled(some, backbone.Preprocessing);
    var features = extraction.Stage(backbone, backbone.Stages.Count - 1).Contiguous().ToArray<float>();
    File.WriteAllBytes(args[1], MemoryMarshal.AsBytes(features.AsSpan()));
    File.WriteAllBytes(args[2], MemoryMarshal.AsBytes(extraction.Indices.Select(k => (long)some.Labels[k]).ToArray().AsSpan()));
    Console.WriteLine("{\"value\": 0}");
}

void HeadSolve(LinearLoss loss)
{
    var labels = MemoryMarshal.Cast<byte, long>(File.ReadAllBytes(Environment.GetEnvironmentVariable("HEAD_LABELS")!)).ToArray();
    var raw = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(Environment.GetEnvironmentVariable("HEAD_FEATURES")!)).ToArray();
    using var features = Tensor.From(raw, labels.Length, raw.Length / labels.Length);
    var tolerance = double.Parse(Environment.GetEnvironmentVariable("GRAFT_TOL") ?? "1e-4", CultureInfo.InvariantCulture);
    var clock = Stopwatch.StartNew();
    using var problem = new LinearProblem(features);
    var solution = NewtonSolver.Solve(problem, labels, (int)labels.Max() + 1, loss, 1, tolerance);
    Report(clock.Elapsed.TotalSeconds, string.Create(CultureInfo.InvariantCulture, $"\"objective\": {solution.Objective:R}, \"iterations\": {solution.Iterations}, "));
}

// Training episodes on Omniglot, after a few to warm up: 20-way for the prototypical network, 5-way for MAML.
void Episodes(string method)
{
    var pool = EpisodePool.Read(DatasetReader.Open(Path.Combine(data, "omniglot", "images_background_small1.zip")).Train, Preprocessing.Small(28, Normalize.Symmetric), true);
    var sampler = new EpisodeSampler(pool, new EpisodeOptions { Way = method == "maml" ? 5 : 20, Shot = 1, Query = 5 });
    using var learner = FewShotMethods.Create(new FewShotOptions { Method = method });
    EpisodeTraining Train(int steps) => EpisodeTraining.Run(learner, sampler, null, new EpisodeTrainOptions { Steps = steps, EpisodesPerStep = method == "maml" ? 8 : 2 });
    Train(3);
    Report(Train(40).EpisodesPerSecond);
}

TextEncoder Encoder() => (TextEncoder)ModelOpener.Load(new Graft.Models.Hub.ModelHub(new Graft.Models.Hub.Downloader())
    .Pull("all-minilm-l6-v2", default).GetAwaiter().GetResult()).Backbone;

// So many sentences of SST-2 are enough to be timed.
Dataset SomeSentences() => DatasetReader.Open(Path.Combine(data, "sst2")).Train.Subset(Enumerable.Range(0, 2000));

void TextExport(string weightsFile, string tokensFile)
{
    using var encoder = Encoder();
    Graft.Exports.Exporter.Save(encoder, weightsFile);
    var sentences = SomeSentences();
    File.WriteAllLines(tokensFile, Enumerable.Range(0, sentences.Count).Select(k => string.Join(' ', encoder.Encode(sentences.Text(k)).Ids)));
    Console.WriteLine("{\"value\": 0}");
}

void Sentences()
{
    using var encoder = Encoder();
    var sentences = SomeSentences();
    using var extractor = new FeatureExtractor(encoder, null) { KeepNetwork = true };
    extractor.Pooled(sentences.Subset(Enumerable.Range(0, 32)), encoder.Preprocessing).Rows.Dispose();
    var clock = Stopwatch.StartNew();
    var found = extractor.Pooled(sentences, encoder.Preprocessing);
    var seconds = clock.Elapsed.TotalSeconds;
    using var rows = found.Stage(encoder, encoder.Stages.Count - 1);
    Report(sentences.Count / seconds, string.Create(CultureInfo.InvariantCulture, $"\"first\": {rows.ToArray<float>()[0]:R}, "));
}

void FineTuneSentences()
{
    const int Batch = 32, Steps = 10;
    using var encoder = Encoder();
    using var head = Head.Create(HeadKind.Softmax, encoder.FeatureSize, 2);
    encoder.FreezeBelow(0, freezeStatistics: true);
    encoder.Train();
    var sentences = SomeSentences();
    using var x = encoder.Batch([.. Enumerable.Range(0, Batch).Select(k => encoder.Encode(sentences.Text(k)).Ids)]);
    using var y = Tensor.From([.. Enumerable.Range(0, Batch).Select(k => (long)(k % 2))]);
    using var optimizer = new AdamW([new ParameterGroup("all", [.. encoder.Parameters().Where(parameter => parameter.RequiresGrad), .. head.Parameters()], 1e-5, 0.01)]);
    var clock = new Stopwatch();
    for (var step = 0; step < Steps + 3; step++)
    {
        if (step == 3) clock.Start();
        using var scope = new TensorScope();
        optimizer.ZeroGrad();
        Losses.CrossEntropy(head.Forward(encoder.Forward(x)), y).Backward();
        optimizer.Step();
    }
    Report(Steps * Batch / clock.Elapsed.TotalSeconds);
}

// Epochs of graft pretrain as it is, the monitor's looks aside.
void SelfSupervision(string method, string folder)
{
    var run = Path.Combine(Path.GetTempPath(), $"graft-bench-ssl-{Environment.ProcessId}");
    try
    {
        var items = 0;
        var (rate, clock) = (0.0, new Stopwatch());
        new Graft.Pretraining.PretrainTask(new Graft.Pretraining.PretrainOptions
        {
            Data = folder, Method = method, Epochs = 2, BatchSize = 256, Out = run, NoReport = true, Backbone = "convnet", Input = new InputOptions { Size = 32 },
        })
        {
            Progress = report =>
            {
                // The second epoch alone.
                if (report.Unit != "pictures" || report.Done <= report.Total / 2) return;
                if (clock.IsRunning) items += 256;
                else clock.Start();
                rate = items / Math.Max(1e-9, clock.Elapsed.TotalSeconds);
            },
        }.Run();
        Report(rate);
    }
    finally
    {
        if (Directory.Exists(run)) Directory.Delete(run, recursive: true);
    }
}

// Ten thousand training steps of a small network: resident memory after a thousand and at the end.
void Memory()
{
    using var backbone = BackboneCatalogue.Create("convnet");
    using var head = Head.Create(HeadKind.Softmax, backbone.FeatureSize, 5);
    using var optimizer = new AdamW([new ParameterGroup("all", [.. backbone.Parameters(), .. head.Parameters()], 1e-3)]);
    long Resident() { Process.GetCurrentProcess().Refresh(); return Environment.WorkingSet >> 20; }
    long early = 0;
    for (var step = 0; step < 10_000; step++)
    {
        using var scope = new TensorScope();
        optimizer.ZeroGrad();
        var x = Ops.Randn([4, 3, 32, 32]);
        Losses.CrossEntropy(head.Forward(backbone.Forward(x)), Ops.Randint(0, 5, [4], dtype: DType.Int64)).Backward();
        optimizer.Step();
        if (step == 1000) early = Resident();
    }
    Report(Resident() - early, $"\"after_1000_mb\": {early}, \"after_10000_mb\": {Resident()}, ");
}

// A checkpoint file to a network that is ready to run.
void LoadCheckpoint(string path)
{
    // As the peer has imported torch before its clock starts, libtorch is loaded here before.
    Ops.Zeros([1]).Dispose();
    var clock = Stopwatch.StartNew();
    using var backbone = ModelOpener.Load(path).Backbone;
    backbone.Eval();
    var seconds = clock.Elapsed.TotalSeconds;
    clock.Restart();
    ModelOpener.Load(path).Backbone.Dispose();
    Report(seconds, string.Create(CultureInfo.InvariantCulture, $"\"again_s\": {clock.Elapsed.TotalSeconds:R}, "));
}

// AlexNet over a larger picture: every window of 224 at the stride of 32, and the same network with its dense layers as convolutions.
void ConvolutionalAlexNet(int side)
{
    TorchRuntime.ManualSeed(0);
    using var backbone = BackboneCatalogue.Create("alexnet", 1000);
    backbone.Eval();
    using var convolutional = Surgery.Convolutional(backbone);
    using var mode = Autograd.NoGrad();
    using var scope = new TensorScope();
    var x = Ops.Rand([1, 3, side, side]);
    backbone.Classify(x.Narrow(2, 0, 224).Narrow(3, 0, 224));
    convolutional.Forward(x);
    var clock = Stopwatch.StartNew();
    var windows = new List<Tensor>();
    for (var y = 0; y + 224 <= side; y += 32)
        for (var z = 0; z + 224 <= side; z += 32) windows.Add(backbone.Classify(x.Narrow(2, y, 224).Narrow(3, z, 224).Contiguous()));
    var sliding = clock.Elapsed.TotalSeconds;
    clock.Restart();
    var map = convolutional.Forward(x);
    var once = clock.Elapsed.TotalSeconds;
    // The dense layers slid over the pooling volume: what the map is, to rounding. Windows cut from the picture differ more, because each has a border of zeros of its own.
    Tensor volume = backbone.Forward(x, 0, 3);
    var slid = new List<Tensor>();
    for (long y = 0; y < map.Shape[2]; y++)
        for (long z = 0; z < map.Shape[3]; z++) slid.Add(backbone.UpstreamHead!.Forward(backbone.Forward(volume.Narrow(2, y, 6).Narrow(3, z, 6).Contiguous(), 3, 5)));
    var flat = map.Flatten(2).Squeeze(0).T();
    double Apart(Tensor a, Tensor b) => ((a - b).Abs().Max() / a.Abs().Max()).Item();
    var (exact, bordered) = (Apart(Ops.Cat(slid, 0), flat), windows.Count == flat.Shape[0] ? Apart(Ops.Cat(windows, 0), flat) : double.NaN);
    Report(once, string.Create(CultureInfo.InvariantCulture, $"\"sliding_s\": {sliding:R}, \"windows\": {windows.Count}, \"places\": {flat.Shape[0]}, \"apart_from_slid_dense_layers\": {exact:E2}, \"apart_from_cut_windows\": {bordered:E2}, "));
}

// Sentences a second of processor time, on one thread, by a vocabulary of word pieces. The first second warms up.
void Tokenize(string vocabulary, bool lower, string path)
{
    var tokenizer = Tokenizers.WordPiece(File.ReadAllBytes(vocabulary), lower);
    var lines = File.ReadAllLines(path).Select(line => new TextItem(line)).ToArray();
    using var process = Process.GetCurrentProcess();
    double Seconds() { process.Refresh(); return process.TotalProcessorTime.TotalSeconds; }
    double Run(double seconds)
    {
        var (start, count) = (Seconds(), 0L);
        while (Seconds() - start < seconds)
        {
            foreach (var line in lines) tokenizer.Encode(line, 512);
            count += lines.Length;
        }
        return count / (Seconds() - start);
    }
    Run(1);
    Report(Run(3));
}

// Requests to a server from so many clients at once, for so many seconds: requests/s, and how long they took.
async Task ServeLoad(string address, string picture, int clients, double seconds)
{
    var bytes = File.ReadAllBytes(picture);
    using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = clients });
    async Task<double> One()
    {
        var clock = Stopwatch.GetTimestamp();
        using var content = new ByteArrayContent(bytes);
        content.Headers.ContentType = new("image/jpeg");
        using var response = await http.PostAsync(new Uri(address + "/predict"), content).ConfigureAwait(false);
        response.EnsureSuccessStatusCode();
        await response.Content.ReadAsByteArrayAsync().ConfigureAwait(false);
        return Stopwatch.GetElapsedTime(clock).TotalMilliseconds;
    }
    for (var k = 0; k < 20; k++) await One().ConfigureAwait(false);
    var times = new System.Collections.Concurrent.ConcurrentBag<double>();
    var all = Stopwatch.StartNew();
    await Task.WhenAll(Enumerable.Range(0, clients).Select(_ => Task.Run(async () => { while (all.Elapsed.TotalSeconds < seconds) times.Add(await One().ConfigureAwait(false)); }))).ConfigureAwait(false);
    var elapsed = all.Elapsed.TotalSeconds;
    var sorted = times.Order().ToArray();
    Report(sorted.Length / elapsed, string.Create(CultureInfo.InvariantCulture, $"\"clients\": {clients}, \"p50_ms\": {sorted[sorted.Length / 2]:0.0}, \"p99_ms\": {sorted[(int)(sorted.Length * 0.99)]:0.0}, "));
}
