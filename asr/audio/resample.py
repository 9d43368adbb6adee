"""Resampling, in one call or step by step."""

from __future__ import annotations

import numpy as np
import soxr

from asr.audio.limits import MIN_RATE
from asr.errors import AudioError


class Resampler:
    """Resamples mono sound by steps; how the input is cut changes no bit of the output.

    The concatenated output of all steps has round(n * rate / source_rate) samples for n samples
    of input, and equals what one final step with all the input gives. Quality is soxr's HQ: the
    band up to 0.91 of the lower Nyquist frequency passes, what folds is 120 dB down. Output lags
    by the filter's half (a few hundred samples of the lower rate) until the final step.

    The state is inside, in soxr's C structure: an object serves one stream, and cannot be copied
    or pickled. To move a stream, keep its input since the last pause and feed it again.
    """

    def __init__(self, source_rate: int, rate: int) -> None:
        for given in (source_rate, rate):
            if not isinstance(given, int) or given < MIN_RATE:
                raise AudioError(
                    f"a sample rate of {given!r}; give a whole number of Hz, at least {MIN_RATE}"
                )
        self.source_rate = source_rate
        self.rate = rate
        self._ended = False
        self._stream = (
            None
            if source_rate == rate
            else soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
        )

    def step(self, block: np.ndarray, final: bool) -> np.ndarray:
        """The samples that `block` (n,), float32, makes certain; n may be 0, and so may they be.

        `final` ends the stream: everything that was held back comes out.

        Raises:
            ValueError: the stream has ended, or `block` is not (n,) float32.
        """
        if self._ended:
            raise ValueError("this resampler's stream has ended; make a new one")
        if block.ndim != 1 or block.dtype != np.float32:
            raise ValueError(f"a block is (n,) float32, not {block.shape} {block.dtype}")
        self._ended = final
        if self._stream is None:
            return block
        resampled: np.ndarray = self._stream.resample_chunk(block, last=final)
        return resampled
