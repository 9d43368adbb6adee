"""Weights: where they start from, their averages, and how processes divide them."""
