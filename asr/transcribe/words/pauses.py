"""Pauses in the levels of a segment: what is quiet for long enough."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

#: Quiet for less is a stop consonant, not a pause.
PAUSE_SECONDS = 0.05
#: Quiet is this much below the loudest of the words beside it, or near to the background.
QUIET_DB = 35.0
#: How far above the quietest of the segment its background reaches.
BACKGROUND_DB = 5.0
#: How far away the loudest may be that a whole segment is compared with.
PEAK_SECONDS = 0.75


def find_pauses(
    levels: np.ndarray, loudest: float | np.ndarray, segment: np.ndarray, step: float
) -> list[tuple[int, int]]:
    """The pauses in a part of a segment: (first, behind the last) of its levels.

    Args:
        levels: (n,) in dB, one for each `step` seconds.
        loudest: level of the words beside a pause, one for all or one for each of `levels`.
        segment: (N,) all levels of the segment, N > 0.
    """
    background = np.percentile(segment, 5) + BACKGROUND_DB
    near_background = np.minimum(background, loudest - BACKGROUND_DB)
    quiet = levels < np.maximum(loudest - QUIET_DB, near_background)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(int)))
    return [
        (first, last)
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        if (last - first) * step >= PAUSE_SECONDS - 1e-9
    ]


def in_pauses(levels: np.ndarray, step: float) -> np.ndarray:
    """Which levels (N,) of a whole segment are in a pause, by the loudest around each."""
    quiet = np.zeros(len(levels), bool)
    if len(levels):
        reach = round(PEAK_SECONDS / step)
        around = sliding_window_view(np.pad(levels, reach, mode="symmetric"), 2 * reach + 1)
        for first, last in find_pauses(levels, around.max(axis=1), levels, step):
            quiet[first:last] = True
    return quiet
