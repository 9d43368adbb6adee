"""How likely it is that a word is right: a fitted map from what speaks for it to a probability.

The map is a logistic regression over a few functions of `asr.transcribe.words.evidence`. It is
fitted on speech with transcripts (`asr calibrate`), is part of the model folder (`confidence` of
its config.yaml), and is right for the weights that it was fitted with. A language model changes
what CTC and the decoder say of the words that are chosen, so there is a map with one and a map
without. Where there is no map, no confidence is given: a number that nothing was fitted to would be
an invention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from asr.config import Config
from asr.types import Word

VERSION = 1
#: How strongly weights are drawn to 0, against features of variance 1: hardly.
RIDGE = 1.0
_STEPS = 50

#: What the map adds up: probabilities are for what is nearly sure, their logs for what is not.
FEATURES: dict[str, Callable[[Mapping[str, float]], float]] = {
    "ctc": lambda word: word["ctc"],
    "ctc_sum": lambda word: word["ctc_sum"],
    "ctc_least": lambda word: math.exp(word["ctc_least"]),
    "ctc_before": lambda word: math.exp(word["ctc_before"]),
    "ctc_after": lambda word: math.exp(word["ctc_after"]),
    "ctc_segment": lambda word: word["ctc_segment"],
    "attention": lambda word: word["attention"],
    "attention_sum": lambda word: word["attention_sum"],
    "attention_least": lambda word: math.exp(word["attention_least"]),
    "attention_after": lambda word: math.exp(word["attention_after"]),
    "attention_segment": lambda word: word["attention_segment"],
    "alignment": lambda word: word["alignment"],
    "alignment_least": lambda word: math.exp(word["alignment_least"]),
    "alignment_segment": lambda word: word["alignment_segment"],
    "lm": lambda word: word["lm"],
    "lm_sum": lambda word: word["lm_sum"],
    "lm_least": lambda word: math.exp(word["lm_least"]),
    "characters": lambda word: word["characters"],
    "pace": lambda word: math.log(max(0.01, word["seconds"] / word["characters"])),
    "level": lambda word: max(-60.0, word["level"]),
}


class ConfidenceMap(Config):
    """A fitted map: the log odds that a word is right are `bias` + the sum of weighted features.

    `facts` says, for people, what it was fitted on and how well it does.
    """

    bias: float = Field(allow_inf_nan=False)
    weights: dict[str, float]
    facts: dict[str, Any] = Field(default_factory=dict)

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(weights) - set(FEATURES))
        if unknown:
            raise ValueError(f"no such features: {', '.join(unknown)}")
        if not all(map(math.isfinite, weights.values())):
            raise ValueError("weights must be finite")
        return weights

    def __call__(self, evidence: Mapping[str, float]) -> float | None:
        """The probability (0..1) that a word is right; None where evidence is missing."""
        try:
            odds = sum(weight * FEATURES[name](evidence) for name, weight in self.weights.items())
        except KeyError:
            return None
        return 0.5 + 0.5 * math.tanh(0.5 * (self.bias + odds))

    def with_confidence(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """Words with their confidence."""
        return tuple(replace(word, confidence=self(word.evidence)) for word in words)


class ConfidenceMaps(Config):
    """The maps of a model: of words that were found with a language model, and without one."""

    version: int = Field(VERSION, ge=1, le=VERSION)
    with_lm: ConfidenceMap | None = None
    without_lm: ConfidenceMap | None = None

    def of(self, lm: bool) -> ConfidenceMap | None:
        """The map for a search with or without a language model, if there is one."""
        return self.with_lm if lm else self.without_lm


def fit_map(evidence: Sequence[Mapping[str, float]], right: Sequence[bool]) -> ConfidenceMap | None:
    """The likeliest map (Newton's method), of the features that all words have.

    None where there is nothing to learn from: no words, or all of them right, or all wrong.

    Args:
        evidence: of each word. right: whether it was said.
    """
    wanted = np.array(right, float)
    if not len(wanted) or wanted.min() == wanted.max():
        return None
    names = [name for name in FEATURES if all(_has(name, word) for word in evidence)]
    values = np.array([[FEATURES[name](word) for name in names] for word in evidence])
    middle, spread = values.mean(0), np.maximum(values.std(0), 1e-9)
    rows = np.hstack([np.ones((len(values), 1)), (values - middle) / spread])
    ridge = RIDGE * np.eye(rows.shape[1])
    ridge[0, 0] = 0.0
    solution = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        likely = 0.5 + 0.5 * np.tanh(0.5 * (rows @ solution))
        slope = rows.T @ (likely - wanted) + ridge @ solution
        bend = rows.T @ (rows * (likely * (1 - likely))[:, None]) + ridge
        step = np.linalg.solve(bend + 1e-9 * np.eye(len(bend)), slope)
        solution -= step * min(1.0, 5.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-9:
            break
    weights = solution[1:] / spread
    short = {name: float(f"{weight:.7g}") for name, weight in zip(names, weights, strict=True)}
    return ConfidenceMap(bias=float(f"{solution[0] - weights @ middle:.7g}"), weights=short)


def _has(name: str, word: Mapping[str, float]) -> bool:
    try:
        FEATURES[name](word)
    except KeyError:
        return False
    return True
