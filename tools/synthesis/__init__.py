"""Synthetic speech for training: engines, sentences, and what becomes of them."""
