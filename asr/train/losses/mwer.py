"""Minimum word error rate training over n-best lists.

Prabhavalkar et al. 2018, "Minimum word error rate training for attention-based sequence-to-sequence
models". The search finds the n best hypotheses of each utterance; their probabilities, normalised
over the list, weigh their numbers of word errors: the expected number of errors is what falls.

The paper subtracts the list's mean number of errors. As the probabilities add up to one, that
changes no gradient; it is left out here, so that the loss is the number that it is called, and
comparable from step to step and between training and dev sets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from asr.config import Config
from asr.data.dataset import TOKEN_STEP
from asr.evaluate.error_rate import count_words
from asr.model import SpeechModel
from asr.search import SearchConfig, fitting, joint_scorers, search
from asr.text import Labels, Tokenizer
from asr.train.losses.joint import IGNORED, teacher_forcing


class MwerConfig(Config):
    """loss = expected word errors + usual_weight x the usual loss, both per label.

    `nbest` hypotheses of each utterance are found by a search with `beam` and `ctc_weight`, and
    scored by the same mixture of decoder and CTC; a model without one of them uses the other.
    `max_labels` bounds hypotheses (None: one label for each frame of the encoder).
    """

    nbest: int = Field(default=4, ge=2)
    beam: int = Field(default=4, ge=2)
    ctc_weight: float = Field(default=0.3, ge=0, le=1)
    max_labels: int | None = Field(default=None, ge=1)
    usual_weight: float = Field(default=0.01, ge=0)

    @model_validator(mode="after")
    def _list_fits(self) -> MwerConfig:
        if self.nbest > self.beam:
            raise ValueError(f"nbest ({self.nbest}) is more than beam ({self.beam}): raise beam")
        return self

    @property
    def search(self) -> SearchConfig:
        """How the lists are found."""
        return SearchConfig(
            beam=self.beam,
            nbest=self.nbest,
            ctc_weight=self.ctc_weight,
            max_labels=self.max_labels,
        )


@dataclass(frozen=True)
class NBestBatch:
    """The n-best lists of B utterances: a row for each hypothesis, R in all, best first.

    `tokens` (R, U), padded, and `token_lengths` (R,) are their labels; `utterance` (R,) and `rank`
    (R,) say whose they are, and at which place of its list.
    """

    tokens: Tensor
    token_lengths: Tensor
    utterance: Tensor
    rank: Tensor

    @classmethod
    def of(cls, lists: Sequence[Sequence[Sequence[int]]], device: torch.device) -> NBestBatch:
        """From the labels of each hypothesis of each utterance."""
        rows = [tokens for nbest in lists for tokens in nbest]
        width = max((len(tokens) for tokens in rows), default=0)
        width = max(-(-width // TOKEN_STEP) * TOKEN_STEP, TOKEN_STEP)
        padded = [[*tokens, *[0] * (width - len(tokens))] for tokens in rows]
        places = [(row, rank) for row, nbest in enumerate(lists) for rank in range(len(nbest))]
        return cls(
            torch.tensor(padded, dtype=torch.int64, device=device).view(-1, width),
            torch.tensor([len(tokens) for tokens in rows], dtype=torch.int64, device=device),
            *torch.tensor(places, dtype=torch.int64, device=device).view(-1, 2).unbind(1),
        )


def mwer_loss(
    model: SpeechModel,
    memory: Tensor,
    lengths: Tensor,
    texts: Sequence[str],
    tokenizer: Tokenizer,
    config: MwerConfig,
    labels: Labels | None = None,
) -> Tensor:
    """Expected number of word errors, summed over utterances.

    Args:
        memory: (B, M, D), with gradient. lengths: (B,). Where the memory is not finite, neither is
            the loss.
        texts: what the B utterances say, as they are scored.
        labels: with the start of these utterances; None is that of `tokenizer`.
    """
    if not memory.isfinite().all():  # the search refuses it; training leaves such a batch out
        return memory.sum() * math.nan
    settings, labels = fitting(config.search, model), labels or tokenizer.labels
    lists = nbest_lists(model, memory, lengths, labels, settings)
    rows = NBestBatch.of(lists, memory.device)
    errors = word_errors(texts, [list(map(tokenizer.decode, nbest)) for nbest in lists])
    scores = log_probs(model, memory, lengths, rows, labels, settings.ctc_weight)
    wrong = torch.tensor(errors, dtype=scores.dtype).to(scores.device)
    return expected_errors(scores, wrong, rows, len(texts)).sum()


@torch.no_grad()
def nbest_lists(
    model: SpeechModel, memory: Tensor, lengths: Tensor, labels: Labels, settings: SearchConfig
) -> list[list[tuple[int, ...]]]:
    """The labels of the best hypotheses of each utterance of memory (B, M, D), lengths (B,).

    As in transcription: in float32 and without the decoder's dropout, so nothing is drawn.
    """
    with _as_in_use(model.decoder), torch.autocast(memory.device.type, enabled=False):
        scorers = joint_scorers(model, labels, settings.ctc_weight)
        results = search(scorers, memory.detach().float(), lengths, labels, settings)
    return [[hypothesis.tokens for hypothesis in nbest] for nbest in results]


def log_probs(
    model: SpeechModel,
    memory: Tensor,
    lengths: Tensor,
    rows: NBestBatch,
    labels: Labels,
    ctc_weight: float,
) -> Tensor:
    """Log probability (R,) of each hypothesis given its utterance of memory (B, M, D), with
    gradient: `ctc_weight` of CTC's, and the rest of the decoder's under teacher forcing.
    """
    total = memory.new_zeros(len(rows.tokens), dtype=torch.float32)
    frames = lengths[rows.utterance]
    if ctc_weight < 1:
        assert model.decoder is not None
        inputs, targets = teacher_forcing(
            rows.tokens,
            rows.token_lengths,
            len(rows.tokens),
            labels,
            most=model.decoder.max_labels,
        )
        logits = model.decoder(inputs, memory[rows.utterance], frames).float()
        losses = F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        total = total - (1 - ctc_weight) * losses.view_as(targets).sum(dim=1)
    if ctc_weight > 0:
        posteriors = model.ctc_log_probs(memory)[rows.utterance].transpose(0, 1)
        # the search ends with nothing that CTC cannot say, so none of these is infinite
        losses = F.ctc_loss(
            posteriors,
            rows.tokens,
            frames,
            rows.token_lengths,
            blank=labels.ctc_blank,
            reduction="none",
        )
        total = total - ctc_weight * losses
    return total


def expected_errors(scores: Tensor, errors: Tensor, rows: NBestBatch, utterances: int) -> Tensor:
    """Mean number of errors of each utterance's list (B,), weighed by softmax over the list.

    Args:
        scores: (R,) log probabilities. errors: (R,).
        utterances: B, each with at least one hypothesis.
    """
    size = int(rows.rank.max()) + 1 if len(scores) else 1
    place = rows.utterance * size + rows.rank
    listed = scores.new_full((utterances * size,), -math.inf).scatter(0, place, scores)
    wrong = errors.new_zeros(utterances * size).scatter(0, place, errors)
    weights = listed.view(utterances, size).softmax(dim=1)
    return (weights * wrong.view(utterances, size)).sum(dim=1)


def word_errors(texts: Sequence[str], lists: Sequence[Sequence[str]]) -> list[int]:
    """Word errors of each hypothesis, utterance after utterance; each text has its list."""
    pairs = zip(texts, lists, strict=True)
    return [count_words(text, written).errors for text, nbest in pairs for written in nbest]


@contextmanager
def _as_in_use(module: nn.Module | None) -> Iterator[None]:
    """`module` is in evaluation mode inside, and as it was afterwards."""
    training = module is not None and module.training
    if module is not None:
        module.eval()
    try:
        yield
    finally:
        if module is not None:
            module.train(training)
