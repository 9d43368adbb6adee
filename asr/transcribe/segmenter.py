"""Cuts a recording of any length into stretches that are decoded in one piece.

A stretch ends at the quietest place of the last part of the window, where a word is least likely
to be cut. At most one window of sound is held, whatever the length of the recording, and where
the cuts fall does not depend on how the samples arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from pydantic import Field

from asr.config import Config

_FRAME_SECONDS = 0.01
# A stretch ends at least this long before its window does, so that no sliver is left behind.
_SHORTEST_REST_SECONDS = 0.5


class SegmenterConfig(Config):
    """Where a stretch may end, and what is too quiet to be decoded."""

    max_segment_seconds: float = Field(default=20.0, ge=2.0, le=120.0)
    """The longest stretch: not much longer than what models are trained on."""
    quiet_seconds: float = Field(default=0.2, ge=0.02, le=1.0)
    """The length of the pause that is looked for."""
    silence_db: float = Field(default=-75.0, ge=-140.0, le=-40.0)
    """A stretch that never gets louder than this has no speech (RMS of 10 ms; full scale is 0)."""


def cut_segments(
    blocks: Iterable[np.ndarray], rate: int, config: SegmenterConfig | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """Cuts the blocks of one recording into stretches of sound that may hold speech.

    Args:
        blocks: consecutive samples (N,), float32, mono, at `rate`; of any lengths.
        rate: samples a second.
        config: None takes the defaults.

    Yields:
        (start, samples): seconds from the start of the recording, and the stretch (N,). Silent
        stretches are left out; everything else comes out once, in order.
    """
    config = config or SegmenterConfig()
    longest = round(config.max_segment_seconds * rate)
    start, held, count = 0, list[np.ndarray](), 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count <= longest:
            continue
        sound = np.concatenate(held)
        while len(sound) > longest:
            end = quietest_place(sound[:longest], rate, config.quiet_seconds)
            if not is_silent(sound[:end], rate, config.silence_db):
                yield start / rate, sound[:end]
            start, sound = start + end, sound[end:]
        held, count = [sound], len(sound)
    sound = np.concatenate(held) if held else np.zeros(0, np.float32)
    if not is_silent(sound, rate, config.silence_db):
        yield start / rate, sound


def quietest_place(window: np.ndarray, rate: int, quiet_seconds: float) -> int:
    """The middle of the quietest `quiet_seconds` in the second half of `window` (N,).

    Of equally quiet places the last one is taken, so that stretches are as long as they may be.
    """
    begin = len(window) // 2
    levels = _levels(window[begin : len(window) - round(_SHORTEST_REST_SECONDS * rate)], rate)
    width = max(1, min(round(quiet_seconds / _FRAME_SECONDS), len(levels)))
    sums = np.convolve(levels, np.ones(width), mode="valid")
    place = len(sums) - 1 - int(np.argmin(sums[::-1]))
    return begin + round((place + width / 2) * _FRAME_SECONDS * rate)


def is_silent(sound: np.ndarray, rate: int, silence_db: float) -> bool:
    """Whether no 10 ms of `sound` (N,) are louder than `silence_db`; a constant offset is not."""
    return len(sound) == 0 or bool(_levels(sound, rate).max() <= 10 ** (silence_db / 10))


def _levels(sound: np.ndarray, rate: int) -> np.ndarray:
    """Mean square of each 10 ms of `sound` (N,) without its offset; a short rest joins the last."""
    squares = np.square(sound - sound.mean(dtype=np.float64), dtype=np.float64)
    size = max(1, round(_FRAME_SECONDS * rate))
    starts = np.arange(max(1, len(sound) // size)) * size
    return np.add.reduceat(squares, starts) / np.diff(np.append(starts, len(sound)))
