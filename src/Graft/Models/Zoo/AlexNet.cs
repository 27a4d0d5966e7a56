using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// AlexNet in its one-tower form (Krizhevsky 2014, arXiv:1404.5997). The stages fc6 and fc7 are its 4,096 CNN codes, after the ReLU.
/// </summary>
internal sealed class AlexNet : PublishedBackbone
{
    /// <summary>Random weights.</summary>
    public AlexNet(int? classes = null) : base("alexnet")
    {
        Module[] features =
        [
            new Conv2d(3, 64, 11, 4, 2), Lambda.Relu(), Lambda.MaxPool(3, 2), new Conv2d(64, 192, 5, 1, 2), Lambda.Relu(), Lambda.MaxPool(3, 2),
                new Conv2d(192, 384, 3, 1, 1), Lambda.Relu(),
            new Conv2d(384, 256, 3, 1, 1), Lambda.Relu(), new Conv2d(256, 256, 3, 1, 1), Lambda.Relu(), Lambda.MaxPool(3, 2),
        ];
        Child("features", new Sequential(features));
        Module[] dense = [new Dropout(), new Linear(9216, 4096), Lambda.Relu(), new Dropout(), new Linear(4096, 4096), Lambda.Relu()];
        Add("s1", 64, features[..3]);
        Add("s2", 192, features[3..6]);
        Add("s3", 256, features[6..]);
        Add("fc6", 4096, dense[..3], x => dense[2].Forward(dense[1].Forward(dense[0].Forward(x.AdaptiveAvgPool2d([6, 6]).Flatten(1)))));
        Add("fc7", 4096, dense[3..]);
        Classifier("classifier.6", classes, register: false);
        Child("classifier", new Sequential(UpstreamHead is { } head ? [.. dense, head] : dense));
        Finish();
    }
}
