"""Whisper's encoder (Radford et al. 2022): two convolutions and Transformer blocks, pre-norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.errors import ModelError
from asr.model.attention import Attention
from asr.model.protocols import FULL_CONTEXT, ChunkContext, Encoder
from asr.model.registry import register_encoder
from asr.model.whisper.config import WhisperEncoderConfig


@register_encoder("whisper", WhisperEncoderConfig)
class WhisperEncoder(Encoder):
    """Halves the frame rate by a convolution, adds sinusoids, then blocks and a layer norm.

    Every frame sees every other, padding too: Whisper was trained on windows of 30 s that end in
    silence, and has no mask. So rows of one batch have equal padded lengths, and the memory of a
    row ends `config.tail` frames behind its sound.
    """

    padding_invariant = False
    positions: Tensor
    layers: Sequence[WhisperEncoderLayer]  # a ModuleList, which would be typed as any modules

    def __init__(
        self, config: WhisperEncoderConfig, feature_dim: int, feature_seconds: float
    ) -> None:
        super().__init__()
        self.dim = config.dim
        self.max_frames = config.positions
        self.window = 2 * config.positions
        self.tail, self.grid = config.tail, config.grid
        self.frame_seconds = 2 * feature_seconds
        self.conv1 = nn.Conv1d(feature_dim, config.dim, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(config.dim, config.dim, kernel_size=3, stride=2, padding=1)
        self.register_buffer("positions", sinusoids(config.positions, config.dim))
        layers = nn.ModuleList(WhisperEncoderLayer(config) for _ in range(config.layers))
        self.layers = layers  # type: ignore[assignment]
        self.norm = nn.LayerNorm(config.dim)

    def padded_lengths(self, lengths: Tensor) -> Tensor:
        """See `Encoder.padded_lengths`; nothing is added to nothing."""
        frames = (lengths + 1) // 2
        padded = (frames + self.tail + self.grid - 1) // self.grid * self.grid
        padded = torch.maximum(frames, padded.clamp(max=len(self.positions)))
        return torch.where((lengths > 0) & (padded > frames), 2 * padded, lengths)

    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """See `Encoder.forward`."""
        self.check_context(context)
        frames = (features.shape[1] + 1) // 2
        limit = len(self.positions)
        if frames > limit:
            raise ModelError(
                f"Whisper's encoder takes at most {limit} frames "
                f"({limit * self.frame_seconds:g} s), got {frames}; cut the sound"
            )
        if not frames:
            return features.new_zeros(len(features), 0, self.dim), lengths
        memory = F.gelu(self.conv1(features.to(self.conv1.weight.dtype).transpose(1, 2)))
        memory = F.gelu(self.conv2(memory)).transpose(1, 2) + self.positions[:frames]
        for layer in self.layers:
            memory = layer(memory)
        counts = torch.where(lengths > 0, (lengths + 1) // 2 + self.tail, lengths)
        counts = counts.clamp(max=frames)
        return self.norm(memory)[:, : int(counts.max())], counts


class WhisperEncoderLayer(nn.Module):
    """Self-attention and feed-forward, both residual."""

    def __init__(self, config: WhisperEncoderConfig) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.dim)
        self.self_attention = Attention(config.dim, config.heads)
        self.ff_norm = nn.LayerNorm(config.dim)
        self.widen = nn.Linear(config.dim, config.ff)
        self.narrow = nn.Linear(config.ff, config.dim)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (B, M, D) to the same."""
        normed = self.self_norm(frames)
        keys, values = self.self_attention.keys_values(normed)
        query = self.self_attention.query(normed)
        frames = frames + self.self_attention.attend(query, keys, values, None)
        return frames + self.narrow(F.gelu(self.widen(self.ff_norm(frames))))


def sinusoids(length: int, dim: int) -> Tensor:
    """Whisper's positions (length, dim): sines, then cosines, of dim / 2 wavelengths."""
    steps = torch.arange(dim // 2, dtype=torch.float64)
    frequencies = torch.exp(-math.log(10000.0) / (dim // 2 - 1) * steps)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()
