using Graft.Data;

namespace Graft.Inference;

/// <summary>A finished model that tells classes, labels or numbers, whatever it reads: what is done with all of them alike.</summary>
internal interface IAnsweringModel : IDisposable
{
    /// <summary>What its answers are.</summary>
    AnswerCard Card { get; }

    /// <summary>The name of its network.</summary>
    string Architecture { get; }

    /// <summary>What was noticed when it was opened.</summary>
    IReadOnlyList<string> Notes { get; }

    /// <summary>What it gives for every readable item of a dataset: N×outputs, row after row, and which items they are.</summary>
    (float[] Answers, int[] Indices, IReadOnlyList<BrokenPicture> Broken) AnswerAll(Dataset data, Action<int, int>? progress = null,
        CancellationToken cancel = default);

    /// <summary>Metrics on labelled items.</summary>
    /// <exception cref="GraftException">None of them can be read.</exception>
    Judged Judge(Dataset data, Action<int, int>? progress = null, CancellationToken cancel = default);
}
