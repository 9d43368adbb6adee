"""The corpora that a recipe names, checked before anything starts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from asr.data.config import DataConfig
from asr.data.corpus import load_corpus
from asr.data.leakage import check_leakage
from asr.errors import TrainingError

if TYPE_CHECKING:
    from lhotse.cut import Cut


@dataclass(frozen=True)
class Corpora:
    """Cuts to train and to validate on; lists, or read anew each time where they are lazy.

    `notes` are lines about what was left out and what a person should know.
    """

    train: Iterable[Cut]
    dev: Iterable[Cut]
    notes: tuple[str, ...]


def read_corpora(config: DataConfig) -> Corpora:
    """Reads and checks what a recipe names.

    Raises:
        TrainingError: no training data is named.
        ManifestError: the corpora cannot be trained on as they are.
    """
    if not config.train:
        raise TrainingError("data.train: names no manifest; there is nothing to train on")
    train = load_corpus(config.train, config, training=True)
    dev = load_corpus(config.dev, config, training=False)
    notes = [f"train: {line}" for line in train.summary()[1:]]
    notes += [f"dev: {line}" for line in dev.summary()[1:]]
    notes += check_leakage(train, dev, config) if config.dev else []
    if not config.dev:
        notes.append("no dev set: how well the model works is not measured (data.dev)")
    return Corpora(train.cuts, dev.cuts, tuple(notes))


def size(cuts: Iterable[Cut]) -> tuple[int, float] | None:
    """How many utterances there are and their seconds; None where they are read lazily."""
    if not isinstance(cuts, Sequence):
        return None
    return len(cuts), sum(cut.duration for cut in cuts)


def sample(cuts: Iterable[Cut], count: int) -> list[Cut]:
    """Up to `count` of `cuts`, always the same and in their order; the first ones of lazy cuts."""
    if not isinstance(cuts, Sequence):
        return list(islice(cuts, count))
    chosen = random.Random("sample").sample(range(len(cuts)), min(count, len(cuts)))
    return [cuts[index] for index in sorted(chosen)]
