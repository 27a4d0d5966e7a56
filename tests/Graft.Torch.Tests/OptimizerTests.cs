using Graft.Testing;

namespace Graft.Torch.Tests;

public class OptimizerTests
{
    private static string Ours(Func<IReadOnlyList<ParameterGroup>, Optimizer> create)
    {
        using var scope = new TensorScope();
        var w = TensorScope.Detach(Tensor.From([0.5, -1.5, 2.0]));
        w.RequiresGrad = true;
        using var optimizer = create([new ParameterGroup("all", [w], 0.1, 0.01)]);
        for (var k = 0; k < 5; k++)
        {
            optimizer.ZeroGrad();
            ((w * w * w) + w * 2).Sum().Backward();
            optimizer.Step();
        }
        return string.Join(' ', w.ToArray<double>().Select(value => value.ToString("F9")));
    }

    private static string Theirs(string create) => Workshop.Python($"""
        import torch
        w = torch.tensor([0.5, -1.5, 2.0], dtype=torch.float64, requires_grad=True)
        o = {create}
        for k in range(5):
            o.zero_grad(); ((w * w * w) + w * 2).sum().backward(); o.step()
        print(' '.join('%.9f' % v for v in w.tolist()))
        """);

    [SkippableFact]
    public void Sgd_with_momentum_is_torchs() =>
        Assert.Equal(Theirs("torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.01)"), Ours(groups => new Sgd(groups)));

    [SkippableFact]
    public void Nesterov_is_torchs() =>
        Assert.Equal(Theirs("torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)"),
        Ours(groups => new Sgd(groups, nesterov: true)));

    [SkippableFact]
    public void Adam_is_torchs() => Assert.Equal(Theirs("torch.optim.Adam([w], lr=0.1, weight_decay=0.01)"), Ours(groups => new Adam(groups)));

    [SkippableFact]
    public void AdamW_is_torchs() => Assert.Equal(Theirs("torch.optim.AdamW([w], lr=0.1, weight_decay=0.01)"), Ours(groups => new AdamW(groups)));

    [SkippableFact]
    public void Lars_is_the_papers_arithmetic_and_leaves_norms_and_biases_to_plain_steps()
    {
        var theirs = Workshop.Python("""
            import torch
            w = torch.tensor([[0.5, -1.5], [2.0, 1.0]], dtype=torch.float64)
            b = torch.tensor([0.3, 0.0], dtype=torch.float64)
            v, u = torch.zeros_like(w), torch.zeros_like(b)
            for k in range(4):
                g, h = 3 * w * w + 2, 2 * b + 1
                g = (g + 0.01 * w) * (0.02 * w.norm() / (g.norm() + 0.01 * w.norm()))
                v, u = 0.9 * v + g, 0.9 * u + h
                w, b = w - 0.1 * v, b - 0.1 * u
            print(' '.join('%.9f' % x for x in [*w.flatten().tolist(), *b.tolist()]))
            """);
        using var scope = new TensorScope();
        var w = TensorScope.Detach(Tensor.From([0.5, -1.5, 2.0, 1.0], 2, 2));
        var b = TensorScope.Detach(Tensor.From([0.3, 0.0]));
        (w.RequiresGrad, b.RequiresGrad) = (true, true);
        using var optimizer = new Lars([new ParameterGroup("weights", [w], 0.1, 0.01), new ParameterGroup("biases", [b], 0.1, 0.01)], trust: 0.02);
        for (var k = 0; k < 4; k++)
        {
            optimizer.ZeroGrad();
            (((w * w * w) + w * 2).Sum() + (b * b + b).Sum()).Backward();
            optimizer.Step();
        }
        Assert.Equal(theirs, string.Join(' ', w.ToArray<double>().Concat(b.ToArray<double>()).Select(value => value.ToString("F9"))));
        // A weight of nought has no length to take a share of.
        var nought = TensorScope.Detach(Ops.Zeros([2, 2]));
        nought.RequiresGrad = true;
        using var second = new Lars([new ParameterGroup("weights", [nought], 0.5)]);
        nought.Sum().Backward();
        second.Step();
        Assert.Equal([-0.5f, -0.5f, -0.5f, -0.5f], nought.ToArray<float>());
    }

    [Fact]
    public void Schedules_rise_and_fall()
    {
        Assert.Equal(1, new CosineSchedule().Factor(0, 100));
        Assert.Equal(0.5, new CosineSchedule().Factor(50, 100), 9);
        Assert.True(new CosineSchedule { WarmUp = 0.1 }.Factor(0, 100) < 0.1);
        Assert.Equal(0.01, new StepSchedule().Factor(99, 100), 9);
        Assert.Equal(1, new OneCycleSchedule().Factor(30, 100), 6);
        Assert.True(new OneCycleSchedule().Factor(99, 100) < 0.01);
    }

    [Fact]
    public void Clipping_scales_the_joint_norm()
    {
        var w = Tensor.From([3f, 4f]);
        w.RequiresGrad = true;
        using var optimizer = new Sgd([new ParameterGroup("all", [w], 0.1)]);
        (w * w / 2).Sum().Backward();
        Assert.Equal(5, optimizer.ClipGradients(1), 5);
        Assert.Equal(1, Math.Sqrt(w.Grad!.ToArray<double>().Sum(value => value * value)), 4);
    }
}
