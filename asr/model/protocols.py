"""What an encoder and a decoder are, whatever is inside: the search and training know only this.

State belongs to the caller: modules hold weights only. A state is an opaque value that a module
made; it can be kept, copied, pickled or dropped at any moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from asr.errors import ModelError
from asr.model.states import joined


@dataclass(frozen=True)
class ChunkContext:
    """How much of the sound an encoder may see, counted in memory frames.

    `chunk=None` is the whole utterance. Otherwise time is cut into chunks of `chunk` frames; each
    frame sees its own chunk and the `left` frames before that chunk, and nothing to the right.
    """

    chunk: int | None = None
    left: int = 0

    def __post_init__(self) -> None:
        if (self.chunk is not None and self.chunk < 1) or self.left < 0:
            raise ValueError(f"chunk must be None or at least 1 and left at least 0: {self}")


FULL_CONTEXT = ChunkContext()


class Encoder(nn.Module, ABC):
    """Turns features into memory, at once or by steps, with the same result to 1e-5."""

    frame_seconds: float
    """Length of one memory frame."""
    dim: int
    """Width of the memory."""

    @abstractmethod
    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Encodes whole utterances in parallel.

        Args:
            features: (B, T, F); what stands beyond a row's length changes nothing.
            lengths: (B,) frames of each row.
            context: how much each frame may see.

        Returns:
            memory (B, M, D) and its lengths (B,).

        Raises:
            ModelError: this encoder cannot honour `context`.
        """

    def forward_tapped(
        self, features: Tensor, lengths: Tensor, context: ChunkContext, taps: Sequence[int]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """`forward`, with the normed outputs (B, M, D) of the layers numbered in `taps` (from 1).

        Intermediate CTC (Lee and Watanabe 2021) is trained on them.

        Raises:
            ModelError: this encoder has no layers to look into.
        """
        if taps:
            raise ModelError(f"{type(self).__name__} has no intermediate layers for CTC")
        return *self(features, lengths, context), []

    @abstractmethod
    def needed(self, frames: int) -> int:
        """How many features the first `frames` frames of an utterance are computed from."""

    @abstractmethod
    def initial_state(self, batch: int, context: ChunkContext) -> Any:
        """The state of `batch` streams that have heard nothing yet.

        Streams are joined to batches and taken apart again (`asr.model.states`): a tensor of a
        state has the batch in its first dimension.

        Raises:
            ModelError: this encoder cannot honour `context`.
        """

    @abstractmethod
    def step(self, features: Tensor, state: Any, final: bool) -> tuple[Tensor, Any]:
        """Encodes the next features (B, t, F) of a batch of streams; t may be 0.

        Returns:
            the memory frames (B, m, D) that are now certain (m may be 0) and the next state.
            `final` ends the streams: everything that was held back comes out.
        """


class Decoder(nn.Module, ABC):
    """Predicts the next label from the labels so far and the memory.

    It is fed a start sequence first (`asr.text.Labels.start`), which means nothing special to it.
    """

    max_labels: int | None = None
    """The most labels that it can be fed, the start sequence counted; None: as many as you like."""

    @abstractmethod
    def forward(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """Teacher forcing.

        Args:
            tokens: (B, U) the labels so far, the start sequence first.
            memory: (B, M, D). memory_lengths: (B,).

        Returns:
            logits (B, U, V): position u predicts the label after tokens[:, u].
        """

    @abstractmethod
    def initial_state(self, memory: Tensor, memory_lengths: Tensor) -> Any:
        """The state before the first label: one row for each utterance of memory (B, M, D)."""

    @abstractmethod
    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Feeds one label to each row.

        Args:
            tokens: (N,) the next label of each row, those of the start sequence first.
            state: of N rows. N = B x rows per utterance; the rows of an utterance are contiguous.

        Returns:
            log_probs (N, V) of the next label, and the next state.
        """

    def prime(
        self, tokens: Tensor, counts: Tensor, memory: Tensor, memory_lengths: Tensor
    ) -> tuple[Tensor, Any]:
        """Starts behind given labels: what stepping through them from `initial_state` gives.

        This form steps, one utterance at a time, and joins the states as `asr.model.states` does.
        A decoder that can read many labels at once, or whose states have another form, has its own.

        Args:
            tokens: (N, U) the labels so far, the start sequence first; padding may hold any label.
                N = B x rows per utterance; the rows of an utterance are contiguous.
            counts: (B,) how many labels the rows of each utterance have, the start counted.
            memory: (B, M, D). memory_lengths: (B,).

        Returns:
            log_probs (N, U, V) of the label after each of `tokens` (anything in the padding), and
            the state behind the last label of each row.
        """
        said, states = [], []
        for place, (labels, count) in enumerate(
            zip(tokens.unflatten(0, (len(memory), -1)), counts.tolist(), strict=True)
        ):
            state = self.initial_state(memory[place, None], memory_lengths[place, None])
            state = self.reorder(state, torch.zeros(len(labels), dtype=torch.long).to(labels))
            rows = []
            for column in labels[:, :count].unbind(1):
                log_probs, state = self.step(column, state)
                rows.append(log_probs)
            said.append(torch.stack(rows + [rows[-1]] * (labels.shape[1] - count), 1))
            states.append(state)
        return torch.cat(said), joined(states)

    def attention(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """Where each label looks: weights (B, layers, H, U, M), for pictures and diagnostics.

        Args:
            tokens, memory, memory_lengths: as in `forward`.

        Raises:
            ModelError: this decoder looks at no frame in particular.
        """
        raise ModelError(f"{type(self).__name__} has no attention weights")

    @abstractmethod
    def reorder(self, state: Any, parents: Tensor) -> Any:
        """The state whose row i continues row `parents[i]` (N',) of `state`.

        Every utterance that is left has the same number of contiguous rows; an utterance none of
        whose rows is a parent has left the batch.
        """
