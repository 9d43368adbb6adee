"""Scheduled sampling (Bengio et al. 2015): the decoder is fed some of its own labels in training.

Under teacher forcing a decoder never sees its own mistakes, which is all it has in the search.
The labels that are fed are decided first, by steps and without gradient, each own label the best
one behind those fed before it; then the usual parallel form is trained on them. As both forms of a
decoder are equal, that is the gradient of the paper, for any decoder.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from asr.config import Config
from asr.model import Decoder
from asr.text import Labels


class ScheduledSamplingConfig(Config):
    """How large a share of the labels that are fed is the model's own.

    Attributes:
        shape: how the share rises: linear, exponential (fast at first), or the inverse sigmoid
            (slow at both ends).
        start: the step at which it begins to rise.
        steps: so many steps later it is as large as it gets.
        most: the share that it reaches.
    """

    shape: Literal["linear", "exponential", "inverse_sigmoid"] = "linear"
    start: int = Field(default=0, ge=0)
    steps: int = Field(default=10000, ge=1)
    most: float = Field(default=0.25, ge=0, le=1)

    def share(self, step: int) -> float:
        """The share of own labels at a step, counted from 0."""
        done = min(max(step - self.start, 0) / self.steps, 1.0)
        if self.shape == "exponential":  # of what is left, always the same part in a step
            risen = (1 - 0.01**done) / 0.99
        elif self.shape == "inverse_sigmoid":
            low, high = (1 / (1 + math.exp(-place)) for place in (-5, 5))
            risen = (1 / (1 + math.exp(5 - 10 * done)) - low) / (high - low)
        else:
            risen = done
        return self.most * risen


@torch.no_grad()
def with_own_labels(
    decoder: Decoder,
    inputs: Tensor,
    memory: Tensor,
    memory_lengths: Tensor,
    labels: Labels,
    share: float,
) -> Tensor:
    """Decoder inputs (B, S + U) in which a random `share` is what the decoder predicts.

    The start of S labels stays, and so does the true label where a forbidden one, such as the end,
    is predicted.
    """
    training = decoder.training
    decoder.eval()
    fed = inputs.clone()
    own = torch.rand(inputs.shape, device=inputs.device) < share
    own[:, : len(labels.start)] = False
    forbidden = torch.tensor(sorted(labels.forbidden), device=inputs.device)
    with torch.autocast(memory.device.type, enabled=False):
        state = decoder.initial_state(memory.float(), memory_lengths)
        for place in range(1, inputs.shape[1]):
            log_probs, state = decoder.step(fed[:, place - 1], state)
            best = log_probs.argmax(dim=-1)
            allowed = ~torch.isin(best, forbidden)
            fed[:, place] = best.where(own[:, place] & allowed, inputs[:, place])
    decoder.train(training)
    return fed
