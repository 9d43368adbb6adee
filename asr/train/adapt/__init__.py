"""Adapting a trained model to a corpus: plan, held-out part, labels, hyperparameters."""
