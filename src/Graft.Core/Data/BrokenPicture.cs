namespace Graft.Data;

/// <summary>A picture that was left out, and why.</summary>
public sealed record BrokenPicture(string File, string Error);
