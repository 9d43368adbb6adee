"""Which labels of an open segment stand so near to its end that they wait for more sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from asr.transcribe.words.align import align


def label_frames(log_probs: np.ndarray, labels: Sequence[int], blank: int) -> list[int]:
    """The frame in which each label begins, as `align` says; log posteriors (T, V)."""
    return [begin for begin, _ in align(log_probs, labels, blank)]


def settled_labels(begins: Sequence[int], frames: int, edge: int) -> int:
    """How many leading labels begin before the last `edge` of `frames` frames."""
    return next(
        (number for number, begin in enumerate(begins) if begin >= frames - edge), len(begins)
    )


def whole_words(labels: Sequence[int], count: int, text_of: Callable[[Sequence[int]], str]) -> int:
    """How many of the first `count` labels write whole words: not the last of all, it may grow."""
    whole = text_of(labels).split()[:-1]
    while count:
        written = text_of(labels[:count]).split()
        if written == whole[: len(written)]:
            break
        count -= 1
    return count
