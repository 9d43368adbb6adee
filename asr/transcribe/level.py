"""The level of sound in dB, relative to full scale."""

from __future__ import annotations

import numpy as np

#: The level of digital silence, in dB.
SILENCE_DB = -140.0


def level_db(samples: np.ndarray) -> np.ndarray:
    """The RMS level of each row of samples (..., n), in dB, without the constant offset."""
    power = np.var(samples, axis=-1, dtype=np.float64)
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), SILENCE_DB)
