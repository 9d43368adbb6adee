"""What a voice that is made up sounds like."""

from __future__ import annotations

import numpy as np

from tools.synthesis.sound import RATE


def buzz(seconds: float, pitch: float = 200.0, rate: int = RATE) -> np.ndarray:
    """Something like a voice: a tone whose level comes and goes."""
    at = np.arange(round(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * pitch * at) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))
    return (0.3 * wave).astype(np.float32)
