"""Which labels of an open segment stand so near to its end that they wait for more sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr.text.tokenizer import BLANK


def label_frames(log_probs: np.ndarray, labels: Sequence[int]) -> list[int]:
    """The frame in which each label begins, on the likeliest path of CTC that says them all.

    Viterbi over the labels with blanks between them (Graves et al. 2006), which need not have
    ended: the path may stop in the last label or in the blank behind it.

    Args:
        log_probs: (T, V) log posteriors.
        labels: U of them. Those that the frames have no room for begin behind the last frame.

    Returns:
        U frames, growing.
    """
    frames, count = len(log_probs), len(labels)
    if not frames or not count:
        return [frames] * count
    path = np.full(2 * count + 1, BLANK)
    path[1::2] = labels
    # One may come from two places before: over a blank, but not between equal labels.
    skips = np.zeros(len(path), bool)
    skips[3::2] = path[3::2] != path[1:-2:2]
    scores = np.full(len(path), -np.inf)
    scores[:2] = log_probs[0, path[:2]]
    came = np.zeros((frames, len(path)), np.int8)
    for frame in range(1, frames):
        ways = np.full((3, len(path)), -np.inf)
        ways[0], ways[1, 1:] = scores, scores[:-1]
        ways[2, 2:] = np.where(skips[2:], scores[:-2], -np.inf)
        came[frame] = ways.argmax(0)
        scores = ways.max(0) + log_probs[frame, path]
    place = len(path) - 1 if scores[-1] >= scores[-2] else len(path) - 2
    begins = [frames] * count
    if scores[place] == -np.inf:  # more labels than frames
        return [min(number, frames) for number in range(count)]
    for frame in range(frames - 1, -1, -1):
        if place % 2:
            begins[place // 2] = frame
        place -= int(came[frame, place])
    return begins


def arrived(begins: Sequence[int], frames: int, edge: int) -> int:
    """How many leading labels begin before the last `edge` of `frames` frames."""
    return next(
        (number for number, begin in enumerate(begins) if begin >= frames - edge), len(begins)
    )
