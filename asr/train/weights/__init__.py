"""Weights: where they start from, low-rank changes, averages, and how processes divide them."""
