"""Cuts a recording of any length into stretches that are decoded in one piece.

A stretch ends at the quietest place of the last part of the window, where a word is least likely
to be cut. At most one window of sound is held, whatever the length of the recording, and where
the cuts fall does not depend on how the samples arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from asr.transcribe.endpoint import EndpointConfig, Endpointer, level_db

_FRAME_SECONDS = 0.01
# The frames of `cut_at_pauses`: long enough to hold a period of a deep voice.
_PAUSE_FRAME_SECONDS = 0.04
# A stretch ends at least this long before its window does, so that no sliver is left behind.
_SHORTEST_REST_SECONDS = 0.5


def cut_segments(
    blocks: Iterable[np.ndarray], rate: int, config: EndpointConfig | None = None
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
    config = config or EndpointConfig()
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


def cut_at_pauses(
    blocks: Iterable[np.ndarray], rate: int, config: EndpointConfig
) -> Iterator[tuple[float, np.ndarray]]:
    """Cuts as a stream does, but by loudness alone, since nothing has been encoded yet.

    The rules are those of `asr.transcribe.endpoint` for a model without CTC. Arguments and result
    are as in `cut_segments`.
    """
    size = round(_PAUSE_FRAME_SECONDS * rate)
    endpointer = Endpointer(config, size / rate)
    start, held, rest = 0, np.zeros(0, np.float32), np.zeros(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        frames, rest = np.split(rest, [len(rest) // size * size])
        for frame in frames.reshape(-1, size):
            held = np.concatenate([held, frame])
            cut = endpointer.push(float(level_db(frame)), None)
            if cut:
                end = cut.frames * size
                if cut.speech:
                    yield start / rate, held[:end]
                start, held = start + end, held[end:]
    held = np.concatenate([held, rest])
    if endpointer.heard or not is_silent(rest, rate, config.silence_db):
        yield start / rate, held


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
