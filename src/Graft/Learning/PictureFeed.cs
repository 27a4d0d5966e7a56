using Graft.Data;

namespace Graft.Learning;

/// <summary>Pictures of a store, made into batches ahead of the training: shuffled and augmented anew every epoch, a last one alone in the batch before it; or as they are.</summary>
/// <param name="store">The pictures.</param>
/// <param name="items">Indices into the store's dataset.</param>
/// <param name="preprocessing">What a picture goes through.</param>
/// <param name="batchSize">Pictures of a batch.</param>
/// <param name="seed">Of orders and augmentations.</param>
/// <param name="shuffle">False: always in the order given.</param>
internal sealed class PictureFeed(PictureStore store, int[] items, Preprocessing preprocessing, int batchSize, long seed, bool shuffle = true) : Feed<Batch>
{
    private readonly Loader _loader = new(store, preprocessing, batchSize, seed);

    public override int Batches => shuffle ? Loader.Count(items.Length, batchSize) : (items.Length + batchSize - 1) / batchSize;

    public override int Size(Batch batch) => batch.Indices.Length;

    public override string Unit => "pictures";

    public override IEnumerable<Batch> Epoch(int epoch, int skip) => _loader.Batches(items, epoch, shuffle, skip, joinLastOne: shuffle);
}
