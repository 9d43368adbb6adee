"""Starting a search behind labels that are already decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from asr.model.states import joined
from asr.search.protocol import Scorer


@runtime_checkable
class StartsAfter(Protocol):
    """A scorer that can read given labels faster than one by one."""

    def start_after(
        self, memory: Tensor, memory_lengths: Tensor, tokens: Tensor, counts: Tensor
    ) -> tuple[Tensor, Any]:
        """What `start`, and then `score` and `advance` for each label, come to.

        Args:
            memory: (B, M, D). memory_lengths: (B,).
            tokens: (B, U) labels, of each row the first `counts` (B,); the rest is BLANK.

        Returns:
            scores (B,) of the labels, and the state behind them.
        """
        ...


def read_off(log_probs: Tensor, tokens: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """What a decoder that was primed said of the labels, and what it says behind them.

    Args:
        log_probs: (B, U + 1, V) behind EOS and each label. tokens: (B, U). counts: (B,) labels.

    Returns:
        log probabilities (B, U) float64 of the labels, 0 in the padding, and those (B, V) of all
        labels behind the last one.
    """
    said = log_probs[:, :-1].gather(2, tokens[..., None])[..., 0].double()
    beyond = torch.arange(tokens.shape[1], device=tokens.device) >= counts[:, None]
    last = log_probs[torch.arange(len(counts), device=counts.device), counts]
    return said.masked_fill(beyond, 0.0), last


def start_after(
    scorer: Scorer, memory: Tensor, memory_lengths: Tensor, prefixes: Sequence[Sequence[int]]
) -> tuple[Tensor, Any]:
    """The scores (B,) that `scorer` gives the labels of each utterance, and its state behind them.

    A scorer that is no `StartsAfter` reads the labels one by one, an utterance at a time; its
    states must then be such that `asr.model.states` can join them.
    """
    if isinstance(scorer, StartsAfter):
        counts = torch.tensor([len(prefix) for prefix in prefixes], device=memory.device)
        tokens = counts.new_zeros(len(prefixes), max(map(len, prefixes)))
        for row, prefix in zip(tokens, prefixes, strict=True):
            row[: len(prefix)] = torch.tensor(prefix, dtype=torch.long)
        return scorer.start_after(memory, memory_lengths, tokens, counts)
    scores, states = [], []
    for row, prefix in enumerate(prefixes):
        state = scorer.start(memory[row : row + 1], memory_lengths[row : row + 1])
        score = torch.zeros(1, dtype=torch.float64, device=memory.device)
        for label in prefix:
            token = torch.tensor([label], device=memory.device)
            score = score + scorer.score(state, token[None])[0]
            state = scorer.advance(state, torch.zeros_like(token), token)
        scores.append(score)
        states.append(state)
    return torch.cat(scores), joined(states)
