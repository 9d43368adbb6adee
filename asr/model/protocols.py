"""What encoders, decoders and models are, whatever is inside: the rest of the code knows only this.

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
from asr.frontend import Frontend
from asr.model.padding import encode_rows
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
    """Turns the features of whole utterances into memory."""

    frame_seconds: float
    """Length of one memory frame."""
    dim: int
    """Width of the memory."""
    max_frames: int | None = None
    """The most memory frames that an utterance may have; None: any number."""
    padding_invariant: bool = True
    """Whether padding and the other rows of a batch change nothing. Where False, only rows of equal
    lengths may be one batch (`asr.model.padding`)."""

    @property
    def centre(self) -> float:
        """The feature, counted from 0, in the middle of those that frame 0 is computed from."""
        return 0.0

    @abstractmethod
    def forward(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Encodes whole utterances in parallel.

        Args:
            features: (B, T, F), T from 0; where `padding_invariant`, what stands beyond a row's
                length changes nothing, else all lengths are T.
            lengths: (B,) features of each row.
            context: how much each frame may see.

        Returns:
            memory (B, M, D) and its lengths (B,).

        Raises:
            ModelError: this encoder cannot honour `context`, or a row is longer than `max_frames`.
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

    def check_context(self, context: ChunkContext) -> None:
        """Refuses a context that this encoder cannot honour; this form takes whole utterances only.

        Raises:
            ModelError: it cannot; the message says what to do instead.
        """
        if context.chunk is not None:
            raise ModelError(
                f"{type(self).__name__} needs the whole utterance and cannot work on chunks; "
                "leave chunks out, or take an encoder that honours them (conformer, transformer, "
                "lstm, gru)"
            )


class StreamingEncoder(Encoder):
    """An encoder that also works by steps, with the same result to 1e-5."""

    @property
    def centre(self) -> float:
        """See `Encoder.centre`."""
        return (self.needed(1) - 1) / 2

    def check_context(self, context: ChunkContext) -> None:
        """See `Encoder.check_context`; this form takes any context."""

    @abstractmethod
    def needed(self, frames: int) -> int:
        """How many features the first `frames` frames of an utterance are computed from."""

    @abstractmethod
    def initial_state(self, batch: int, context: ChunkContext) -> Any:
        """The state of `batch` streams before their first feature.

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

    @property
    def label_vectors(self) -> Tensor | None:
        """The vectors (V, E) of labels, where the same ones are fed and predict; else None."""
        return None

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
        self,
        tokens: Tensor,
        counts: Tensor,
        memory: Tensor,
        memory_lengths: Tensor,
        since: int = 0,
    ) -> tuple[Tensor, Any]:
        """Starts behind given labels: what stepping through them from `initial_state` gives.

        This form steps, one utterance at a time, and joins the states as `asr.model.states` does.
        A decoder that can read many labels at once, or whose states have another form, has its own.

        Args:
            tokens: (N, U) the labels so far, the start sequence first; padding may hold any label.
                N = B x rows per utterance; the rows of an utterance are contiguous.
            counts: (B,) how many labels the rows of each utterance have, the start counted.
            memory: (B, M, D). memory_lengths: (B,).
            since: how many of the first labels of all rows need no log_probs, less than `counts`:
                behind a long prompt they would be most of the work and of the memory.

        Returns:
            log_probs (N, U - since, V) of the label after each of `tokens` from `since` on
            (anything in the padding), and the state behind the last label of each row.
        """
        scored, states = [], []
        for place, (labels, count) in enumerate(
            zip(tokens.unflatten(0, (len(memory), -1)), counts.tolist(), strict=True)
        ):
            state = self.initial_state(memory[place, None], memory_lengths[place, None])
            state = self.reorder(state, torch.zeros(len(labels), dtype=torch.long).to(labels))
            rows = []
            for column in labels[:, :count].unbind(1):
                log_probs, state = self.step(column, state)
                rows.append(log_probs)
            rows += [rows[-1]] * (labels.shape[1] - count)
            scored.append(torch.stack(rows[since:], 1))
            states.append(state)
        return torch.cat(scored), joined(states)

    def attention(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """Where each label looks: weights (B, layers, H, U, M), for pictures and diagnostics.

        Args:
            tokens, memory, memory_lengths: as in `forward`.

        Raises:
            ModelError: this decoder looks at no frame in particular.
        """
        raise ModelError(f"{type(self).__name__} has no attention weights")

    def forward_attended(
        self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """`forward`, with attention weights that labels can be aligned by.

        This form takes all heads of the last half of the layers. Decoders that use other heads,
        or compute weights and logits in one pass, override it.

        Args:
            tokens, memory, memory_lengths: as in `forward`.

        Returns:
            logits (B, U, V), and the weights (B, H, U, M) of H heads, or None where the decoder
            looks at no frame in particular.
        """
        logits = self(tokens, memory, memory_lengths)
        try:
            weights = self.attention(tokens, memory, memory_lengths)
        except ModelError:
            return logits, None
        return logits, weights[:, weights.shape[1] // 2 :].flatten(1, 2)

    @abstractmethod
    def reorder(self, state: Any, parents: Tensor) -> Any:
        """The state whose row i continues row `parents[i]` (N',) of `state`.

        Every utterance that is left has the same number of contiguous rows; an utterance none of
        whose rows is a parent has left the batch.
        """


class ASRModel(nn.Module, ABC):
    """A recognition model: front end, encoder, and a decoder, a CTC head, or both.

    What transcribing, searching and evaluating know of a model, of whichever kind.
    """

    frontend: Frontend
    encoder: Encoder
    decoder: Decoder | None
    ctc: nn.Module | None
    """Memory (B, M, D) to logits (B, M, V); None for a pure attention model."""
    vocabulary: int
    """Number of labels."""

    @property
    def sample_rate(self) -> int:
        """Samples per second that the model was made for."""
        return self.frontend.sample_rate

    def features(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (B, N) in [-1, 1] to normalised features (B, T, F) and lengths (B,)."""
        features, lengths = self.frontend(samples, lengths)
        return self.normalise(features), lengths

    def normalise(self, features: Tensor) -> Tensor:
        """Features (B, T, F) of the front end as the encoder takes them, in its weights' type."""
        return features.to(next(self.parameters()).dtype)

    def encode(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) to memory (B, M, D) and lengths (B,); padding changes nothing.

        Raises:
            ModelError: the encoder cannot honour `context`, or a row is too long for it.
        """
        if self.encoder.padding_invariant:
            return self.encoder(features, lengths, context)
        memory, lengths, _ = encode_rows(
            lambda rows, sizes: (*self.encoder(rows, sizes, context), []), features, lengths
        )
        return memory, lengths

    @abstractmethod
    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """Memory (B, M, D) to log posteriors (B, M, V) of labels and blank, in float32.

        Raises:
            ModelError: this model has no CTC head.
        """


def streaming_encoder(model: ASRModel, context: ChunkContext) -> StreamingEncoder:
    """The encoder of a model that is to work on the chunks of a stream as they arrive.

    Raises:
        ModelError: the model cannot stream, or not with this context.
    """
    encoder = model.encoder
    if not isinstance(encoder, StreamingEncoder):
        raise ModelError(
            f"{type(encoder).__name__} cannot stream: it needs the whole utterance; transcribe "
            "without chunks (leave out chunk_ms), or use a model whose encoder works by steps "
            "(conformer, transformer, lstm, gru)"
        )
    encoder.check_context(context)
    model.frontend.check_streaming()
    return encoder
