"""Log probabilities that are exact enough to be summed, whatever type the weights have."""

from __future__ import annotations

import torch
from torch import Tensor


def log_softmax(logits: Tensor) -> Tensor:
    """Log probabilities over the last dimension, in float32 where the logits are shorter."""
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    return logits.log_softmax(dim=-1)
