"""Starting a search behind given labels: those of an earlier search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from asr.model.states import joined, per_row
from asr.search.protocol import Scorer


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
                is padding and may be any label.

        Returns:
            scores (N,) of the labels, and the state behind them.
        """
        ...


def gather_prefix(log_probs: Tensor, tokens: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """The log probabilities of the labels of prefixes, and of all labels behind them.

    Args:
        log_probs: (N, U + 1, V) before the first label and behind each.
        tokens: (N, U). counts: (B,) labels.

    Returns:
        log probabilities (N, U) float64 of the labels, 0 in the padding, and those (N, V) of all
        labels behind the last one.
    """
    counts = per_row(counts, tokens)
    scores = log_probs[:, :-1].gather(2, tokens[..., None])[..., 0].double()
    beyond = torch.arange(tokens.shape[1], device=tokens.device) >= counts[:, None]
    last = log_probs[torch.arange(len(counts), device=counts.device), counts]
    return scores.masked_fill(beyond, 0.0), last


def prefix_rows(
    prefixes: Sequence[Sequence[Sequence[int]]], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """The prefixes of B utterances as R rows for each, R the most that one has.

    Returns:
        which prefix each of the N = B x R rows is, -1 in rows that an utterance does not need;
        their labels (N, U), padded; and how many labels those of each utterance have.
    """
    counts = [len(some[0]) for some in prefixes]
    rows = max(len(some) for some in prefixes)
    tokens = torch.zeros(len(prefixes), rows, max(counts), dtype=torch.long)
    which = torch.full((len(prefixes), rows), -1)
    for place, (some, count) in enumerate(zip(prefixes, counts, strict=True)):
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
