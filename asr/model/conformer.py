"""The Conformer encoder (Gulati et al. 2020), for files and streams with one set of weights.

Attention uses rotary positions (Su et al. 2021) and sees what its `ChunkContext` allows;
convolutions are chunked the same way: real frames to the left, zeros beyond the chunk's end
(dynamic chunk convolution, Li et al. 2023). Layer norm takes batch norm's place, since batch norm
ties an utterance to its neighbours and to padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
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


class ConformerConfig(SelfAttendingConfig):
    """The sizes of the encoder.

    Attributes:
        layers: Conformer blocks.
        dim: width of the frames; a multiple of twice `heads`.
        heads: of the self-attention.
        ff: inner width of the feed-forward modules.
        kernel: frames that a convolution sees; odd.
        dropout: share of the activations that is set to zero in training.
        layer_drop: share of the layers that is left out of a training step.
    """

    type: Literal["conformer"] = "conformer"
    kernel: int = Field(default=15, ge=1)

    @model_validator(mode="after")
    def _kernel_is_odd(self) -> ConformerConfig:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} must be odd")
        return self


@dataclass(frozen=True)
class LayerCache:
    """What one layer remembers of earlier chunks: those of its attention, and the convolution's
    inputs (B, kernel // 2, D).
    """

    attention: KeysValues
    convolution: Tensor


@register_encoder("conformer", ConformerConfig)
class ConformerEncoder(SelfAttendingEncoder):
    """Subsampling, then `layers` Conformer blocks, then a layer norm."""

    def __init__(self, config: ConformerConfig, feature_dim: int, feature_seconds: float) -> None:
        super().__init__(config, ConformerLayer, feature_dim, feature_seconds)


class ConformerLayer(Layer):
    """Half a feed-forward, self-attention, convolution, half a feed-forward, all residual."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.ff_before = FeedForward(config)
        self.attention_norm = nn.LayerNorm(config.dim)
        self.attention = SelfAttention(config.dim, config.heads)
        self.convolution = ChunkedConvolution(config)
        self.ff_after = FeedForward(config)
        self.dropout = Dropout(config.dropout)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, frames: Tensor, real: Tensor, mask: Tensor, context: ChunkContext) -> Tensor:
        """See `Layer.forward`."""
        frames = frames + 0.5 * self.ff_before(frames)
        frames = frames + self.dropout(self.attention(self.attention_norm(frames), mask))
        frames = frames + self.convolution(frames, real, context)
        return self.norm(frames + 0.5 * self.ff_after(frames))

    def branch_ends(self) -> list[nn.Linear]:
        """See `Layer.branch_ends`."""
        feed_forwards = [self.ff_before.narrow, self.ff_after.narrow]
        return [*feed_forwards, self.attention.to_output, self.convolution.mix]

    def hand_on(self, after: Layer) -> None:
        """See `Layer.hand_on`; the scale of the norm is this layer's now, `after` only norms."""
        super().hand_on(after)
        assert isinstance(after, ConformerLayer)
        nn.init.ones_(after.norm.weight)
        nn.init.zeros_(after.norm.bias)

    def initial_cache(self, batch: int, left: int) -> LayerCache:
        """See `Layer.initial_cache`."""
        like = self.norm.weight
        before = like.new_zeros(batch, self.convolution.side, like.shape[0])
        return LayerCache(self.attention.initial_cache(batch, left), before)

    def step(self, frames: Tensor, cache: LayerCache, mask: Tensor) -> tuple[Tensor, LayerCache]:
        """See `Layer.step`."""
        frames = frames + 0.5 * self.ff_before(frames)
        normed = self.attention_norm(frames)
        attended, keys_values = self.attention.step(normed, cache.attention, mask)
        frames = frames + attended
        convolved, before = self.convolution.step(frames, cache.convolution)
        frames = frames + convolved
        frames = self.norm(frames + 0.5 * self.ff_after(frames))
        return frames, LayerCache(keys_values, before)


class ChunkedConvolution(nn.Module):
    """The convolution module: gate, depthwise convolution over `kernel` frames, norm, SiLU."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.side = config.kernel // 2
        self.norm = nn.LayerNorm(config.dim)
        self.gate = nn.Linear(config.dim, 2 * config.dim)
        # as a 2-d convolution over (T, 1): torch then uses the layout that frames have anyway
        self.depthwise = nn.Conv2d(config.dim, config.dim, (config.kernel, 1), groups=config.dim)
        self.inner_norm = nn.LayerNorm(config.dim)
        self.mix = nn.Linear(config.dim, config.dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, frames: Tensor, real: Tensor, context: ChunkContext) -> Tensor:
        """(B, T, D) -> (B, T, D); each chunk sees `side` frames before it and none after it."""
        gated = F.glu(self.gate(self.norm(frames)), dim=-1) * real
        size = gated.shape[1]
        if context.chunk is None or size <= context.chunk:
            return self._convolve(F.pad(gated, (0, 0, self.side, self.side)))
        padding = -size % context.chunk
        padded = F.pad(gated, (0, 0, self.side, padding))
        windows = padded.unfold(1, self.side + context.chunk, context.chunk)  # (B, n, D, window)
        windows = F.pad(windows.flatten(0, 1).transpose(1, 2), (0, 0, 0, self.side))
        chunks = self._convolve(windows)  # (B n, chunk, D)
        return chunks.unflatten(0, (len(frames), -1)).flatten(1, 2)[:, :size]

    def step(self, frames: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """The next chunk (B, t, D), with the gated frames (B, side, D) `before` it."""
        gated = torch.cat((before, F.glu(self.gate(self.norm(frames)), dim=-1)), dim=1)
        convolved = self._convolve(F.pad(gated, (0, 0, 0, self.side)))
        return convolved, gated[:, gated.shape[1] - self.side :]

    def _convolve(self, gated: Tensor) -> Tensor:
        convolved = self.depthwise(gated.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
        return self.dropout(self.mix(F.silu(self.inner_norm(convolved))))
