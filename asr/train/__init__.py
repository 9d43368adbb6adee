"""Training: a recipe to a model folder.

`run.train` is the whole of it. `recipe` reads the configuration; `data` prepares tokenizer and
feature statistics and makes batches; `module` turns a batch into a loss, `steps` losses into steps;
`loop` decides what happens after a step, and when a run ends; `trainer` sets up Lightning.
`weights` averages and exports. `lm` trains language models with the same steps and loop.

Resuming is bit-equal on the CPU, given the same torch and the same number of threads, because
nothing is drawn from a generator that remembers: order, augmentation, dropout and chunk contexts
are functions of (seed, epoch, batch), schedules are functions of the step, and a checkpoint holds
the rest (weights, average, optimizer, the run's counters).
"""
