// libtorch has one random generator for the whole process: a test that draws while another has just set the seed
// gives both of them other numbers. libtorch's own threads keep the cores busy.

[assembly: CollectionBehavior(DisableTestParallelization = true)]
