"""Training: a recipe to a model folder.

`run.train` is the whole of it. The road: `recipe` reads the configuration; `data` prepares
tokenizer and feature statistics and feeds batches; `module` turns batches into steps; `loop`
validates, logs, writes checkpoints and decides when to stop; `export` writes the model folder.

Resuming is bit-equal on the CPU, given the same torch and the same number of threads, because
nothing is drawn from a generator that remembers: order, augmentation, dropout and chunk contexts
are functions of (seed, epoch, batch), schedules are functions of the step, and a checkpoint holds
the rest (weights, average, optimizer, position).
"""
