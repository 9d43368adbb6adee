"""An encoder that can do only what every encoder must: it cannot stream, depends on padding, and
takes utterances of limited length. It stands for Whisper's.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from asr.config import TypedConfig
from asr.errors import ModelError
from asr.model import FULL_CONTEXT, ChunkContext, Encoder
from asr.model.registry import register_encoder


class WholeOnlyConfig(TypedConfig):
    """Registered for tests; `asr train --keys` lists every key that is registered.

    Attributes:
        dim: width of the memory.
        max_frames: most memory frames of an utterance.
    """

    type: Literal["test-whole-only"] = "test-whole-only"
    dim: int = 16
    max_frames: int = 50


@register_encoder("test-whole-only", WholeOnlyConfig)
class WholeOnlyEncoder(Encoder):
    """Means of eight features less the mean of all of them, padding included."""

    padding_invariant = False

    def __init__(self, config: WholeOnlyConfig, feature_dim: int, feature_seconds: float) -> None:
        super().__init__()
        self.dim = config.dim
        self.frame_seconds = 8 * feature_seconds
        self.max_frames = config.max_frames
        self.to_dim = nn.Linear(feature_dim, config.dim)

    @property
    def centre(self) -> float:
        return 3.5

    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        self.check_context(context)
        size = features.shape[1] // 8
        if size > self.max_frames:
            raise ModelError(f"{size} frames are more than {self.max_frames}")
        frames = features[:, : 8 * size].unflatten(1, (size, 8)).mean(2)
        if size:
            frames = frames - frames.mean(dim=1, keepdim=True)
        return torch.tanh(self.to_dim(frames)), lengths // 8
