"""Small language models, and texts to make them of."""

from __future__ import annotations

import numpy as np
import torch

from asr.lm import LanguageModel, NeuralLanguageModel, NGram
from asr.lm.folder import build_lm, lm_config
from asr.lm.kneser_ney import estimate
from asr.text.special_labels import END, LABELS

KINDS = ("lstm", "transformer", "ngram")
SMALL = {
    "lstm": {"type": "lstm", "layers": 2, "dim": 7, "embedding": 5, "dropout": 0.0},
    "transformer": {"type": "transformer", "layers": 2, "dim": 8, "heads": 2, "ff": 12},
    "ngram": {"type": "ngram", "order": 3, "prune": 0.0},
}


def texts_of(seed: int, vocabulary: int, count: int = 40, longest: int = 8) -> list[np.ndarray]:
    """Random texts whose labels depend on those before, so that n-grams repeat."""
    draw = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        labels = [int(draw.integers(3, vocabulary))]
        for _ in range(int(draw.integers(0, longest))):
            near = 3 + (labels[-1] - 2) % (vocabulary - 3)
            labels.append(near if draw.random() < 0.6 else int(draw.integers(3, vocabulary)))
        texts.append(np.array(labels))
    return texts


def neural(kind: str, seed: int, vocabulary: int) -> NeuralLanguageModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        lm = build_lm(lm_config(SMALL[kind]), vocabulary).double().eval()
        with torch.no_grad():
            for weights in lm.parameters():
                if weights.dim() > 1:
                    weights.mul_(3)  # so that labels differ in probability
    return lm


def ngram(seed: int, vocabulary: int, order: int = 3, prune: float = 0.0) -> NGram:
    return estimate(texts_of(seed, vocabulary), vocabulary, LABELS, order, prune)


def small(kind: str, seed: int, vocabulary: int) -> LanguageModel:
    return ngram(seed, vocabulary) if kind == "ngram" else neural(kind, seed, vocabulary)


def of_text(ngram: NGram, labels: list[int]) -> list[float]:
    """log p of each of `labels` and of the end behind them: for people and tests."""
    state = ngram.longest(ngram.initial_state(1), torch.tensor([END]))
    said = []
    for label in [*labels, END]:
        token = torch.tensor([label])
        said.append(ngram.log_prob(state, token).item())
        state = ngram.longest(state, token)
    return said
