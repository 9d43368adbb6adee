"""Tiny models of known behaviour: a decoder that looks up, a recurrent one, a bigram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from asr.model.protocols import Decoder
from asr.text.special_labels import END


def memory_of(seed: int, lengths: list[int], dim: int = 4) -> tuple[Tensor, Tensor]:
    """Random memory (B, M, dim) float64, each utterance a function of `seed` and its place."""
    memory = torch.full((len(lengths), max(lengths), dim), 7.0, dtype=torch.float64)
    for place, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(1000 * seed + place)
        memory[place, :length] = torch.randn(length, dim, dtype=torch.float64, generator=generator)
    return memory, torch.tensor(lengths)


def mean_memory(memory: Tensor, lengths: Tensor) -> Tensor:
    """Mean (B, D) over the frames that exist."""
    real = (torch.arange(memory.shape[1]) < lengths[:, None])[:, :, None]
    return memory.where(real, torch.zeros_like(memory)).sum(1) / lengths[:, None]


class Head(nn.Module):
    """A CTC head: memory to log posteriors. `sharp` scales the logits."""

    def __init__(self, seed: int, vocabulary: int, dim: int = 4, sharp: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = sharp * torch.randn(dim, vocabulary, dtype=torch.float64, generator=generator)

    def forward(self, memory: Tensor) -> Tensor:
        return (memory @ self.weight).log_softmax(-1)


@dataclass(frozen=True)
class TableState:
    utterance: Tensor  # (N, V) what the utterance adds to the logits
    position: int


class TableDecoder(Decoder):
    """Looks up the next label by position and last label, shifted by the utterance's memory."""

    def __init__(self, seed: int, vocabulary: int, positions: int = 16, dim: int = 4) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        shape = (positions, vocabulary, vocabulary)
        self.table = 2 * torch.randn(shape, dtype=torch.float64, generator=generator)
        self.shift = torch.randn(dim, vocabulary, dtype=torch.float64, generator=generator)

    def forward(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1]) % len(self.table)
        logits = self.table[positions, tokens]
        return logits + (mean_memory(memory, memory_lengths) @ self.shift)[:, None]

    def initial_state(self, memory: Tensor, memory_lengths: Tensor) -> TableState:
        return TableState(mean_memory(memory, memory_lengths) @ self.shift, 0)

    def step(self, tokens: Tensor, state: TableState) -> tuple[Tensor, TableState]:
        logits = self.table[state.position % len(self.table)][tokens] + state.utterance
        return logits.log_softmax(-1), TableState(state.utterance, state.position + 1)

    def reorder(self, state: TableState, parents: Tensor) -> TableState:
        return TableState(state.utterance[parents], state.position)


@dataclass(frozen=True)
class GRUState:
    hidden: Tensor  # (N, D)
    memory: Tensor  # (B, M, D)
    mask: Tensor  # (B, M)


class GRUDecoder(Decoder):
    """A recurrent decoder with dot-product attention over the memory, float64."""

    def __init__(self, seed: int, vocabulary: int, dim: int = 4) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(vocabulary, dim)
            self.cell = nn.GRUCell(dim, dim)
            self.output = nn.Linear(2 * dim, vocabulary)
            self.output.weight.data *= 6
        self.double().eval()

    def forward(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        state = self.initial_state(memory, memory_lengths)
        logits = []
        for column in tokens.unbind(1):
            state, output = self._next(column, state)
            logits.append(output)
        return torch.stack(logits, dim=1)

    def initial_state(self, memory: Tensor, memory_lengths: Tensor) -> GRUState:
        mask = torch.arange(memory.shape[1]) < memory_lengths[:, None]
        return GRUState(memory.new_zeros(len(memory), memory.shape[2]), memory, mask)

    def step(self, tokens: Tensor, state: GRUState) -> tuple[Tensor, GRUState]:
        state, logits = self._next(tokens, state)
        return logits.log_softmax(-1), state

    def _next(self, tokens: Tensor, state: GRUState) -> tuple[GRUState, Tensor]:
        hidden = self.cell(self.embedding(tokens), state.hidden)
        query = hidden.view(len(state.memory), -1, hidden.shape[1])
        scores = query @ state.memory.transpose(1, 2)
        weights = scores.masked_fill(~state.mask[:, None], -torch.inf).softmax(-1)
        context = (weights @ state.memory).flatten(0, 1)
        return GRUState(hidden, state.memory, state.mask), self.output(
            torch.cat([hidden, context], dim=1)
        )

    def reorder(self, state: GRUState, parents: Tensor) -> GRUState:
        rows = len(state.hidden) // len(state.memory)
        kept = torch.unique_consecutive(parents // rows)
        return GRUState(state.hidden[parents], state.memory[kept], state.mask[kept])


class BigramScorer:
    """A language model of pairs: a full scorer that carries the last label."""

    partial = False
    max_gain = 0.0
    max_labels = None

    def __init__(self, seed: int, vocabulary: int, end: int = END) -> None:
        self.end = end
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(vocabulary, vocabulary, dtype=torch.float64, generator=generator)
        self.table = (2 * logits).log_softmax(-1)

    def start(self, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        return torch.full_like(memory_lengths, self.end)

    def score(self, state: Tensor, candidates: Tensor | None) -> Tensor:
        rows = self.table[state]
        return rows if candidates is None else rows.gather(1, candidates)

    def advance(self, state: Tensor, parents: Tensor, tokens: Tensor) -> Tensor:
        return tokens

    def finish(self, state: Tensor) -> Tensor:
        return self.table[state, self.end]


class BonusScorer:
    """Adds a constant for each label: a scorer that is not a log probability."""

    partial = False
    max_labels = None

    def __init__(self, bonus: float, vocabulary: int) -> None:
        self.max_gain = max(bonus, 0.0)
        self.bonus = bonus
        self.vocabulary = vocabulary

    def start(self, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        return memory.new_zeros(len(memory))

    def score(self, state: Tensor, candidates: Tensor | None) -> Tensor:
        width = self.vocabulary if candidates is None else candidates.shape[1]
        return state.new_full((len(state), width), self.bonus)

    def advance(self, state: Tensor, parents: Tensor, tokens: Tensor) -> Tensor:
        return state[parents]

    def finish(self, state: Tensor) -> Tensor:
        return state


class Counting:
    """Wraps a scorer and counts the calls of `advance`."""

    def __init__(self, scorer: Any, max_gain: float | None = None) -> None:
        self.scorer = scorer
        self.partial = scorer.partial
        self.max_gain = scorer.max_gain if max_gain is None else max_gain
        self.max_labels = scorer.max_labels
        self.steps = 0
        self.rows = 0

    def start(self, memory: Tensor, memory_lengths: Tensor) -> Any:
        return self.scorer.start(memory, memory_lengths)

    def score(self, state: Any, candidates: Tensor | None) -> Tensor:
        return self.scorer.score(state, candidates)

    def advance(self, state: Any, parents: Tensor, tokens: Tensor) -> Any:
        self.steps += 1
        self.rows += len(parents)
        return self.scorer.advance(state, parents, tokens)

    def finish(self, state: Any) -> Tensor:
        return self.scorer.finish(state)


class LoopingDecoder(Decoder):
    """Goes round in `cycle`, whatever there is to hear; the longer it has, the sooner it ends."""

    def __init__(self, cycle: list[int], vocabulary: int) -> None:
        super().__init__()
        self.table = torch.full((vocabulary, vocabulary), -12.0, dtype=torch.float64)
        self.table[END, cycle[0]] = 0.0
        for label, following in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            self.table[label, following] = 0.0

    def forward(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        logits = self.table[tokens]
        logits[..., END] = 0.1 * torch.arange(tokens.shape[1]) - 12.0
        return logits

    def initial_state(self, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        return torch.zeros(len(memory), dtype=torch.float64)

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.table[tokens]
        logits[:, END] = 0.1 * state - 12.0
        return logits.log_softmax(-1), state + 1

    def reorder(self, state: Tensor, parents: Tensor) -> Tensor:
        return state[parents]


def written(frames: list[list[int]], vocabulary: int, sure: float = 0.999) -> tuple[Tensor, Tensor]:
    """Memory that a CTC head of identity reads as log posteriors: each frame says its label.

    Args:
        frames: of each utterance the label of each frame, 0 for blank.

    Returns:
        memory (B, M, vocabulary) float64 and its lengths.
    """
    lengths = torch.tensor([len(row) for row in frames])
    memory = torch.zeros(len(frames), int(lengths.max()), vocabulary, dtype=torch.float64)
    for row, labels in zip(memory, frames, strict=True):
        row[: len(labels)] = math.log((1 - sure) / (vocabulary - 1))
        row[torch.arange(len(labels)), labels] = math.log(sure)
    return memory, lengths
