"""What encoders of self-attention layers have in common: all but the layers.

Attention uses rotary positions (Su et al. 2021) and sees what its `ChunkContext` allows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from asr.config import TypedConfig
from asr.model.attention import Attention, visible, within
from asr.model.chunked import ChunkedEncoder, ChunkedState
from asr.model.layers import Dropout, damp, initialise, rotate
from asr.model.protocols import FULL_CONTEXT, ChunkContext
from asr.model.subsampling import Subsampling, SubsamplingConfig


class SelfAttendingConfig(TypedConfig):
    """The sizes of the encoder.

    Attributes:
        layers: blocks.
        dim: width of the frames; a multiple of twice `heads`.
        heads: of the self-attention.
        ff: inner width of the feed-forward modules.
        dropout: share of the activations that is set to zero in training.
        layer_drop: share of the layers that is left out of a training step.
    """

    layers: int = Field(default=12, ge=1)
    dim: int = Field(default=256, ge=2)
    heads: int = Field(default=4, ge=1)
    ff: int = Field(default=1024, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    layer_drop: float = Field(default=0.0, ge=0, lt=1)
    subsampling: SubsamplingConfig = SubsamplingConfig()

    @model_validator(mode="after")
    def _heads_fit(self) -> SelfAttendingConfig:
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} must be a multiple of 2 x heads ({2 * self.heads})")
        return self


@dataclass(frozen=True)
class KeysValues:
    """The keys and values (B, H, left, d) that one layer keeps of earlier chunks."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class SelfAttendingState(ChunkedState):
    """A batch of streams between two steps.

    `seen` (B,) counts the cached frames that are real (the caches start out empty and are filled
    from the right); `layers` is what each layer keeps.
    """

    seen: Tensor
    layers: tuple[Any, ...]


class Layer(nn.Module):
    """One block of such an encoder."""

    @abstractmethod
    def forward(self, frames: Tensor, real: Tensor, mask: Tensor, context: ChunkContext) -> Tensor:
        """Frames (B, T, D); `real` (B, T, 1) is False in the padding; `mask` as in `visible`."""

    @abstractmethod
    def branch_ends(self) -> list[nn.Linear]:
        """The last linear layer of each residual branch."""

    def hand_on(self, after: Layer) -> None:
        """Becomes a layer that changes nothing right behind the layer `after`, which it is a copy
        of: its branches end in zeros.
        """
        for end in self.branch_ends():
            nn.init.zeros_(end.weight)
            if end.bias is not None:
                nn.init.zeros_(end.bias)

    @abstractmethod
    def initial_cache(self, batch: int, left: int) -> Any:
        """An empty cache for `batch` streams that look `left` frames back."""

    @abstractmethod
    def step(self, frames: Tensor, cache: Any, mask: Tensor) -> tuple[Tensor, Any]:
        """The next chunk (B, t, D) of a batch of streams; `mask` (B, 1, 1, left + t)."""


class SelfAttendingEncoder(ChunkedEncoder[SelfAttendingState]):
    """Subsampling, then layers, then a layer norm."""

    layers: Sequence[Layer]  # a ModuleList, which would be typed as any modules

    def __init__(
        self,
        config: SelfAttendingConfig,
        layer: Callable[[Any], Layer],
        feature_dim: int,
        feature_seconds: float,
    ) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.dim = config.dim
        self.factor = config.subsampling.factor
        self.frame_seconds = feature_seconds * self.factor
        self.layer_drop = config.layer_drop
        self.subsampling = Subsampling(config.subsampling, feature_dim, config.dim)
        self.dropout = Dropout(config.dropout)
        layers = nn.ModuleList(layer(config) for _ in range(config.layers))
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

    def deepen(self, layers: int) -> list[int]:
        """Grows to so many layers, and gives the same memory as before.

        The new ones are spread evenly, each behind the layer that it is a copy of, with branches
        that end in zeros: from there they learn as part of a trained encoder (stacking, Gong et
        al. 2019; ends of zeros, Du et al. 2024).

        Returns:
            for each layer that there was the number of layers, itself counted, in its place.
        """
        count = len(self.layers)
        places = [(i + 1) * layers // count - i * layers // count for i in range(count)]
        grown: list[Layer] = []
        for layer, place in zip(self.layers, places, strict=True):
            grown.append(layer)
            for _ in range(place - 1):
                copy = deepcopy(grown[-1])
                copy.hand_on(grown[-1])
                grown.append(copy)
        self.layers = nn.ModuleList(grown)  # type: ignore[assignment]
        return places

    def needed(self, frames: int) -> int:
        """See `StreamingEncoder.needed`."""
        return self.subsampling.needed(frames)

    def initial_state(self, batch: int, context: ChunkContext) -> SelfAttendingState:
        """See `StreamingEncoder.initial_state`."""
        like = self.norm.weight
        layers = tuple(layer.initial_cache(batch, context.left) for layer in self.layers)
        seen = torch.zeros(batch, dtype=torch.long, device=like.device)
        return SelfAttendingState(context, like.new_zeros(batch, 0, self.feature_dim), seen, layers)

    def chunk(
        self, features: Tensor, state: SelfAttendingState
    ) -> tuple[Tensor, SelfAttendingState]:
        """See `ChunkedEncoder.chunk`."""
        frames = self.subsampling.windows(features)
        left, size = state.context.left, frames.shape[1]
        places = torch.arange(left + size, device=frames.device)
        mask = (places >= left - state.seen[:, None])[:, None, None, :]
        layers = []
        for layer, cache in zip(self.layers, state.layers, strict=True):
            frames, cache = layer.step(frames, cache, mask)
            layers.append(cache)
        seen = (state.seen + size).clamp(max=left)
        return self.norm(frames), replace(state, seen=seen, layers=tuple(layers))


class SelfAttention(Attention):
    """Frames look at frames, by distance: the parallel form and the stepped one."""

    def forward(self, normed: Tensor, mask: Tensor) -> Tensor:
        """Frames (B, T, D) of whole utterances; `mask` as in `visible`."""
        keys, values = self.keys_values(normed)
        return self.attend(rotate(self.query(normed)), rotate(keys), values, mask)

    def initial_cache(self, batch: int, left: int) -> KeysValues:
        """For `batch` streams that look `left` frames back."""
        like = self.to_query.weight
        nothing = like.new_zeros(batch, self.heads, left, like.shape[0] // self.heads)
        return KeysValues(nothing, nothing)

    def step(self, normed: Tensor, cache: KeysValues, mask: Tensor) -> tuple[Tensor, KeysValues]:
        """The next chunk (B, t, D) behind the cached frames; `mask` (B, 1, 1, left + t)."""
        left = cache.keys.shape[2]
        keys, values = self.keys_values(normed)
        keys, values = torch.cat((cache.keys, keys), 2), torch.cat((cache.values, values), 2)
        mixed = self.attend(rotate(self.query(normed), start=left), rotate(keys), values, mask)
        kept = keys.shape[2] - left
        return mixed, KeysValues(keys[:, :, kept:], values[:, :, kept:])


class FeedForward(nn.Module):
    """Norm, widen, SiLU, narrow."""

    def __init__(self, config: SelfAttendingConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.widen = nn.Linear(config.dim, config.ff)
        self.narrow = nn.Linear(config.ff, config.dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        inner = self.dropout(F.silu(self.widen(self.norm(frames))))
        return self.dropout(self.narrow(inner))
