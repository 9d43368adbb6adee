"""What speaks for each word of a hypothesis: the numbers that its confidence is computed from.

All of it comes from the search that wrote the words: CTC's posteriors where the labels were laid,
and what decoder and language model say of each label, given those before it, in one parallel pass.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr.lm import LanguageModel
from asr.model import ASRModel
from asr.model.log_probs import log_softmax
from asr.text.tokenizer import EOS
from asr.types import Hypothesis

#: What a probability of 0 counts as: the log of it would be infinite.
LEAST = -30.0
#: What is known of a word from each scorer; see `word_evidence`.
_OF_A_SCORER = ("", "_sum", "_before", "_least", "_after", "_segment")


@torch.inference_mode()
def with_label_scores(
    model: ASRModel,
    best: Sequence[Hypothesis],
    memory: Tensor,
    lengths: Tensor,
    log_probs: Sequence[np.ndarray],
    lm: LanguageModel | None = None,
) -> list[Hypothesis]:
    """Hypotheses with the log probability of each of their labels, as `label_scores`.

    Args:
        best: one hypothesis for each utterance, with the spans of its labels.
        memory: (B, M, D). lengths: (B,).
        log_probs: CTC's log posteriors (T, V) of each.
        lm: the language model that took part in the search, if one did.
    """
    scores = [
        {"ctc": _heard(one, frames)} if len(one.spans) == len(one.tokens) else {}
        for one, frames in zip(best, log_probs, strict=True)
    ]
    if (longest := max((len(one.tokens) for one in best), default=0)) == 0:
        return [replace(one, label_scores=known) for one, known in zip(best, scores, strict=True)]
    labels = torch.full((len(best), longest + 1), EOS, device=memory.device)
    for line, one in zip(labels, best, strict=True):
        line[1 : 1 + len(one.tokens)] = torch.tensor(one.tokens, dtype=torch.long)
    judges = {}
    if model.decoder is not None:
        judges["attention"] = log_softmax(model.decoder(labels[:, :-1], memory, lengths))
    if lm is not None:
        counts = torch.tensor([max(1, len(one.tokens)) for one in best], device=memory.device)
        judges["lm"], _ = lm.prime(labels[:, :-1], counts)
    for name, said in judges.items():
        rows = said.gather(2, labels[:, 1:, None])[..., 0].clamp(min=LEAST).tolist()
        for known, row, one in zip(scores, rows, best, strict=True):
            known[name] = tuple(row[: len(one.tokens)])
    return [replace(one, label_scores=known) for one, known in zip(best, scores, strict=True)]


def _heard(best: Hypothesis, log_probs: np.ndarray) -> tuple[float, ...]:
    """The posterior of each label in its best frame."""
    return tuple(
        max(LEAST, float(log_probs[begin:end, label].max())) if end > begin else LEAST
        for label, (begin, end) in zip(best.tokens, best.spans, strict=True)
    )


@dataclass(frozen=True)
class Place:
    """Where a word is: its labels, from the first to the last, and its sound.

    `level` is how far its loudest part is below the loudest of its segment, in dB (0 or less).
    """

    first: int
    last: int
    seconds: float
    level: float


def word_evidence(
    text: Sequence[str], places: Sequence[Place], scores: dict[str, tuple[float, ...]]
) -> list[Evidence]:
    """What speaks for each word, by name; `asr.transcribe.words.confidence.FEATURES` reads it.

    `ctc` and `attention` are means of the log probabilities of its labels, `_sum` and `_least`
    their sums and least values, `_before` and `_after` the least of the words beside it (0 where
    there is none), `_segment` the mean of the whole segment.
    """
    found: list[list[float]] = [
        [len(word), place.seconds, place.level] for word, place in zip(text, places, strict=True)
    ]
    for said in scores.values():
        whole = float(np.mean(said)) if said else 0.0
        parts = [said[place.first : place.last + 1] for place in places]
        least = [0.0, *(min(part) for part in parts), 0.0]
        for n, (values, part) in enumerate(zip(found, parts, strict=True)):
            values.extend((sum(part) / len(part), sum(part), *least[n : n + 3], whole))
    names = evidence_names(tuple(scores))
    return [Evidence(names, array("d", values)) for values in found]


@cache
def evidence_names(scorers: tuple[str, ...]) -> Mapping[str, int]:
    """What the evidence of words is called, and the place of each."""
    names = ["characters", "seconds", "level"]
    names += [f"{scorer}{what}" for scorer in scorers for what in _OF_A_SCORER]
    return {name: place for place, name in enumerate(names)}


class Evidence(Mapping[str, float]):
    """A mapping that takes a third of the room of a dictionary: hours of speech keep one a word."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: Mapping[str, int], values: array[float]) -> None:
        self._names = names
        self._values = values

    def __getitem__(self, name: str) -> float:
        return self._values[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Evidence({dict(self)})"

    def __deepcopy__(self, _: Any) -> dict[str, float]:
        """A dictionary: so `dataclasses.asdict` of a transcript gives what JSON can hold."""
        return dict(self)
