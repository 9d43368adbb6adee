"""Convolutional subsampling by 4 or 8: features at 10 ms become frames at 40 or 80 ms.

The convolutions are unpadded in time, so a frame depends on a fixed window of features and
nothing else; an utterance is followed by silence (zeros in normalised features) until its last
feature is covered. That makes the stepped and the parallel form the same by construction.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from asr.config import Config

Count = TypeVar("Count", Tensor, int)


class SubsamplingConfig(Config):
    """How features become fewer frames.

    Attributes:
        factor: so many features become one frame.
        channels: those of the first convolution; each further one doubles them. The first runs at
            50 Hz over 40 bands and rules the cost: wide ones are for large models.
    """

    factor: Literal[4, 8] = 4
    channels: int = Field(default=32, ge=1)


class Subsampling(nn.Module):
    """Features (B, T, F) to frames (B, ceil(T / factor), D)."""

    def __init__(self, config: SubsamplingConfig, feature_dim: int, dim: int) -> None:
        super().__init__()
        self.factor = config.factor
        halvings = {4: 2, 8: 3}[config.factor]
        widths = [1, *(config.channels * 2**number for number in range(halvings))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(narrow, wide, kernel_size=3, stride=2, padding=(0, 1))
            for narrow, wide in pairwise(widths)
        )
        bands = -(-feature_dim // config.factor)
        self.to_dim = nn.Linear(widths[-1] * bands, dim)
        #: features that one frame is computed from
        self.window = 2 ** (halvings + 1) - 1

    def frames(self, features: Count) -> Count:
        """How many frames come of so many features."""
        return -(-features // self.factor)

    def needed(self, frames: int) -> int:
        """How many features the next `frames` frames are computed from."""
        return (frames - 1) * self.factor + self.window if frames else 0

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, F) -> (B, ceil(T / factor), D); what lies beyond a row's end must be zero."""
        missing = self.needed(self.frames(features.shape[1])) - features.shape[1]
        return self.windows(F.pad(features, (0, 0, 0, missing)))

    def windows(self, features: Tensor) -> Tensor:
        """The frames whose windows lie wholly within features (B, T, F)."""
        # channels last: half the time of the default layout on a CPU, and tensor cores like it
        maps = features[:, None].contiguous(memory_format=torch.channels_last)
        for convolution in self.convolutions:
            maps = F.relu(convolution(maps))
        return self.to_dim(maps.permute(0, 2, 3, 1).flatten(2))
