using Graft.Inference;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Zero-shot prototypes (Snell et al. 2017, section 2.6): a class has no picture, only a description (attributes, a sentence's
/// features). A linear map brings descriptions to the pictures' space, where a prototype is scaled to length 1; pictures' features
/// come through a linear map of their own. A query belongs to the nearest prototype.
/// </summary>
public sealed class DescribedPrototypes : Module
{
    private readonly Linear _pictures, _descriptions;

    /// <param name="features">Numbers of a picture's features, from any frozen backbone.</param>
    /// <param name="description">Numbers of a description.</param>
    /// <param name="size">Of the space where they meet.</param>
    public DescribedPrototypes(int features, int description, int size = 128)
    {
        _pictures = Child("pictures", new Linear(features, size));
        _descriptions = Child("descriptions", new Linear(description, size));
    }

    /// <summary>Descriptions way×m and queries' features Q×d to Q×way scores.</summary>
    public Tensor Scores(Tensor descriptions, Tensor queries) =>
        -Distances.Between(_pictures.Forward(queries), Distances.Unit(_descriptions.Forward(descriptions)), DistanceKind.SquaredEuclidean);

    /// <summary>Cross-entropy of an episode: labels are rows of the descriptions.</summary>
    public Tensor Loss(Tensor descriptions, Tensor queries, Tensor labels) => Losses.CrossEntropy(Scores(descriptions, queries), labels);

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => throw new NotSupportedException("it compares pictures with descriptions: use Scores");
}
