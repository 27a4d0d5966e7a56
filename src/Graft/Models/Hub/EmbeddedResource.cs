using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Graft.Models.Hub;

/// <summary>A resource of a .NET library read as data: the library is not loaded, and nothing of it runs.</summary>
internal static class EmbeddedResource
{
    /// <summary>The resource's bytes.</summary>
    /// <param name="library">A DLL's bytes; what can be read and sought.</param>
    /// <param name="name">As the library's manifest has it.</param>
    /// <exception cref="InvalidDataException">It is no .NET library, is cut off, or has no such resource.</exception>
    public static byte[] Read(Stream library, string name)
    {
        try
        {
            using var file = new PEReader(library, PEStreamOptions.LeaveOpen);
            if (!file.HasMetadata || file.PEHeaders.CorHeader is not { } header) throw new InvalidDataException("it is no .NET library");
            var metadata = file.GetMetadataReader();
            foreach (var handle in metadata.ManifestResources)
            {
                var resource = metadata.GetManifestResource(handle);
                if (!metadata.StringComparer.Equals(resource.Name, name) || !resource.Implementation.IsNil) continue;
                var section = file.GetSectionData(header.ResourcesDirectory.RelativeVirtualAddress);
                var at = checked((int)resource.Offset);
                var length = section.GetReader(at, sizeof(int)).ReadInt32();
                return [.. section.GetContent(at + sizeof(int), length)];
            }
            throw new InvalidDataException($"it has no resource '{name}'");
        }
        catch (Exception reason) when (reason is BadImageFormatException or ArgumentException or OverflowException or InvalidOperationException)
        {
            throw new InvalidDataException($"it is no .NET library, or is cut off ({reason.Message.TrimEnd('.')})", reason);
        }
    }
}
