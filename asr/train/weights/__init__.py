"""Weights: where they start from, their averages, and how they become a model folder."""
