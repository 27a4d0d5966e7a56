using System.Diagnostics;
using System.Text;
using Graft.Data;
using Graft.Inference.Text;

namespace Graft.Serve;

/// <summary>Answers sentences that come from many requests at once: as many at a time as there are cores, each by itself, for they have all lengths.</summary>
internal sealed class TextPredictor : IPredictor
{
    private const int Waiting = 256;

    private static readonly UTF8Encoding s_utf8 = new(false, throwOnInvalidBytes: true);

    private readonly TextModel _model;
    private readonly SemaphoreSlim _free = new(Cores.Count);
    private long _done, _waited, _ran;
    private int _inside;

    /// <param name="model">Stays the caller's.</param>
    public TextPredictor(TextModel model)
    {
        _model = model;
        // The first run makes room: no request should wait for that.
        _ = model.Row(new TextItem("ready", model.ComparesPairs ? "ready" : null));
    }

    public (long Pictures, long Batches, double Waited, double Ran) Totals =>
        (Interlocked.Read(ref _done), Interlocked.Read(ref _done), Seconds(ref _waited), Seconds(ref _ran));

    private static double Seconds(ref long ticks) => Interlocked.Read(ref ticks) / (double)Stopwatch.Frequency;

    public async Task<float[]> Predict(byte[] item)
    {
        TextItem text;
        try
        {
            var parts = s_utf8.GetString(item).Split('\u001f', 2);
            text = new TextItem(parts[0], parts.Length > 1 ? parts[1] : null);
        }
        catch (DecoderFallbackException reason)
        {
            throw new PictureException("the text is not in UTF-8", reason);
        }
        if (_model.ComparesPairs && string.IsNullOrWhiteSpace(text.Second))
            throw new PictureException("the model says how alike two texts are: send {\"text\": …, \"pair\": …} as JSON");
        if (text.First.Trim().Length == 0) throw new PictureException("the text is empty");
        if (Interlocked.Increment(ref _inside) > Waiting)
        {
            Interlocked.Decrement(ref _inside);
            throw new QueueFullException();
        }
        try
        {
            var queued = Stopwatch.GetTimestamp();
            await _free.WaitAsync().ConfigureAwait(false);
            try
            {
                var start = Stopwatch.GetTimestamp();
                var row = _model.Row(text);
                Interlocked.Increment(ref _done);
                Interlocked.Add(ref _waited, start - queued);
                Interlocked.Add(ref _ran, Stopwatch.GetTimestamp() - start);
                return row;
            }
            finally
            {
                _free.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _inside);
        }
    }

    public void Dispose() => _free.Dispose();
}
