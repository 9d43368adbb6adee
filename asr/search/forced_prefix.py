"""Starting a search behind labels that were found before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from asr.model.states import joined, per_row
from asr.search.protocol import Scorer
from asr.text.tokenizer import BLANK


@runtime_checkable
class PrefixScorer(Protocol):
    """A scorer that can read given labels faster than one by one."""

    def start_with_prefix(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, Any]:
        """What `start`, and then `score` and `advance` for each label, come to.

        Args:
            memory: (B, M, D). memory_lengths: (B,).
            tokens: (N, U) labels, of the rows of each utterance the first `counts` (B,); the rest
                is BLANK.

        Returns:
            scores (N,) of the labels, and the state behind them.
        """
        ...


def read_off(log_probs: Tensor, tokens: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """What a decoder that was primed said of the labels, and what it says behind them.

    Args:
        log_probs: (N, U + 1, V) behind EOS and each label. tokens: (N, U). counts: (B,) labels.

    Returns:
        log probabilities (N, U) float64 of the labels, 0 in the padding, and those (N, V) of all
        labels behind the last one.
    """
    counts = per_row(counts, tokens)
    said = log_probs[:, :-1].gather(2, tokens[..., None])[..., 0].double()
    beyond = torch.arange(tokens.shape[1], device=tokens.device) >= counts[:, None]
    last = log_probs[torch.arange(len(counts), device=counts.device), counts]
    return said.masked_fill(beyond, 0.0), last


def rows_of(
    beginnings: Sequence[Sequence[Sequence[int]]], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """The beginnings of B utterances as R rows for each, R the most that one has.

    Returns:
        which beginning each of the N = B x R rows is, -1 in rows that an utterance does not need;
        their labels (N, U), padded with BLANK; and how many labels those of each utterance have.
    """
    counts = [len(some[0]) for some in beginnings]
    rows = max(len(some) for some in beginnings)
    tokens = torch.full((len(beginnings), rows, max(counts)), BLANK)
    which = torch.full((len(beginnings), rows), -1)
    for place, (some, count) in enumerate(zip(beginnings, counts, strict=True)):
        which[place, : len(some)] = torch.arange(len(some))
        labels = torch.tensor(some, dtype=torch.long).view(len(some), count)
        tokens[place, :, :count] = labels[which[place].clamp(min=0)]
    return (
        which.flatten().to(device),
        tokens.flatten(0, 1).to(device),
        torch.tensor(counts, device=device),
    )


def start_with_prefix(
    scorer: Scorer, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
) -> tuple[Tensor, Any]:
    """The scores (N,) that `scorer` gives given labels, and its state behind them.

    A scorer that is no `PrefixScorer` reads the labels one by one, an utterance at a time; its
    states must then be such that `asr.model.states` can join them.

    Args:
        memory, memory_lengths, tokens, counts: as in `PrefixScorer`.
    """
    if isinstance(scorer, PrefixScorer):
        return scorer.start_with_prefix(memory, memory_lengths, tokens, counts)
    scores, states = [], []
    for place, (labels, count) in enumerate(
        zip(tokens.unflatten(0, (len(memory), -1)), counts.tolist(), strict=True)
    ):
        state = scorer.start(memory[place, None], memory_lengths[place, None])
        score = torch.zeros(len(labels), dtype=torch.float64, device=memory.device)
        parents = torch.zeros(len(labels), dtype=torch.long, device=memory.device)
        candidates = labels.T[:, None]  # the one row that is there at first has a label for each
        for place, column in enumerate(labels[:, :count].unbind(1)):
            score = score + scorer.score(state, candidates[place]).flatten()
            state = scorer.advance(state, parents, column)
            parents = torch.arange(len(labels), device=memory.device)
            candidates = labels.T[:, :, None]
        scores.append(score)
        states.append(state)
    return torch.cat(scores), joined(states)
