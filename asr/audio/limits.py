"""Limits on audio inputs: duration, size, sample rate, channels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asr.errors import ConfigError

#: Below this rate the band holds no speech: vowels need at least 2 kHz of it.
MIN_RATE = 4000


@dataclass(frozen=True)
class AudioLimits:
    """Caps on one input; going past one is an AudioError, never a silent cut.

    They guard against compressed bombs (hours of silence in kilobytes), against pipes that never
    end and against headers that no recording has. Decoding works in blocks, so memory is bounded
    below the caps as well.

    Attributes:
        max_seconds: length of the sound, counted while decoding, whatever the header says.
        max_bytes: size of a file, or of what a pipe delivers (it is kept in a temporary file).
        max_rate: sample rate in Hz; the lowest is 4000.
        max_channels: channels of a file or array.
    """

    max_seconds: float = 12 * 3600.0
    max_bytes: int = 16 * 2**30
    max_rate: int = 384_000
    max_channels: int = 32

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_bytes", "max_rate", "max_channels"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and value > 0 and not math.isnan(value)):
                raise ConfigError(f"{name}: {value!r} is not a number above 0")

    @classmethod
    def for_hours(cls, hours: float) -> AudioLimits:
        """The limits of inputs of up to `hours`; the cap on bytes grows with the hours."""
        if not (0 < hours < math.inf):
            raise ConfigError(f"max-hours: {hours!r} is not a number of hours above 0")
        usual = cls()
        scale = max(1.0, hours * 3600 / usual.max_seconds)
        max_bytes = int(min(usual.max_bytes * scale, 2.0**63))
        return cls(max_seconds=hours * 3600, max_bytes=max_bytes)
