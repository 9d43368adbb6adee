"""How much an encoder hears at once, in milliseconds for people and in frames for encoders."""

from __future__ import annotations

import math

from asr.errors import ConfigError
from asr.model import ChunkContext

#: What a chunk sees of the past where nothing else is asked for; rounded to whole frames.
LEFT_MS = 5120.0


def chunk_context(frame_seconds: float, chunk_ms: float, left_ms: float | None) -> ChunkContext:
    """The context of chunks of `chunk_ms` that see `left_ms` of the past (None: about 5 s).

    Args:
        frame_seconds: length of one frame of the encoder.

    Raises:
        ConfigError: a length is not a multiple of the frame, or too short.
    """
    left = LEFT_MS // (1000 * frame_seconds)
    if left_ms is not None:
        left = _frames(frame_seconds, "left_ms", left_ms, 0)
    return ChunkContext(_frames(frame_seconds, "chunk_ms", chunk_ms, 1), int(left))


def _frames(frame_seconds: float, option: str, milliseconds: float, least: int) -> int:
    """`milliseconds` as whole frames of the encoder."""
    if not math.isfinite(milliseconds):
        raise ConfigError(f"{option} must be a number of milliseconds, got {milliseconds}")
    frame_ms = frame_seconds * 1000
    frames = milliseconds / frame_ms
    nearest = max(least, round(frames))
    if not abs(frames - nearest) < 1e-6:
        raise ConfigError(
            f"{option} must be a multiple of {frame_ms:g} (one frame of this model) and at "
            f"least {least * frame_ms:g}, got {milliseconds:g}; the nearest is "
            f"{nearest * frame_ms:g}"
        )
    return nearest
