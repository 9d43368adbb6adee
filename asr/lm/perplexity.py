"""How well a language model foretells texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from asr.lm.protocol import LanguageModel

#: Labels of a batch, padding counted.
_BATCH_LABELS = 8192
#: ... but no more log probabilities than this: of 51,865 labels 4 GB would be needed.
_BATCH_SCORES = 1 << 25


@dataclass(frozen=True)
class Perplexity:
    """The negative log probability of some texts, their ends among it.

    `words` and `labels` do not count the ends; the rates do, as is usual.
    """

    nats: float
    texts: int
    words: int
    labels: int

    @property
    def per_word(self) -> float:
        """exp of the nats for each word or end of a text; NaN without texts."""
        return _rate(self.nats, self.words + self.texts)

    @property
    def per_label(self) -> float:
        """exp of the nats for each label or end of a text; NaN without texts."""
        return _rate(self.nats, self.labels + self.texts)

    def __str__(self) -> str:
        if not self.texts:
            return "perplexity not known: there are no texts to measure on"
        return (
            f"perplexity {self.per_word:.1f} a word, {self.per_label:.2f} a label "
            f"({self.texts} texts, {self.words} words, {self.labels} labels)"
        )


@torch.inference_mode()
def perplexity(lm: LanguageModel, texts: Sequence[np.ndarray], words: int, end: int) -> Perplexity:
    """Measures `lm` on texts of labels (without the end), each by itself.

    Args:
        words: how many words all texts have together.
        end: the label that starts and ends a text.
    """
    nats = 0.0
    for batch in _batches(texts, min(_BATCH_LABELS, _BATCH_SCORES // lm.vocabulary)):
        tokens, counts = _padded(batch, end)
        tokens, counts = tokens.to(lm.device), counts.to(lm.device)
        log_probs, _ = lm.prime(tokens, counts)
        following = pad(tokens[:, 1:], (0, 1), value=end)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        following = following.masked_fill(places == counts[:, None] - 1, end)
        scores = log_probs.gather(2, following[..., None])[..., 0].double()
        nats -= scores.masked_fill(places >= counts[:, None], 0.0).sum().item()
    return Perplexity(nats, len(texts), words, sum(map(len, texts)))


def _batches(texts: Sequence[np.ndarray], most: int) -> Iterator[list[np.ndarray]]:
    """All texts, longest first, as many together as have at most `most` labels, padding counted."""
    batch: list[np.ndarray] = []
    for text in sorted(texts, key=len, reverse=True):
        if batch and (len(batch) + 1) * (len(batch[0]) + 1) > most:
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch


def _padded(texts: Sequence[np.ndarray], end: int) -> tuple[Tensor, Tensor]:
    """Labels (B, U) with `end` before and, as padding, behind them; counts (B,) with the first."""
    counts = torch.tensor([len(text) + 1 for text in texts])
    tokens = torch.full((len(texts), int(counts.max())), end)
    for row, text in zip(tokens, texts, strict=True):
        row[1 : len(text) + 1] = torch.from_numpy(text.astype(np.int64))
    return tokens, counts


def _rate(nats: float, events: int) -> float:
    return math.exp(min(nats / events, 700.0)) if events else math.nan
