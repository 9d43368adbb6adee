"""Sound whose rate or number of channels changes within a recording, brought to one format.

Programs that join recordings byte by byte (podcast hosts do so with adverts) make such files.
"""

from __future__ import annotations

import numpy as np

from asr.audio.resample import Resampler


class FormatConverter:
    """Converts samples of changing formats to `rate` and `channels`.

    Samples of another rate are resampled; those of another number of channels become their mean,
    in every channel. Samples of the wanted format pass unchanged.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.rate = rate
        self.channels = channels
        self._format = (rate, channels)
        self._resamplers: list[Resampler] = []

    def changes(self, rate: int, channels: int) -> bool:
        """Whether that is another format than the last one that was converted."""
        return (rate, channels) != self._format

    def change(self, rate: int, channels: int) -> np.ndarray:
        """The next samples have this format; returns the rest (n, channels) of the last ones."""
        rest = self.finish()
        self._format = (rate, channels)
        if rate != self.rate:
            tracks = self.channels if channels == self.channels else 1
            self._resamplers = [Resampler(rate, self.rate) for _ in range(tracks)]
        return rest

    def step(self, samples: np.ndarray) -> np.ndarray:
        """Samples (n, channels) of the current format, converted; resampling lags a little."""
        if self._format[1] != self.channels:
            samples = samples.mean(axis=1, keepdims=True)
        return self._spread(self._resampled(samples, final=False))

    def finish(self) -> np.ndarray:
        """What resampling has held back (n, channels)."""
        if not self._resamplers:
            return np.zeros((0, self.channels), np.float32)
        nothing = np.zeros((0, len(self._resamplers)), np.float32)
        rest = self._spread(self._resampled(nothing, final=True))
        self._resamplers = []
        return rest

    def _resampled(self, samples: np.ndarray, final: bool) -> np.ndarray:
        if not self._resamplers:
            return samples
        return np.stack(
            [
                resampler.step(np.ascontiguousarray(samples[:, track]), final)
                for track, resampler in enumerate(self._resamplers)
            ],
            axis=1,
        )

    def _spread(self, samples: np.ndarray) -> np.ndarray:
        if samples.shape[1] == self.channels:
            return samples
        return np.repeat(samples, self.channels, axis=1)
