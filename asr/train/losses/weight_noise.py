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
    trained = [one for one in model.parameters() if one.requires_grad and one.dim() > 1]
    kept = [one.detach().clone() for one in trained]
    try:
        for one in trained:
            one.data.add_(torch.randn_like(one), alpha=deviation)
        yield
    finally:
        for one, before in zip(trained, kept, strict=True):
            one.data.copy_(before)
