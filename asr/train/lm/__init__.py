"""Training of language models: texts to a language model folder.

`run.train_lm` is the whole of it. `recipe` is the configuration; `texts` reads, normalises,
filters and cuts texts into labels; `batches` forms rows as long as utterances; `steps` is what a
neural model adds to the steps and the loop of `asr.train`; n-grams are counted by
`asr.lm.kneser_ney`.
"""
