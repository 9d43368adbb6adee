"""The Transformer encoder (Vaswani et al. 2017), pre-norm, with rotary positions.

It is the Conformer without convolutions, and honours the same chunk contexts.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from asr.model.layers import Dropout
from asr.model.protocols import ChunkContext
from asr.model.registry import register_encoder
from asr.model.self_attending import (
    FeedForward,
    KeysValues,
    Layer,
    SelfAttendingConfig,
    SelfAttendingEncoder,
    SelfAttention,
)


class TransformerEncoderConfig(SelfAttendingConfig):
    """The sizes of the encoder.

    Attributes:
        layers: blocks of self-attention and feed-forward.
        dim: width of the frames; a multiple of twice `heads`.
        heads: of the self-attention.
        ff: inner width of the feed-forward modules.
        dropout: share of the activations that is set to zero in training.
        layer_drop: share of the layers that is left out of a training step.
    """

    type: Literal["transformer"] = "transformer"


@register_encoder("transformer", TransformerEncoderConfig)
class TransformerEncoder(SelfAttendingEncoder):
    """Subsampling, then `layers` blocks of self-attention and feed-forward, then a layer norm."""

    def __init__(
        self, config: TransformerEncoderConfig, feature_dim: int, feature_seconds: float
    ) -> None:
        super().__init__(config, TransformerLayer, feature_dim, feature_seconds)


class TransformerLayer(Layer):
    """Self-attention and feed-forward, both residual."""

    def __init__(self, config: TransformerEncoderConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.dim)
        self.attention = SelfAttention(config.dim, config.heads)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, frames: Tensor, real: Tensor, mask: Tensor, context: ChunkContext) -> Tensor:
        """See `Layer.forward`."""
        frames = frames + self.dropout(self.attention(self.attention_norm(frames), mask))
        return frames + self.feed_forward(frames)

    def branch_ends(self) -> list[nn.Linear]:
        """See `Layer.branch_ends`."""
        return [self.attention.to_output, self.feed_forward.narrow]

    def initial_cache(self, batch: int, left: int) -> KeysValues:
        """See `Layer.initial_cache`."""
        return self.attention.initial_cache(batch, left)

    def step(self, frames: Tensor, cache: KeysValues, mask: Tensor) -> tuple[Tensor, KeysValues]:
        """See `Layer.step`."""
        attended, cache = self.attention.step(self.attention_norm(frames), cache, mask)
        frames = frames + attended
        return frames + self.feed_forward(frames), cache
