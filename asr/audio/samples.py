"""Samples in memory: decoded recordings, and the checks of arrays that users pass."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.audio.decoder import BLOCK_FRAMES
from asr.audio.limits import MIN_RATE, AudioLimits
from asr.audio.mix import Downmix, mix_plan
from asr.audio.resample import Resampler
from asr.errors import AudioError

#: No sound is as large, whatever unit it is in; features of more would overflow.
MAX_SAMPLE = 2.0**32
#: Floats that reach this were made from 16-bit integers without being scaled.
_UNSCALED_PEAK = 64.0
#: Recordings that stay below this (-50 dB) lie near the level that counts as silence.
_QUIET_PEAK = 10 ** (-50 / 20)
#: Seconds. Shorter recordings hold no word that could be missed.
_LONG_ENOUGH = 0.3

# By kind and size: numpy composes the name of a type anew each time, slowly.
_FULL_SCALE = {("i", 2): np.float32(2.0**15), ("i", 4): np.float32(2.0**31)}
_FLOATS = {("f", 2), ("f", 4), ("f", 8)}


@dataclass(frozen=True, eq=False)
class Audio:
    """Mono sound at `rate` samples a second.

    Attributes:
        samples: (N,) float32; full scale is 1, and floats beyond it are kept.
        truncated: the second at which a damaged or cut input stopped, None for a whole one.
        notes: sentences about the input that a person should read.
    """

    samples: np.ndarray
    rate: int
    truncated: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.rate


def from_samples(samples: Any, sample_rate: int, rate: int) -> Audio:
    """Mixes and resamples an array of samples to mono at `rate`.

    Args:
        samples: (N,) or (N, channels): int16 or int32 (full scale is that of the type), float16,
            float32 or float64 (full scale is 1); a numpy array, a torch tensor on the CPU, or a
            list of floats. No float is clipped.
        sample_rate: of `samples`, in Hz.
        rate: of the result.

    Raises:
        AudioError: another type or shape, NaN or infinity (the second is named), a rate that no
            speech has.
    """
    array = as_array(samples)
    source_rate = _checked_rate(sample_rate)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not 0 < array.shape[1] <= AudioLimits.max_channels:
        raise AudioError(
            f"samples: shape {array.shape}; give (N,) or (N, channels) with at most "
            f"{AudioLimits.max_channels} channels (transpose (channels, N))"
        )
    floats = as_floats(array)
    level = LevelCheck("samples")
    for start in range(0, len(floats), BLOCK_FRAMES):
        level.check(floats[start : start + BLOCK_FRAMES], source_rate)
    channels = floats.shape[1]
    plan = mix_plan([floats] if len(floats) and channels > 1 else [], channels)
    mix = Downmix(channels, plan)
    mono = Resampler(source_rate, rate).step(mix(floats), final=True)
    return Audio(mono, rate, notes=(*level.notes(), *mix.notes()))


class BlockReader:
    """Turns the blocks of one stream into mono float32, checked as `from_samples` checks.

    A block that is refused changes nothing.
    """

    def __init__(self, sample_rate: int) -> None:
        self.rate = _checked_rate(sample_rate)
        self._level = LevelCheck("samples")

    def __call__(self, block: Any) -> np.ndarray:
        """The samples (n,) of `block`, a copy.

        Args:
            block: (n,) of a type that `from_samples` takes, or bytes: 16-bit PCM, little endian.

        Raises:
            AudioError: another type or shape, an odd number of bytes, NaN or infinity.
        """
        if isinstance(block, bytes | bytearray | memoryview):
            size = memoryview(block).nbytes
            if size % 2:
                raise AudioError(
                    f"samples: {size} bytes are no whole number of 16-bit samples; hold the last "
                    "byte back until the next block"
                )
            block = np.frombuffer(block, dtype="<i2").astype(np.int16)
        array = as_array(block)
        if array.ndim != 1:
            raise AudioError(
                f"samples: shape {array.shape}; a stream takes one channel, (n,): choose one, or "
                "mix them"
            )
        floats = as_floats(array)
        if len(floats):
            self._level.check(floats[:, None], self.rate)
        return floats


def as_floats(array: np.ndarray) -> np.ndarray:
    """A copy in float32, full scale 1."""
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite: refused later
            return array.astype(np.float32)
    floats = array.astype(np.float32)
    full_scale = _FULL_SCALE.get(_type(array))
    if full_scale is not None:
        floats /= full_scale
    return floats


def as_array(samples: Any) -> np.ndarray:
    """An array of a type whose full scale is known.

    Raises:
        AudioError: it is none.
    """
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(
            f"samples: {type(samples).__name__} that is no array of numbers ({error}); give a "
            "numpy array, or a tensor that is detached and on the CPU"
        ) from error
    if _type(array) not in _FLOATS and _type(array) not in _FULL_SCALE:
        raise AudioError(
            f"samples: type {array.dtype} has no agreed full scale; "
            "convert to int16, or to float32 with full scale 1"
        )
    return array


def _type(array: np.ndarray) -> tuple[str, int]:
    return array.dtype.kind, array.dtype.itemsize


def _checked_rate(sample_rate: Any) -> int:
    whole = isinstance(sample_rate, int | np.integer) and not isinstance(sample_rate, bool)
    if not whole or not MIN_RATE <= sample_rate <= AudioLimits.max_rate:
        raise AudioError(
            f"samples: a sample rate of {sample_rate!r}; give a whole number of Hz from "
            f"{MIN_RATE} to {AudioLimits.max_rate}"
        )
    return int(sample_rate)


class LevelCheck:
    """Refuses samples that are no numbers, and remembers the loudest."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._frames = 0
        self._seconds = 0.0
        self._peak = 0.0

    def check(self, block: np.ndarray, rate: int) -> None:
        """Looks at the next samples (n, channels), n > 0, of a recording at `rate`.

        Raises:
            AudioError: a sample is NaN, infinite or absurd; its second is named.
        """
        peak = float(np.maximum(block.max(), -block.min()))  # NaN wins
        if not peak <= MAX_SAMPLE:
            bad = ~(np.abs(block) <= MAX_SAMPLE).all(axis=1)
            first = int(bad.argmax())
            value = block[first][~(np.abs(block[first]) <= MAX_SAMPLE)][0]
            raise AudioError(
                f"{self._label}: a sample of {value:g} at {(self._frames + first) / rate:.3f} s "
                "is no sound; make the recording or its conversion again"
            )
        self._peak = max(self._peak, peak)
        self._frames += len(block)
        self._seconds += len(block) / rate

    def notes(self) -> list[str]:
        """Says when the samples look like integers that nobody scaled, or are hardly there."""
        if 0 < self._peak < _QUIET_PEAK and self._seconds >= _LONG_ENOUGH:
            return [
                f"very quiet: the loudest sample is at {20 * math.log10(self._peak):.0f} dB of "
                "full scale, so speech may count as silence; amplify the recording, or give a "
                "lower limit (--endpoint silence_db=-110)"
            ]
        if self._peak < _UNSCALED_PEAK:
            return []
        return [
            f"samples reach {self._peak:.0f} where full scale is 1; "
            "if they were 16-bit integers, divide them by 32768"
        ]


def concatenated(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """The blocks (n,) as one array (N,) float32."""
    return np.concatenate([np.zeros(0, np.float32), *blocks])


#: The level of digital silence, in dB relative to full scale.
SILENCE_DB = -140.0


def level_db(samples: np.ndarray) -> np.ndarray:
    """The RMS level of each row of samples (..., n), in dB, without the constant offset."""
    power = np.var(samples, axis=-1, dtype=np.float64)
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), SILENCE_DB)
