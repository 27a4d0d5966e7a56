using Graft.Data;

namespace Graft.FewShot;

/// <summary>A question about a story; sentences are words, the oldest first.</summary>
internal sealed record StoryQuestion(IReadOnlyList<string[]> Story, string[] Question, string Answer);

/// <summary>
/// Question-answering tasks of the kind of bAbI (Weston et al. 2015), made by a simulated world: people walk between places,
/// pick things up and put them down. Only the task's own sentences tell the answer. The numbers are bAbI's.
/// </summary>
internal static class Stories
{
    private static readonly string[] s_people = ["mary", "john", "sandra", "daniel"],
        s_places = ["bathroom", "kitchen", "garden", "hallway", "office", "bedroom"], s_things = ["apple", "football", "milk"];
    private static readonly string[] s_go = ["went to the", "moved to the", "travelled to the", "journeyed to the"],
        s_take = ["picked up the", "got the", "took the", "grabbed the"], s_drop = ["dropped the", "put down the", "left the", "discarded the"];
    private static readonly string[] s_numbers = ["none", "one", "two", "three"];

    /// <summary>Task numbers and names.</summary>
    public static IReadOnlyDictionary<int, string> Tasks { get; } = new Dictionary<int, string>
    {
        [1] = "1 supporting fact", [2] = "2 supporting facts", [6] = "yes/no questions", [7] = "counting", [8] = "lists/sets",
            [9] = "simple negation", [11] = "basic coreference", [12] = "conjunction", [15] = "basic deduction",
    };

    /// <summary>So many questions of a task.</summary>
    public static IReadOnlyList<StoryQuestion> Make(int task, int count, long seed)
    {
        var found = new List<StoryQuestion>();
        for (var story = 0; found.Count < count; story++)
        {
            var rng = new Rng(seed, task, story);
            if (task == 15) found.AddRange(Deduction(ref rng));
            else found.AddRange(Walk(task, ref rng));
        }
        return found.Take(count).ToList();
    }

    /// <summary>Every word of some questions, numbered from 1; 0 is padding.</summary>
    public static IReadOnlyDictionary<string, int> Vocabulary(IEnumerable<StoryQuestion> questions) =>
        questions.SelectMany(item => item.Story.SelectMany(sentence => sentence).Concat(item.Question).Append(item.Answer)).Distinct()
            .Order(StringComparer.Ordinal).Select((word, k) => (word, k)).ToDictionary(pair => pair.word, pair => pair.k + 1);

    private static string Pick(string[] from, ref Rng rng) => from[rng.Below(from.Length)];

    private static string[] Words(string text) => text.Split(' ');

    private sealed class World
    {
        public Dictionary<string, string> Place { get; } = [];
        public HashSet<string> Denied { get; } = [];
        public Dictionary<string, string> Holder { get; } = [];
        public Dictionary<string, string> LyingAt { get; } = [];
    }

    // Sentences with a question after every two, five questions to a story.
    private static List<StoryQuestion> Walk(int task, ref Rng rng)
    {
        var (world, story, asked) = (new World(), new List<string[]>(), new List<StoryQuestion>());
        for (var step = 0; asked.Count < 5 && step < 60; step++)
        {
            Tell(task, world, story, ref rng);
            // Coreference tells two at a time.
            if ((step % 2 == 1 || task == 11) && Ask(task, world, ref rng) is var (question, answer)
                && answer.Length > 0) asked.Add(new StoryQuestion([.. story], Words(question), answer));
        }
        return asked;
    }

    private static void Tell(int task, World world, List<string[]> story, ref Rng rng)
    {
        var person = Pick(s_people, ref rng);
        var place = Pick(s_places, ref rng);
        if (task is 2 or 7 or 8 && rng.Next() < 0.5 && world.Place.ContainsKey(person))
        {
            var held = s_things.Where(thing => world.Holder.GetValueOrDefault(thing) == person).ToArray();
            var free = s_things.Where(thing => !world.Holder.ContainsKey(thing)
                && (!world.LyingAt.TryGetValue(thing, out var at) || at == world.Place[person])).ToArray();
            if (held.Length > 0 && (free.Length == 0 || rng.Next() < 0.4))
            {
                var thing = Pick(held, ref rng);
                world.Holder.Remove(thing);
                world.LyingAt[thing] = world.Place[person];
                story.Add(Words($"{person} {Pick(s_drop, ref rng)} {thing}"));
                return;
            }
            if (free.Length > 0)
            {
                var thing = Pick(free, ref rng);
                world.Holder[thing] = person;
                world.LyingAt.Remove(thing);
                story.Add(Words($"{person} {Pick(s_take, ref rng)} {thing}"));
                return;
            }
        }
        world.Place[person] = place;
        world.Denied.Remove(person);
        switch (task)
        {
            case 9 when rng.Next() < 0.4:
                world.Denied.Add(person);
                story.Add(Words($"{person} is {(rng.Next() < 0.5 ? "no longer" : "not")} in the {place}"));
                break;
            case 11:
                var (pronoun, first) = (person is "mary" or "sandra" ? "she" : "he", Pick(s_places, ref rng));
                story.Add(Words($"{person} {Pick(s_go, ref rng)} {first}"));
                story.Add(Words($"{(rng.Next() < 0.5 ? "afterwards" : "then")} {pronoun} {Pick(s_go, ref rng)} {place}"));
                break;
            case 12:
                var other = Pick([.. s_people.Where(name => name != person)], ref rng);
                world.Place[other] = place;
                story.Add(Words($"{person} and {other} {Pick(s_go, ref rng)} {place}"));
                break;
            default:
                story.Add(Words($"{person} {Pick(s_go, ref rng)} {place}"));
                break;
        }
    }

    private static (string Question, string Answer) Ask(int task, World world, ref Rng rng)
    {
        var known = world.Place.Keys.Order(StringComparer.Ordinal).ToArray();
        var person = Pick(known, ref rng);
        var held = s_things.Where(thing => world.Holder.GetValueOrDefault(thing) == person).ToArray();
        switch (task)
        {
            case 2:
                string[] placed = [.. s_things.Where(thing => world.Holder.ContainsKey(thing) || world.LyingAt.ContainsKey(thing))];
                if (placed.Length == 0) return ("", "");
                var asked = Pick(placed, ref rng);
                return ($"where is the {asked}", world.LyingAt.TryGetValue(asked, out var at) ? at : world.Place[world.Holder[asked]]);
            case 6 or 9:
                var place = rng.Next() < 0.5 ? world.Place[person] : Pick(s_places, ref rng);
                // One who is only known not to be somewhere could be anywhere else: only that place is asked for.
                if (world.Denied.Contains(person)) return ($"is {person} in the {world.Place[person]}", "no");
                return ($"is {person} in the {place}", world.Place[person] == place ? "yes" : "no");
            case 7: return ($"how many objects is {person} carrying", s_numbers[held.Length]);
            case 8: return ($"what is {person} carrying", held.Length == 0 ? "nothing" : string.Join(',', held));
            default: return ($"where is {person}", world.Place[person]);
        }
    }

    // "Mice are afraid of wolves. Gertrude is a mouse. What is Gertrude afraid of?"
    private static List<StoryQuestion> Deduction(ref Rng rng)
    {
        string[] kinds = ["mouse", "sheep", "wolf", "cat"], plurals = ["mice", "sheep", "wolves", "cats"],
            names = ["gertrude", "winona", "jessica", "emily"];
        var fears = kinds.Select((_, k) => k).ToArray();
        for (var k = 0; k < kinds.Length; k++)
        {
            do fears[k] = rng.Below(kinds.Length); while (fears[k] == k);
        }
        var isA = names.Select(_ => 0).ToArray();
        for (var k = 0; k < names.Length; k++) isA[k] = rng.Below(kinds.Length);
        var story = new List<string[]>();
        for (var k = 0; k < kinds.Length; k++) story.Add(Words($"{plurals[k]} are afraid of {plurals[fears[k]]}"));
        for (var k = 0; k < names.Length; k++) story.Add(Words($"{names[k]} is a {kinds[isA[k]]}"));
        var order = rng.Permutation(story.Count);
        string[][] shuffled = [.. order.Select(k => story[k])];
        return [.. rng.Permutation(names.Length)
            .Select(k => new StoryQuestion(shuffled, Words($"what is {names[k]} afraid of"), kinds[fears[isA[k]]]))];
    }
}
