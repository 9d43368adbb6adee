"""What a program spoke made into an utterance, and whether it can be what was asked for."""

from __future__ import annotations

import numpy as np
import soxr

#: The rate of what is written.
RATE = 16000
#: Silence that is left before and after the speech, in seconds.
_MARGIN = 0.15
#: Mean level of the speech, in decibels of full scale, and what no sample exceeds.
_LEVEL_DB, _PEAK = -24.0, 0.95
#: English at rate 1 has about so many letters a second (voices have 13 to 15).
LETTERS_A_SECOND = 14.0


def shape(samples: np.ndarray, rate: int, tract: float) -> np.ndarray:
    """Samples (N,) at `rate` as an utterance at 16 kHz.

    Args:
        tract: played so many times as fast, which makes the vocal tract that much shorter; rate
            and pitch that the engine was asked for make up for the rest.
    """
    if not len(samples) or not np.all(np.isfinite(samples)):
        return samples
    samples = soxr.resample(samples, rate * tract, RATE, quality="HQ").astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.max(np.abs(samples)))
    if not len(loud):
        return samples
    margin = round(_MARGIN * RATE)
    samples = samples[max(0, loud[0] - margin) : loud[-1] + margin]
    gain = 10 ** (_LEVEL_DB / 20) / np.sqrt(np.mean(samples**2))
    return samples * np.float32(min(gain, _PEAK / np.max(np.abs(samples))))


def fault(samples: np.ndarray, text: str, rate: float) -> str | None:
    """Why samples at 16 kHz cannot be `text` at that speaking rate; None where they can be."""
    if not len(samples):
        return "empty"
    if not np.all(np.isfinite(samples)):
        return "not finite"
    if np.max(np.abs(samples)) < 1e-3:
        return "silent"
    letters = sum(character.isalpha() for character in text)
    expected = letters / LETTERS_A_SECOND / rate
    seconds = len(samples) / RATE
    if seconds < 0.5 * expected:
        return "too short for its text"
    if seconds > 2.0 * expected + 1.0:
        return "too long for its text"
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    level = np.sqrt(np.mean(frames**2, axis=1))
    quiet = level < 0.02 * np.max(level)
    if np.mean(quiet) > 0.5:
        return "mostly silence"
    if _longest(quiet) > 150:
        return "a pause of more than 1.5 s"
    return None


def _longest(flags: np.ndarray) -> int:
    """The longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))
