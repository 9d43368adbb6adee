"""Noise on the weights of a training step (Graves 2011): flat minima, less overfitting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def noisy_weights(model: nn.Module, deviation: float) -> Iterator[None]:
    """Within the block all trained matrices have Gaussian noise on them; then they are as before.

    Gradients of the block are those at the noisy weights.
    """
    if not deviation:
        yield
        return
    trained = [weight for weight in model.parameters() if weight.requires_grad and weight.dim() > 1]
    kept = [weight.detach().clone() for weight in trained]
    try:
        for weight in trained:
            weight.data.add_(torch.randn_like(weight), alpha=deviation)
        yield
    finally:
        for weight, before in zip(trained, kept, strict=True):
            weight.data.copy_(before)
