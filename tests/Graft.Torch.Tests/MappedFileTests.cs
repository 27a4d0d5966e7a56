using Graft.Testing;

namespace Graft.Torch.Tests;

public class MappedFileTests
{
    private static bool IsMapped(string path) => File.ReadLines("/proc/self/maps").Any(line => line.EndsWith(path, StringComparison.Ordinal));

    [Fact]
    public void A_mapping_lives_as_long_as_its_last_tensor_on_whatever_thread_that_ends()
    {
        using var shop = new Workshop();
        File.WriteAllBytes(shop["bytes"], [1, 2, 3, 4, 5, 6, 7, 8]);
        Tensor first, view;
        using (var file = new MappedFile(shop["bytes"]))
        {
            first = file.Tensor(0, DType.UInt8, [4]);
            using var last = file.Tensor(4, DType.UInt8, [4]);
            view = last.Narrow(0, 1, 2);
            using var nothing = file.Tensor(8, DType.Float32, [0, 3]);
        }
        Assert.True(IsMapped(shop["bytes"]));
        Assert.Equal([1, 2, 3, 4], first.ToArray<byte>());
        first.Dispose();
        Assert.Equal([6, 7], view.ToArray<byte>());
        var other = new Thread(view.Dispose);
        other.Start();
        other.Join();
        Assert.False(IsMapped(shop["bytes"]));
    }

    [Fact]
    public void What_cannot_be_mapped_is_named()
    {
        using var shop = new Workshop();
        File.WriteAllBytes(shop["empty"], []);
        File.WriteAllBytes(shop["bytes"], [1, 2]);
        string Refusal(string name) => Assert.ThrowsAny<IOException>(() => new MappedFile(shop[name])).Message;
        Assert.Contains("folder", Refusal(""), StringComparison.Ordinal);
        Assert.Contains("the file is empty", Refusal("empty"), StringComparison.Ordinal);
        Assert.Contains("absent", Refusal("absent"), StringComparison.Ordinal);
        using var file = new MappedFile(shop["bytes"]);
        Assert.Contains("beyond the end", Assert.Throws<IOException>(() => file.Tensor(1, DType.UInt8, [2])).Message, StringComparison.Ordinal);
        Assert.Contains("beyond the end", Assert.Throws<IOException>(() => file.Bytes(1, 2).Length).Message, StringComparison.Ordinal);
    }
}
