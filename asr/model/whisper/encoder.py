"""Whisper's encoder (Radford et al. 2022): two convolutions and Transformer blocks, pre-norm.

As published, it sees windows of 30 s as a whole. Trained further with chunk contexts and
`circular_positions` it also streams: a frame then sees its own chunk and some frames before it,
and positions, which are absolute, start anew after 30 s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.errors import ModelError
from asr.model.attention import Attention, visible, within
from asr.model.chunked import ChunkedEncoder, ChunkedState
from asr.model.protocols import FULL_CONTEXT, ChunkContext
from asr.model.registry import register_encoder
from asr.model.self_attending import KeysValues
from asr.model.whisper.config import WhisperEncoderConfig

#: Features for each frame.
FACTOR = 2
#: Features before its own that a frame sees by the convolutions.
BEFORE = 2
#: How far features of silence are below the loudest of an utterance (80 dB), and the front end's
#: floor, the least that they can be (`WhisperLogMel`).
RANGE, FLOOR = 2.0, -1.5
#: The share of batches that begin at a random position, where positions are circular.
CIRCULAR_SHARE = 0.5


@dataclass(frozen=True)
class WhisperEncoderState(ChunkedState):
    """A batch of streams between two steps.

    `frames` (B,) counts the frames of memory so far, `before` (B, 2, F) are the features before
    those that wait, and `layers` the keys and values that each layer keeps.
    """

    frames: Tensor
    before: Tensor
    layers: tuple[KeysValues, ...]


@register_encoder("whisper", WhisperEncoderConfig)
class WhisperEncoder(ChunkedEncoder[WhisperEncoderState]):
    """Halves the frame rate by a convolution, adds sinusoids, then blocks and a layer norm.

    Published checkpoints were trained on windows of 30 s that end in silence: they need some behind
    the sound (`config.tail`), or lose accuracy and make up text, and they honour no chunks.
    """

    positions: Tensor
    layers: Sequence[WhisperEncoderLayer]  # a ModuleList, which would be typed as any modules
    factor = FACTOR

    def __init__(
        self, config: WhisperEncoderConfig, feature_dim: int, feature_seconds: float
    ) -> None:
        super().__init__()
        self.dim = config.dim
        self.feature_dim = feature_dim
        self.max_frames = config.positions
        self.circular_positions = config.circular_positions
        self.tail = config.tail
        self.frame_seconds = FACTOR * feature_seconds
        self.conv1 = nn.Conv1d(feature_dim, config.dim, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(config.dim, config.dim, kernel_size=3, stride=FACTOR, padding=1)
        self.register_buffer("positions", sinusoids(config.positions, config.dim))
        layers = nn.ModuleList(WhisperEncoderLayer(config) for _ in range(config.layers))
        self.layers = layers  # type: ignore[assignment]
        self.norm = nn.LayerNorm(config.dim)

    @property
    def centre(self) -> float:
        """See `Encoder.centre`."""
        return 0.0

    def check_context(self, context: ChunkContext) -> None:
        """See `Encoder.check_context`."""
        if context.chunk is not None and not self.circular_positions:
            raise ModelError(
                "WhisperEncoder needs the whole utterance and cannot work on chunks: leave chunks "
                "out, or train a model that can (recipes/english, circular_positions: true)"
            )

    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """See `Encoder.forward`. In training, circular positions begin at a random one."""
        self.check_context(context)
        frames = self.frames(features.shape[1])
        limit = len(self.positions)
        if frames > limit:
            raise ModelError(
                f"Whisper's encoder takes at most {limit} frames "
                f"({limit * self.frame_seconds:g} s), got {frames}; cut the sound"
            )
        if not frames:
            return features.new_zeros(len(features), 0, self.dim), lengths
        real = within(lengths, features.shape[1])[..., None]
        silence = _silence(features, real)
        lengths = self._with_tail(lengths)
        frames = self.frames(max(features.shape[1], int(lengths.max())))
        beyond = (0, 0, 0, FACTOR * frames - features.shape[1])
        # beyond a row's end convolutions are to see zeros, as beyond the end of the batch
        silence = silence * within(lengths, FACTOR * frames)[..., None]
        features = F.pad(features, beyond).where(F.pad(real, beyond), silence)
        memory = F.gelu(self.conv1(features.to(self.conv1.weight.dtype).transpose(1, 2)))
        memory = F.gelu(self.conv2(memory)).transpose(1, 2) + self._positions(frames)
        lengths = (lengths + 1) // FACTOR
        mask = None
        if context.chunk is not None or bool((lengths < frames).any()):
            mask = visible(lengths, frames, context)
        for layer in self.layers:
            memory = layer(memory, mask)
        return self.norm(memory), lengths

    def needed(self, frames: int) -> int:
        """See `StreamingEncoder.needed`."""
        return FACTOR * frames + 1 if frames else 0

    def initial_state(self, batch: int, context: ChunkContext) -> WhisperEncoderState:
        """See `StreamingEncoder.initial_state`."""
        self.check_context(context)
        like = self.norm.weight
        layers = tuple(layer.initial_cache(batch, context.left) for layer in self.layers)
        frames = torch.zeros(batch, dtype=torch.long, device=like.device)
        before = like.new_zeros(batch, BEFORE, self.feature_dim)
        return WhisperEncoderState(context, before[:, :0], frames, before, layers)

    def chunk(
        self, features: Tensor, state: WhisperEncoderState
    ) -> tuple[Tensor, WhisperEncoderState]:
        """See `ChunkedEncoder.chunk`."""
        size = (features.shape[1] - 1) // FACTOR
        left = state.context.left
        features = features.to(state.before.dtype)
        inputs = torch.cat((state.before, features), dim=1).transpose(1, 2)
        # before the first feature the parallel form has nothing at all, not a convolution of zeros
        frames = F.gelu(F.conv1d(inputs, self.conv1.weight, self.conv1.bias))
        real = (state.frames > 0)[:, None, None] | (
            torch.arange(frames.shape[2], device=frames.device) > 0
        )
        frames = F.conv1d(frames * real, self.conv2.weight, self.conv2.bias, stride=FACTOR)
        numbers = torch.arange(size, device=frames.device)
        positions = self.positions[(state.frames[:, None] + numbers) % len(self.positions)]
        memory = F.gelu(frames).transpose(1, 2) + positions
        places = torch.arange(left + size, device=memory.device)
        mask = (places >= left - state.frames[:, None])[:, None, None]
        layers = []
        for layer, cache in zip(self.layers, state.layers, strict=True):
            memory, cache = layer.step(memory, cache, mask)
            layers.append(cache)
        before = inputs[:, :, -1 - BEFORE : -1].transpose(1, 2)
        return self.norm(memory), replace(
            state, frames=state.frames + size, before=before.clone(), layers=tuple(layers)
        )

    def _with_tail(self, lengths: Tensor) -> Tensor:
        """Lengths (B,) in features with the silence behind them; empty utterances stay empty."""
        most = lengths.clamp(min=FACTOR * len(self.positions))
        return torch.where(lengths > 0, (lengths + FACTOR * self.tail).minimum(most), lengths)

    def _positions(self, frames: int) -> Tensor:
        """The positions (frames, D) of an utterance.

        Streams come to every position, and go round: training shows the encoder that as well.
        """
        if not (self.training and self.circular_positions and torch.rand(()) < CIRCULAR_SHARE):
            return self.positions[:frames]
        return self.positions.roll(-int(torch.randint(len(self.positions), ())), 0)[:frames]


class WhisperEncoderLayer(nn.Module):
    """Self-attention and feed-forward, both residual."""

    def __init__(self, config: WhisperEncoderConfig) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.dim)
        self.self_attention = Attention(config.dim, config.heads)
        self.ff_norm = nn.LayerNorm(config.dim)
        self.widen = nn.Linear(config.dim, config.ff)
        self.narrow = nn.Linear(config.ff, config.dim)

    def forward(self, frames: Tensor, mask: Tensor | None) -> Tensor:
        """Frames (B, M, D) to the same; `mask` as in `visible`, None where all may be seen."""
        normed = self.self_norm(frames)
        keys, values = self.self_attention.keys_values(normed)
        return self._rest(frames, normed, keys, values, mask)

    def initial_cache(self, batch: int, left: int) -> KeysValues:
        """An empty cache for `batch` streams that look `left` frames back."""
        like = self.self_attention.to_query.weight
        heads = self.self_attention.heads
        nothing = like.new_zeros(batch, heads, left, like.shape[0] // heads)
        return KeysValues(nothing, nothing)

    def step(self, frames: Tensor, cache: KeysValues, mask: Tensor) -> tuple[Tensor, KeysValues]:
        """The next chunk (B, m, D) behind the cached frames; `mask` (B, 1, 1, left + m)."""
        normed = self.self_norm(frames)
        left = cache.keys.shape[2]
        keys, values = self.self_attention.keys_values(normed)
        keys, values = torch.cat((cache.keys, keys), 2), torch.cat((cache.values, values), 2)
        kept = keys.shape[2] - left
        memory = self._rest(frames, normed, keys, values, mask)
        return memory, KeysValues(keys[:, :, kept:], values[:, :, kept:])

    def _rest(
        self, frames: Tensor, normed: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> Tensor:
        query = self.self_attention.query(normed)
        frames = frames + self.self_attention.attend(query, keys, values, mask)
        return frames + self.narrow(F.gelu(self.widen(self.ff_norm(frames))))


def _silence(features: Tensor, real: Tensor) -> Tensor:
    """The value (B, 1, 1) that digital silence has in `features` (B, T, F), as Whisper scales them.

    Args:
        real: (B, T, 1) False in the padding.
    """
    loudest = features.masked_fill(~real, -torch.inf).amax(dim=(1, 2), keepdim=True)
    return (loudest - RANGE).clamp(min=FLOOR)


def sinusoids(length: int, dim: int) -> Tensor:
    """Whisper's positions (length, dim): sines, then cosines, of dim / 2 wavelengths."""
    steps = torch.arange(dim // 2, dtype=torch.float64)
    frequencies = torch.exp(-math.log(10000.0) / (dim // 2 - 1) * steps)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()
