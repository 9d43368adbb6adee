"""Batches of rows that look like utterances: one to a few neighbouring texts between end labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr.train.lm.recipe import TextConfig
from asr.train.lm.texts import TextCorpus
from asr.train.state import derive

#: Rows are as long as the longest of their batch, rounded up to a multiple of this: few shapes.
_STEP = 8
#: `TextConfig.join` of neural models, where none is given.
_JOIN = 3
#: How much the lengths of rows are blurred before they are sorted, so that epochs differ.
_BLUR = 2.0


@dataclass(frozen=True)
class Epoch:
    """The rows of an epoch, first and last text of each (B, 2), batch by batch."""

    batches: list[np.ndarray]


def epoch_of(corpus: TextCorpus, config: TextConfig, batch_labels: int, seed: int) -> Epoch:
    """All texts once; the same for the same `seed`."""
    draw = np.random.default_rng(seed)
    rows = joined_rows(corpus, config.join or _JOIN, config.words, draw)
    lengths = corpus.starts[rows[:, 1]] - corpus.starts[rows[:, 0]] + 1
    rows = rows[np.argsort(lengths + draw.normal(0.0, _BLUR, len(rows)), kind="stable")]
    lengths = corpus.starts[rows[:, 1]] - corpus.starts[rows[:, 0]] + 1
    batches, first = [], 0
    while first < len(rows):
        last, longest = first, 0
        while last < len(rows):
            longest = max(longest, _rounded(int(lengths[last])))
            if last > first and longest * (last - first + 1) > batch_labels:
                break
            last += 1
        batches.append(rows[first:last])
        first = last
    return Epoch([batches[place] for place in draw.permutation(len(batches))])


def joined_rows(
    corpus: TextCorpus, join: int, most_words: int, draw: np.random.Generator
) -> np.ndarray:
    """Joins neighbouring texts: 1 to `join` of them, as drawn, or as many as fit `most_words`.

    Returns:
        (R, 2): of each row its first text, and the one behind its last. Each text is in one row.
    """
    wanted = draw.integers(1, join + 1, len(corpus)).tolist()
    words = corpus.words.tolist()
    rows, first = [], 0
    while first < len(words):
        last, total = first + 1, words[first]
        while (
            last < len(words) and last - first < wanted[first] and total + words[last] <= most_words
        ):
            total += words[last]
            last += 1
        rows.append((first, last))
        first = last
    return np.array(rows)


def labels_of(corpus: TextCorpus, rows: np.ndarray, end: int) -> tuple[Tensor, Tensor]:
    """The labels (B, U) of a batch, `end` first, and what follows each (B, U); -100 is nothing."""
    texts = [corpus.span(first, last) for first, last in rows]
    longest = _rounded(max(len(text) for text in texts) + 1)
    labels = np.full((len(texts), longest + 1), -100, dtype=np.int64)
    labels[:, 0] = end
    for row, text in zip(labels, texts, strict=True):
        row[1 : len(text) + 1] = text
        row[len(text) + 1] = end
    found = torch.from_numpy(labels)
    return found[:, :-1].clamp(min=0), found[:, 1:]


def epoch_seed(seed: int, epoch: int) -> int:
    """What the order of an epoch is drawn from."""
    return derive(seed, "language model", epoch)


def _rounded(length: int) -> int:
    return -(-length // _STEP) * _STEP
