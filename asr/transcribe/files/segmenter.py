"""Cuts a recording of any length into segments that are decoded in one piece.

A recording is seen through a window as long as the longest segment, so what comes after a pause
helps to tell that it is one. The first pause of `silence_seconds` ends a segment; where the window
has none, the longest pause of its second half does; where nothing there is a pause, the quietest
place, where a word is least likely to be cut. No more than a window and a block are held, whatever
the length of the recording, and where the cuts fall does not depend on how the samples arrive.

What is quiet is told by loudness, in frames: what is `loud_db` below the loudest nearby, or hardly
louder than the background. Segments meet in the middle of a pause and keep no more than
`lead_seconds` of it; what is quiet beyond that is left out. Where nothing stands out from the
background, all that is louder than `silence_db` counts as sound, so that no speech is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from asr.audio.samples import level_db
from asr.config import parse
from asr.errors import ConfigError
from asr.model import Encoder
from asr.transcribe.streams.endpoint import EndpointConfig

#: A frame holds a period of a deep voice.
FRAME_SECONDS = 0.04
#: The loudest nearby is looked for so far before and behind a frame.
PEAK_SECONDS = 1.5
#: The background is the level that a tenth is below of so much sound before and behind a frame.
BACKGROUND_SECONDS = 5.0
BACKGROUND_PERCENT = 10.0
#: What is no more than this above the background is quiet ...
BACKGROUND_DB = 6.0
#: ... where the loudest of the window is at least this much louder; else all may be background.
SPEECH_DB = 15.0
#: A window is cut at least this long before its end: the quietest place must be seen as a whole.
REST_SECONDS = 0.5
#: The background is looked up once in so many frames.
_STRIDE = 10


def segment_rules(
    encoder: Encoder, asked: EndpointConfig | None, default: EndpointConfig
) -> EndpointConfig:
    """The rules to cut a recording by, with segments no longer than the encoder takes.

    Args:
        asked: what the caller asked for; None takes `default`, with shorter segments where needed.

    Raises:
        ConfigError: `asked` wants longer segments, or the encoder takes only such that are too
            short for speech.
    """
    rules = asked or default
    if encoder.max_frames is None:
        return rules
    longest = encoder.max_frames * encoder.frame_seconds + 1e-9
    if _frames(rules.max_segment_seconds) * FRAME_SECONDS <= longest:
        return rules
    if asked is not None:
        raise ConfigError(
            f"max_segment_seconds is {asked.max_segment_seconds:g}, but this model's encoder "
            f"takes at most {longest:.4g} s at once; lower it"
        )
    whole = int(longest / FRAME_SECONDS) * FRAME_SECONDS
    return parse(EndpointConfig, rules.model_dump() | {"max_segment_seconds": whole}, "endpoint")


def cut_segments(
    blocks: Iterable[np.ndarray], rate: int, config: EndpointConfig | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """Cuts the blocks of one recording into segments of sound that may hold speech.

    Args:
        blocks: consecutive samples (N,), float32, mono, at `rate`; of any lengths.
        rate: samples a second.
        config: None takes the defaults. `blank` and `noise_seconds` are rules for what CTC tells,
            and have no part in this.

    Yields:
        (start, samples): seconds from the start of the recording, and the segment (N,), in order.
    """
    config = config or EndpointConfig()
    size = max(1, round(FRAME_SECONDS * rate))
    longest = round(config.max_segment_seconds / FRAME_SECONDS)
    start, sound, levels = 0, np.zeros(0, np.float32), np.zeros(0)
    for block, final in _and_an_end(blocks):
        sound = np.concatenate([sound, block])
        levels = _grown(levels, sound, size, final)
        while len(levels) > longest or (final and len(levels)):
            piece = _first_piece(levels[:longest], config, final and len(levels) <= longest)
            if piece.end:
                yield start / rate, sound[: piece.end * size]
            start += piece.taken * size
            sound, levels = sound[piece.taken * size :], levels[piece.taken :]


def _and_an_end(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """The blocks, and an empty one that is the last."""
    for block in blocks:
        yield block, False
    yield np.zeros(0, np.float32), True


def _grown(levels: np.ndarray, sound: np.ndarray, size: int, final: bool) -> np.ndarray:
    """The levels of the frames of `sound`, of which `levels` are known; at the end of its rest."""
    whole = len(sound) // size
    fresh = [level_db(sound[len(levels) * size : whole * size].reshape(-1, size))]
    if final and len(sound) > whole * size:
        fresh.append(level_db(sound[None, whole * size :]))
    return np.concatenate([levels, *fresh])


@dataclass(frozen=True)
class _Cut:
    """The first `taken` frames of a window; of them the first `end` are a segment."""

    end: int
    taken: int


def _first_piece(levels: np.ndarray, config: EndpointConfig, last: bool) -> _Cut:
    """What leaves a window first, from its levels (n,); `last`: nothing comes after it."""
    lead = _frames(config.lead_seconds)
    loud = np.flatnonzero(is_loud(levels, config))
    if not len(loud):
        return _Cut(0, len(levels) if last else max(1, len(levels) - lead))
    if loud[0] > lead:
        return _Cut(0, int(loud[0]) - lead)
    # Gaps behind loud frames; the last one reaches as far as can be seen.
    begins, ends = loud + 1, np.append(loud[1:], len(levels))
    pauses = np.flatnonzero(ends - begins >= _frames(config.silence_seconds))
    if len(pauses):
        taken = int(begins[pauses[0]] + ends[pauses[0]]) // 2
    else:
        taken = len(levels) if last else _best_place(levels, begins, ends, config)
    end = int(loud[loud < taken].max(initial=0)) + 1 + lead
    return _Cut(min(taken, end), taken)


def _best_place(
    levels: np.ndarray, begins: np.ndarray, ends: np.ndarray, config: EndpointConfig
) -> int:
    """Where to cut a window (n,) without a pause that is long: in the longest of its second half.

    `begins` and `ends` are the gaps between loud frames. Of equal places the last one is taken, so
    that segments are as long as they may be.
    """
    half, latest = len(levels) // 2, len(levels) - _frames(REST_SECONDS)
    middles = (begins + ends) // 2
    lengths = np.where((middles >= half) & (middles <= latest), ends - begins, 0)
    longest = len(lengths) - 1 - int(np.argmax(lengths[::-1]))
    quiet = _frames(config.quiet_seconds)
    if lengths[longest] >= quiet:
        return int(middles[longest])
    quiet = min(quiet, latest - half)  # of the shortest windows the second half is shorter
    powers = sliding_window_view(10 ** (levels[half:latest] / 10), quiet).sum(axis=1)
    return half + len(powers) - 1 - int(np.argmin(powers[::-1])) + quiet // 2


def is_loud(levels: np.ndarray, config: EndpointConfig) -> np.ndarray:
    """Of each frame of a window, from their levels (n,) in dB, n > 0: whether it sounds."""
    highest = levels.max()
    if highest <= config.silence_db:
        return np.zeros(len(levels), bool)
    peak = _around(levels, PEAK_SECONDS).max(axis=1)
    wide = _around(levels, BACKGROUND_SECONDS)[::_STRIDE]
    background = np.percentile(wide, BACKGROUND_PERCENT, axis=1).repeat(_STRIDE)[: len(levels)]
    near_background = np.minimum(background + BACKGROUND_DB, highest - SPEECH_DB)
    quiet = np.maximum(peak - config.loud_db, near_background)
    return (levels > config.silence_db) & (levels > quiet)


def _around(levels: np.ndarray, seconds: float) -> np.ndarray:
    """The levels (n, k) around each of (n,), mirrored beyond both ends."""
    reach = _frames(seconds)
    return sliding_window_view(np.pad(levels, reach, mode="symmetric"), 2 * reach + 1)


def _frames(seconds: float) -> int:
    return max(1, round(seconds / FRAME_SECONDS))
