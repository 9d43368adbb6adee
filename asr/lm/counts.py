"""Counting the n-grams of label sequences, in numpy: one sort for each order.

Needs about 100 bytes for each label of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NGramOrder:
    """All n-grams of one order, sorted by their beginning (a place in the level below) and label.

    At order 1 there is an n-gram for every label 0..V-1, also those that the text does not have.
    """

    parents: np.ndarray  # (n,) int32, the n-gram without its last label
    words: np.ndarray  # (n,) int32, its last label
    suffixes: np.ndarray  # (n,) int32, the n-gram without its first label
    counts: np.ndarray  # (n,) int32, how often the text has it
    adjusted: np.ndarray  # (n,) int32, how many labels it is seen behind; counts where none can be


def count(texts: Sequence[np.ndarray], vocabulary: int, order: int, end: int) -> list[NGramOrder]:
    """The n-grams of orders 1 to `order` of texts of labels, each started and ended by `end`.

    The start of a text is no event: `end` is counted where it ends one. Levels without n-grams
    (texts shorter than the order) are left out.
    """
    tokens, left = _joined(texts, end)
    nodes = tokens.copy()  # the n-gram that begins at each place
    ends = np.ones(len(tokens), dtype=bool)
    ends[0] = False
    ends[1:] = left[:-1] > 1  # all but the first label of each text
    counts = np.bincount(tokens[ends], minlength=vocabulary).astype(np.int32)
    everything = np.arange(vocabulary, dtype=np.int32)
    levels = [
        NGramOrder(np.zeros_like(everything), everything, np.zeros_like(everything), counts, counts)
    ]
    for length in range(2, order + 1):
        starts = np.flatnonzero(left >= length)  # where n-grams of this order begin
        if not len(starts):
            break
        keys = nodes[starts] * vocabulary + tokens[starts + length - 1]
        grams, first, inverse, times = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        suffixes = nodes[starts[first] + 1].astype(np.int32)
        levels[-1] = _adjusted(levels[-1], suffixes)
        parents, words = (part.astype(np.int32) for part in np.divmod(grams, vocabulary))
        times = times.astype(np.int32)
        levels.append(NGramOrder(parents, words, suffixes, times, times))
        nodes[starts] = inverse
    return levels


def _adjusted(level: NGramOrder, suffixes: np.ndarray) -> NGramOrder:
    """With the number of different labels that stand before each n-gram.

    Only behind the start of a text nothing stands, so its own count is kept there.
    """
    before = np.bincount(suffixes, minlength=len(level.words)).astype(np.int32)
    before = np.where(before, before, level.counts)
    return NGramOrder(level.parents, level.words, level.suffixes, level.counts, before)


def _joined(texts: Sequence[np.ndarray], end: int) -> tuple[np.ndarray, np.ndarray]:
    """All labels in a row (T,), and how many of its text are left from each on, itself counted."""
    lengths = np.array([len(text) + 2 for text in texts], dtype=np.int64)
    stops = lengths.cumsum()
    tokens = np.full(int(stops[-1]) if len(stops) else 0, end, dtype=np.int64)
    for text, stop in zip(texts, stops, strict=True):
        tokens[stop - 1 - len(text) : stop - 1] = text
    left = np.repeat(stops, lengths) - np.arange(len(tokens))
    return tokens, left
