using Graft.Data;

namespace Graft.Serve;

/// <summary>Answers the items of many requests at once: pictures' bytes, or sentences in UTF-8 (of a pair with U+001F between).</summary>
internal interface IPredictor : IDisposable
{
    /// <summary>Items done, batches run, seconds that items waited and that the network ran.</summary>
    (long Pictures, long Batches, double Waited, double Ran) Totals { get; }

    /// <summary>What the model says of an item: a number for each output.</summary>
    /// <exception cref="PictureException">It cannot be read.</exception>
    /// <exception cref="QueueFullException">Too many wait.</exception>
    Task<float[]> Predict(byte[] item);
}
