using Graft.Testing;

namespace Graft.Torch.Tests;

public class TensorTests
{
    [Fact]
    public void Arithmetic_is_what_one_expects()
    {
        using var scope = new TensorScope();
        var a = Tensor.From([1f, 2f, 3f, 4f], 2, 2);
        Assert.Equal([3f, 5f, 7f, 9f], (a * 2 + 1).ToArray<float>());
        Assert.Equal([7f, 10f, 15f, 22f], a.Matmul(a).ToArray<float>());
        Assert.Equal([1f, 3f], a.Select(1, 0).ToArray<float>());
        Assert.Equal([3f, 4f], a[1..2].ToArray<float>());
    }

    [Fact]
    public void An_error_names_the_operator_the_shapes_and_the_reason_in_one_line()
    {
        using var scope = new TensorScope();
        var error = Assert.Throws<TorchException>(() => Ops.Zeros([2, 3]).Matmul(Ops.Zeros([4, 5])));
        Assert.Contains("aten::matmul(float32[2×3], float32[4×5])", error.Message, StringComparison.Ordinal);
        Assert.Contains("mat1 and mat2", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void An_operator_that_has_no_method_is_reached_by_name()
    {
        using var scope = new TensorScope();
        var found = new Operator("aten::hypot").Invoke(Tensor.From([3f]), Tensor.From([4f]))[0];
        Assert.Equal(5, found.Item());
        Assert.Contains("no such operator", Assert.Throws<TorchException>(() => new Operator("aten::no_such").Invoke()).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Every_operator_of_the_table_is_in_this_libtorch_with_that_schema()
    {
        foreach (var line in File.ReadLines(Path.Combine(Workshop.Repository, "src/Graft.Torch/Operators/operators.txt")))
        {
            var name = line[..line.IndexOf('(', StringComparison.Ordinal)];
            var dot = name.IndexOf('.', StringComparison.Ordinal);
            var op = dot < 0 ? new Operator(name) : new Operator(name[..dot], name[(dot + 1)..]);
            Assert.True(op.Exists, name);
            if (TorchRuntime.Version.StartsWith("1.13", StringComparison.Ordinal)) Assert.Equal(line, op.Schema);
        }
    }

    [Fact]
    public void The_generated_file_is_what_the_table_gives()
    {
        var folder = Path.Combine(Workshop.Repository, "src/Graft.Torch/Operators");
        Assert.Equal(File.ReadAllText(Path.Combine(folder, "Operators.g.cs")),
            OperatorGenerator.Writer.Write(File.ReadAllLines(Path.Combine(folder, "operators.txt"))));
    }

    [Fact]
    public void A_scope_disposes_all_but_what_is_kept()
    {
        Tensor kept, lost;
        using (var scope = new TensorScope())
        {
            lost = Ops.Ones([4]);
            kept = scope.Keep(lost * 2);
        }
        Assert.True(lost.IsDisposed);
        Assert.Equal([2f, 2f, 2f, 2f], kept.ToArray<float>());
        Assert.Throws<ObjectDisposedException>(() => lost.Sum());
        kept.Dispose();
    }

    [Fact]
    public void Gradients_of_gradients()
    {
        using var scope = new TensorScope();
        var x = Tensor.From([3.0]);
        x.RequiresGrad = true;
        var first = Autograd.Grad((x * x * x).Sum(), [x], createGraph: true)[0];
        Assert.Equal(27, first.Item(), 9);
        Assert.Equal(18, Autograd.Grad(first.Sum(), [x])[0].Item(), 9);
    }

    [Fact]
    public void A_module_runs_with_other_parameters_and_has_its_own_back()
    {
        using var scope = new TensorScope();
        using var layer = new Linear(2, 1);
        var x = Tensor.From([1f, 1f], 1, 2);
        var own = layer.Forward(x).Item();
        var weight = Tensor.From([2f, 3f], 1, 2);
        weight.RequiresGrad = true;
        var bias = Tensor.From([1f]);
        var with = layer.With(new Dictionary<string, Tensor> { ["weight"] = weight, ["bias"] = bias }, () => layer.Forward(x));
        Assert.Equal(6, with.Item());
        Assert.Equal([1f, 1f], Autograd.Grad(with.Sum(), [weight])[0].ToArray<float>());
        Assert.Equal(own, layer.Forward(x).Item());
        Assert.Throws<ArgumentException>(() => layer.With(new Dictionary<string, Tensor> { ["other"] = bias }, () => 0));
    }

    [Fact]
    public void A_seed_gives_the_same_numbers()
    {
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(7);
        var first = Ops.Randn([5]).ToArray<float>();
        TorchRuntime.ManualSeed(7);
        Assert.Equal(first, Ops.Randn([5]).ToArray<float>());
    }

    [Fact]
    public void A_device_that_is_not_here_is_refused_with_the_remedy()
    {
        Assert.Equal(Device.Cpu, Device.Parse("cpu"));
        Assert.Contains("LIBTORCH", Assert.Throws<GraftException>(() => Device.Parse("cuda:99")).Message, StringComparison.Ordinal);
        Assert.Throws<GraftException>(() => Device.Parse("toaster"));
    }
}
