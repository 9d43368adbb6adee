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
from asr.model.layers import log_softmax
from asr.text.tokenizer import Labels
from asr.types import Hypothesis

#: What a probability of 0 counts as: the log of it would be infinite.
LEAST = -30.0
#: What is known of a word from each scorer; see `word_evidence`.
_OF_A_SCORER = ("", "_sum", "_before", "_least", "_after", "_segment")


@torch.inference_mode()
def with_label_scores(
    model: ASRModel,
    labels: Labels,
    best: Sequence[Hypothesis],
    memory: Tensor,
    lengths: Tensor,
    log_probs: Sequence[np.ndarray],
    lm: LanguageModel | None = None,
    prompt: Sequence[int] = (),
) -> list[Hypothesis]:
    """Hypotheses with the log probability of each of their labels, as `label_scores`.

    Args:
        labels: of the tokenizer.
        best: one hypothesis for each utterance, with the spans of its labels.
        memory: (B, M, D). lengths: (B,).
        log_probs: CTC's log posteriors (T, V) of each.
        lm: the language model that took part in the search, if one did.
        prompt: what the decoder was fed before the start in the search.
    """
    placed = [
        replace(hypothesis, label_scores={"ctc": _posteriors(hypothesis, frames)})
        if len(hypothesis.spans) == len(hypothesis.tokens)
        else replace(hypothesis, label_scores={})
        for hypothesis, frames in zip(best, log_probs, strict=True)
    ]
    tokens = padded_tokens(best, labels.end, memory.device)
    if not tokens.shape[1]:
        return placed
    if model.decoder is not None:
        fed = (*prompt, *labels.start)
        logits = model.decoder(_behind(fed, tokens), memory, lengths)
        log_probs_of = log_softmax(logits[:, len(fed) - 1 :])
        placed = with_scores_of(placed, "attention", log_probs_of, tokens)
    return with_lm_scores(placed, labels.end, tokens, lm)


def padded_tokens(best: Sequence[Hypothesis], end: int, device: torch.device) -> Tensor:
    """The labels (B, U) of hypotheses; the end, which is none of them, stands in the padding."""
    longest = max((len(hypothesis.tokens) for hypothesis in best), default=0)
    tokens = torch.full((len(best), longest), end)
    for row, hypothesis in zip(tokens, best, strict=True):
        row[: len(hypothesis.tokens)] = torch.tensor(hypothesis.tokens, dtype=torch.long)
    return tokens.to(device)


def with_scores_of(
    best: Sequence[Hypothesis], name: str, log_probs: Tensor, tokens: Tensor
) -> list[Hypothesis]:
    """Hypotheses with the scores by one scorer of their labels.

    Args:
        log_probs: (B, U, V) of the label in each place. tokens: (B, U), as `padded_tokens`.
    """
    rows = log_probs.gather(2, tokens[..., None])[..., 0].clamp(min=LEAST).tolist()
    return [
        replace(
            hypothesis,
            label_scores={**hypothesis.label_scores, name: tuple(row[: len(hypothesis.tokens)])},
        )
        for hypothesis, row in zip(best, rows, strict=True)
    ]


def with_lm_scores(
    best: Sequence[Hypothesis], end: int, tokens: Tensor, lm: LanguageModel | None
) -> list[Hypothesis]:
    """The same by a language model, if there is one, which begins with the end label."""
    if lm is None:
        return list(best)
    counts = [max(1, len(hypothesis.tokens)) for hypothesis in best]
    fed = torch.tensor(counts, device=tokens.device)
    log_probs, _ = lm.prime(_behind((end,), tokens), fed)
    return with_scores_of(best, "lm", log_probs, tokens)


def _behind(start: Sequence[int], tokens: Tensor) -> Tensor:
    """Inputs (B, S + U - 1) that predict tokens (B, U): S labels of a start, all but the last."""
    first = torch.tensor(start, device=tokens.device).expand(len(tokens), -1)
    return torch.cat((first, tokens[:, :-1]), dim=1)


def _posteriors(best: Hypothesis, log_probs: np.ndarray) -> tuple[float, ...]:
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
    evidence: list[list[float]] = [
        [len(word), place.seconds, place.level] for word, place in zip(text, places, strict=True)
    ]
    for of_labels in scores.values():
        whole = float(np.mean(of_labels)) if of_labels else 0.0
        parts = [of_labels[place.first : place.last + 1] for place in places]
        least = [0.0, *(min(part) for part in parts), 0.0]
        for n, (values, part) in enumerate(zip(evidence, parts, strict=True)):
            values.extend((sum(part) / len(part), sum(part), *least[n : n + 3], whole))
    names = evidence_names(tuple(scores))
    return [Evidence(names, array("d", values)) for values in evidence]


@cache
def evidence_names(scorers: tuple[str, ...]) -> Mapping[str, int]:
    """What the evidence of words is called, and the place of each."""
    names = ["characters", "seconds", "level"]
    names += [f"{scorer}{what}" for scorer in scorers for what in _OF_A_SCORER]
    return {name: place for place, name in enumerate(names)}


class Evidence(Mapping[str, float]):
    """A mapping that takes a third of the memory of a dictionary: there is one for each word."""

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
