"""Which labels of an open segment stand so near to its end that they wait for more sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from asr.transcribe.align import align


def label_frames(log_probs: np.ndarray, labels: Sequence[int]) -> list[int]:
    """The frame in which each label begins, as `align` says; log posteriors (T, V)."""
    return [begin for begin, _ in align(log_probs, labels)]


def arrived(begins: Sequence[int], frames: int, edge: int) -> int:
    """How many leading labels begin before the last `edge` of `frames` frames."""
    return next(
        (number for number, begin in enumerate(begins) if begin >= frames - edge), len(begins)
    )


def whole_words(
    labels: Sequence[int], count: int, text_of: Callable[[Sequence[int]], str], grows: bool
) -> int:
    """How many of the first `count` labels write whole words of all that `labels` write.

    Args:
        grows: the last word of all is no whole one yet.
    """
    words = text_of(labels).split()
    if grows:
        del words[-1:]
    while count:
        written = text_of(labels[:count]).split()
        if written == words[: len(written)]:
            break
        count -= 1
    return count
