"""Cutting the features of a stream into the chunks that its encoder works on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.model.protocols import ChunkContext, StreamingEncoder


@dataclass(frozen=True)
class ChunkedState:
    """A batch of streams between two steps; `features` (B, t, F) wait for their chunk."""

    context: ChunkContext
    features: Tensor


S = TypeVar("S", bound=ChunkedState)


class ChunkedEncoder(StreamingEncoder, Generic[S]):
    """An encoder whose `step` computes whole chunks of frames, as soon as one is there.

    With full context nothing comes out before the end, when the parallel form runs.
    """

    factor: int
    """So many features become one frame."""

    @abstractmethod
    def chunk(self, features: Tensor, state: S) -> tuple[Tensor, S]:
        """The frames (B, m, D) that just these features (B, `needed(m)`, F) make: one chunk."""

    def frames(self, features: int) -> int:
        """How many frames come of an utterance of so many features."""
        return -(-features // self.factor)

    def step(self, features: Tensor, state: S, final: bool) -> tuple[Tensor, S]:
        """See `StreamingEncoder.step`. With full context nothing comes out before `final`."""
        waiting = torch.cat((state.features, features), dim=1)
        if state.context.chunk is None:
            if not final:
                nothing = waiting.new_zeros(len(waiting), 0, self.dim)
                return nothing, replace(state, features=waiting)
            lengths = torch.full((len(waiting),), waiting.shape[1], device=waiting.device)
            return self(waiting, lengths)[0], replace(state, features=waiting[:, :0])
        size = state.context.chunk
        left_over = self.frames(waiting.shape[1]) if final else 0
        if final:
            waiting = self.covered(waiting)
        memory = [waiting.new_zeros(len(waiting), 0, self.dim)]
        while left_over or (not final and waiting.shape[1] >= self.needed(size)):
            size = min(size, left_over) if final else size
            frames, state = self.chunk(waiting[:, : self.needed(size)], state)
            memory.append(frames)
            waiting = waiting[:, size * self.factor :]
            left_over -= size if final else 0
        waiting = waiting[:, :0] if final else waiting
        return torch.cat(memory, dim=1), replace(state, features=waiting)

    def covered(self, features: Tensor) -> Tensor:
        """Features (B, T, F) with the silence behind them that the last frame looks into."""
        missing = self.needed(self.frames(features.shape[1])) - features.shape[1]
        return F.pad(features, (0, 0, 0, max(missing, 0)))
