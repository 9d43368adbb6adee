"""Corpora on their way to training: manifests, checks, augmentation, batches by seconds.

The road: `manifest.read_manifest` makes Lhotse cuts of any form a corpus comes in;
`corpus.load_corpus` refuses or leaves out what cannot be trained on; `loader.training_batches`
yields `Batch`es of samples and tokens, resumable in the middle of an epoch. Lhotse is imported
by these modules only, so that transcribing never loads it.
"""
