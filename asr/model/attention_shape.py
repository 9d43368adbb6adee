"""What attention weights look like, in two numbers: whether a decoder has found its place.

In speech the labels follow the sound, so attention that works is a diagonal: each label looks a
little further right than the one before, and at few frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: With fewer labels every line is about a diagonal.
FEWEST = 3


@dataclass(frozen=True)
class AttentionShape:
    """Of the most diagonal head of all layers.

    `diagonality` is the share of the labels' places, as the line from the first to the last frame
    has them, that the places they look at explain: 1 on that line, 0 where all labels look at the
    same place. `entropy` is that of a label's weights, 1 for all frames alike, 0 for one frame.
    """

    diagonality: float
    entropy: float


def attention_shape(weights: Tensor) -> AttentionShape | None:
    """Of the weights (layers, H, U, M) of one utterance without padding.

    None where there is nothing to judge: fewer than three labels, two frames, or no heads.
    """
    layers, heads, labels, frames = weights.shape
    if labels < FEWEST or frames < 2 or not layers * heads:
        return None
    weights = weights.float().flatten(0, 1)
    places = (torch.arange(frames, device=weights.device) + 0.5) / frames
    line = (torch.arange(labels, device=weights.device) + 0.5) / labels
    off = ((weights @ places - line) ** 2).sum(dim=1) / ((line - 0.5) ** 2).sum()
    best = int(off.argmin())
    entropy = torch.special.entr(weights[best]).sum(dim=-1).mean() / math.log(frames)
    return AttentionShape(max(0.0, 1.0 - float(off[best])), float(entropy))
