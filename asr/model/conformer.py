"""The Conformer encoder (Gulati et al. 2020), for files and streams with one set of weights.

Attention uses rotary positions (Su et al. 2021) and sees what its `ChunkContext` allows;
convolutions are chunked the same way: real frames to the left, zeros beyond the chunk's end
(dynamic chunk convolution, Li et al. 2023). Layer norm takes batch norm's place, since batch norm
ties an utterance to its neighbours and to padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from asr.config import TypedConfig
from asr.model.attention import Attention, visible, within
from asr.model.dropout import Dropout
from asr.model.initial import damp, initialise
from asr.model.protocols import FULL_CONTEXT, ChunkContext, Encoder
from asr.model.registry import register_encoder
from asr.model.rotary import rotate
from asr.model.subsampling import Subsampling, SubsamplingConfig


class ConformerConfig(TypedConfig):
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
    layers: int = Field(default=12, ge=1)
    dim: int = Field(default=256, ge=2)
    heads: int = Field(default=4, ge=1)
    ff: int = Field(default=1024, ge=1)
    kernel: int = Field(default=15, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    layer_drop: float = Field(default=0.0, ge=0, lt=1)
    subsampling: SubsamplingConfig = SubsamplingConfig()

    @model_validator(mode="after")
    def _fits(self) -> ConformerConfig:
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} must be a multiple of 2 x heads ({2 * self.heads})")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} must be odd")
        return self


@dataclass(frozen=True)
class LayerCache:
    """What one layer remembers of earlier chunks: keys and values (B, H, left, d), and the
    convolution's inputs (B, kernel // 2, D).
    """

    keys: Tensor
    values: Tensor
    convolution: Tensor


@dataclass(frozen=True)
class ConformerState:
    """A batch of streams between two steps.

    `features` (B, t, F) wait for their chunk; `frames` (B,) counts the cached frames that are real
    (the caches start out empty and are filled from the right).
    """

    context: ChunkContext
    features: Tensor
    frames: Tensor
    layers: tuple[LayerCache, ...]


@register_encoder("conformer", ConformerConfig)
class ConformerEncoder(Encoder):
    """Subsampling, then `layers` Conformer blocks, then a layer norm."""

    layers: Sequence[ConformerLayer]  # a ModuleList, which would be typed as any modules

    def __init__(self, config: ConformerConfig, mels: int, feature_seconds: float) -> None:
        super().__init__()
        self.mels = mels
        self.dim = config.dim
        self.frame_seconds = feature_seconds * config.subsampling.factor
        self.layer_drop = config.layer_drop
        self.subsampling = Subsampling(config.subsampling, mels, config.dim)
        self.dropout = Dropout(config.dropout)
        layers = nn.ModuleList(ConformerLayer(config) for _ in range(config.layers))
        self.layers = layers  # type: ignore[assignment]
        self.norm = nn.LayerNorm(config.dim)
        self.apply(initialise)
        damp([end for layer in self.layers for end in layer.branch_ends()])

    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """See `Encoder.forward`."""
        memory, lengths, _ = self.forward_tapped(features, lengths, context, ())
        return memory, lengths

    def forward_tapped(
        self, features: Tensor, lengths: Tensor, context: ChunkContext, taps: Sequence[int]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """See `Encoder.forward_tapped`."""
        if not features.shape[1]:
            return (
                features.new_zeros(len(features), 0, self.dim),
                lengths,
                [features.new_zeros(len(features), 0, self.dim) for _ in taps],
            )
        features = features * within(lengths, features.shape[1])[..., None]
        frames = self.dropout(self.subsampling(features))
        lengths = self.subsampling.frames(lengths)
        real = within(lengths, frames.shape[1])[..., None]
        mask = visible(lengths, frames.shape[1], context)
        tapped = []
        for number, layer in enumerate(self.layers, start=1):
            # one draw per layer and batch, on the host: nothing to wait for on the device
            if not (self.training and self.layer_drop and torch.rand(()) < self.layer_drop):
                frames = layer(frames, real, mask, context)
            if number in taps:
                tapped.append(self.norm(frames))
        return self.norm(frames), lengths, tapped

    def needed(self, frames: int) -> int:
        """See `Encoder.needed`."""
        return self.subsampling.needed(frames)

    def initial_state(self, batch: int, context: ChunkContext) -> ConformerState:
        """See `Encoder.initial_state`."""
        like = self.norm.weight
        layers = tuple(layer.initial_cache(batch, context.left) for layer in self.layers)
        frames = torch.zeros(batch, dtype=torch.long, device=like.device)
        return ConformerState(context, like.new_zeros(batch, 0, self.mels), frames, layers)

    def step(
        self, features: Tensor, state: ConformerState, final: bool
    ) -> tuple[Tensor, ConformerState]:
        """See `Encoder.step`. With full context nothing comes out before `final`."""
        waiting = torch.cat((state.features, features), dim=1)
        if state.context.chunk is None:
            if not final:
                return waiting.new_zeros(len(waiting), 0, self.dim), replace(
                    state, features=waiting
                )
            lengths = torch.full((len(waiting),), waiting.shape[1], device=waiting.device)
            return self(waiting, lengths)[0], replace(state, features=waiting[:, :0])
        chunk, factor = state.context.chunk, self.subsampling.factor
        left_over = self.subsampling.frames(waiting.shape[1]) if final else 0
        if final:
            missing = max(self.subsampling.needed(left_over) - waiting.shape[1], 0)
            waiting = F.pad(waiting, (0, 0, 0, missing))
        memory = [waiting.new_zeros(len(waiting), 0, self.dim)]
        while left_over or (not final and waiting.shape[1] >= self.subsampling.needed(chunk)):
            size = min(chunk, left_over) if final else chunk
            frames, state = self._chunk(waiting[:, : self.subsampling.needed(size)], state)
            memory.append(frames)
            waiting = waiting[:, size * factor :]
            left_over -= size if final else 0
        waiting = waiting[:, :0] if final else waiting
        return torch.cat(memory, dim=1), replace(state, features=waiting)

    def _chunk(self, features: Tensor, state: ConformerState) -> tuple[Tensor, ConformerState]:
        frames = self.subsampling.windows(features)
        left, size = state.context.left, frames.shape[1]
        places = torch.arange(left + size, device=frames.device)
        mask = (places >= left - state.frames[:, None])[:, None, None, :]
        layers = []
        for layer, cache in zip(self.layers, state.layers, strict=True):
            frames, cache = layer.step(frames, cache, mask)
            layers.append(cache)
        seen = (state.frames + size).clamp(max=left)
        return self.norm(frames), replace(state, frames=seen, layers=tuple(layers))


class ConformerLayer(nn.Module):
    """Half a feed-forward, self-attention, convolution, half a feed-forward, all residual."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.ff_before = FeedForward(config)
        self.attention_norm = nn.LayerNorm(config.dim)
        self.attention = Attention(config.dim, config.heads)
        self.convolution = ChunkedConvolution(config)
        self.ff_after = FeedForward(config)
        self.dropout = Dropout(config.dropout)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, frames: Tensor, real: Tensor, mask: Tensor, context: ChunkContext) -> Tensor:
        """Frames (B, T, D); `real` (B, T, 1) is False in the padding; `mask` as in `visible`."""
        frames = frames + 0.5 * self.ff_before(frames)
        normed = self.attention_norm(frames)
        keys, values = self.attention.keys_values(normed)
        query = rotate(self.attention.query(normed))
        frames = frames + self.dropout(self.attention.attend(query, rotate(keys), values, mask))
        frames = frames + self.convolution(frames, real, context)
        return self.norm(frames + 0.5 * self.ff_after(frames))

    def branch_ends(self) -> list[nn.Linear]:
        """The last linear layer of each residual branch."""
        feed_forwards = [self.ff_before.narrow, self.ff_after.narrow]
        return [*feed_forwards, self.attention.to_output, self.convolution.mix]

    def initial_cache(self, batch: int, left: int) -> LayerCache:
        """An empty cache for `batch` streams that look `left` frames back."""
        like, heads = self.norm.weight, self.attention.heads
        keys = like.new_zeros(batch, heads, left, like.shape[0] // heads)
        before = like.new_zeros(batch, self.convolution.side, like.shape[0])
        return LayerCache(keys, keys, before)

    def step(self, frames: Tensor, cache: LayerCache, mask: Tensor) -> tuple[Tensor, LayerCache]:
        """The next chunk (B, t, D) of a batch of streams; `mask` (B, 1, 1, left + t)."""
        frames = frames + 0.5 * self.ff_before(frames)
        normed = self.attention_norm(frames)
        left = cache.keys.shape[2]
        keys, values = self.attention.keys_values(normed)
        keys, values = torch.cat((cache.keys, keys), 2), torch.cat((cache.values, values), 2)
        query = rotate(self.attention.query(normed), start=left)
        frames = frames + self.attention.attend(query, rotate(keys), values, mask)
        convolved, before = self.convolution.step(frames, cache.convolution)
        frames = frames + convolved
        kept = keys.shape[2] - left
        cache = LayerCache(keys[:, :, kept:], values[:, :, kept:], before)
        return self.norm(frames + 0.5 * self.ff_after(frames)), cache


class FeedForward(nn.Module):
    """Norm, widen, SiLU, narrow."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.widen = nn.Linear(config.dim, config.ff)
        self.narrow = nn.Linear(config.ff, config.dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        inner = self.dropout(F.silu(self.widen(self.norm(frames))))
        return self.dropout(self.narrow(inner))


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
