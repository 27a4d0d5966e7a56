using Graft.Inference;
using Graft.Inference.Text;

namespace Graft.Serve;

/// <summary>A model that is served, for as long as a request or the server holds it.</summary>
internal sealed class ServedModel(IAnsweringModel model, bool owned)
{
    private int _holders = 1;

    public IAnsweringModel Model => model;

    public IPredictor Predictor { get; } = model.Card.Tasks is not null
        ? throw new GraftException("the model tells several tasks, which are not served yet: graft predict answers with it")
        : model is TextModel text ? new TextPredictor(text) : new BatchingPredictor((PictureModel)model);

    /// <summary>Another holder; false: its last one has gone.</summary>
    public bool TryHold()
    {
        for (var held = Volatile.Read(ref _holders); held > 0; held = Volatile.Read(ref _holders))
        {
            if (Interlocked.CompareExchange(ref _holders, held + 1, held) == held) return true;
        }
        return false;
    }

    /// <summary>A holder less; the last one frees it.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) > 0) return;
        Predictor.Dispose();
        if (owned) model.Dispose();
    }
}

/// <summary>
/// The model that a server answers with, and the one that comes after it: a file that was replaced is opened beside the old model, and takes its
/// place between two
/// requests. One that cannot be opened is refused, and the old one stays.
/// </summary>
internal sealed class ServedModels : IDisposable
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _end = new();
    private ServedModel _now;

    /// <param name="first">Stays the caller's.</param>
    public ServedModels(IAnsweringModel first) => _now = new ServedModel(first, owned: false);

    /// <summary>The present one, held until it is released.</summary>
    public ServedModel Hold()
    {
        while (true)
        {
            if (Volatile.Read(ref _now) is var served && served.TryHold()) return served;
        }
    }

    /// <summary>Looks at a file every second, and takes what was put in its place.</summary>
    /// <param name="file">The model's.</param>
    /// <param name="open">Opens it.</param>
    /// <param name="log">Told of what is taken and of what is refused.</param>
    public void Watch(string file, Func<IAnsweringModel> open, Action<string> log)
    {
        var seen = Stamp(file);
        _ = Task.Run(async () =>
        {
            using var timer = new PeriodicTimer(s_look);
            try
            {
                while (await timer.WaitForNextTickAsync(_end.Token).ConfigureAwait(false))
                {
                    if (Stamp(file) is not { } found || found == seen) continue;
                    seen = found;
                    Replace(file, open, log);
                }
            }
            catch (OperationCanceledException)
            {
                return; // the server ends
            }
        });
    }

    private void Replace(string file, Func<IAnsweringModel> open, Action<string> log)
    {
        try
        {
            var next = new ServedModel(open(), owned: true);
            if (next.Model.GetType() != Volatile.Read(ref _now).Model.GetType())
            {
                next.Release();
                throw new GraftException("it reads something else than the one before: pictures and sentences are not asked alike");
            }
            var before = Interlocked.Exchange(ref _now, next);
            var lost = before.Model.Card.Names.Except(next.Model.Card.Names).ToArray();
            before.Release();
            log($"{file} was replaced: the new model answers from here on{(lost.Length > 0 ? $". It no longer has {string.Join(", ", lost.Take(5))}{(lost.Length > 5 ? ", …" : "")}" : "")}");
        }
        catch (Exception reason) when (reason is GraftException or IOException or UnauthorizedAccessException)
        {
            log($"{file} was replaced, and is refused; the model before it goes on answering: {reason.Message}");
        }
    }

    private static (DateTime, long)? Stamp(string file) => new FileInfo(file) is { Exists: true } found ? (found.LastWriteTimeUtc, found.Length)
        : null;

    /// <summary>Lets what waits finish.</summary>
    public void Dispose()
    {
        _end.Cancel();
        Volatile.Read(ref _now).Release();
        _end.Dispose();
    }
}
