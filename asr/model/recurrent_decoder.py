"""LSTM and GRU decoders with attention, and without (Sutskever et al. 2014).

For each label the cells read the label before and what was taken from the memory for it (input
feeding, Luong et al. 2015); then the attention looks anew, and cells and memory together say what
comes next. Training runs the same step over all labels, so that both forms are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from asr.config import TypedConfig
from asr.errors import ModelError
from asr.model.attention import within
from asr.model.layers import Dropout, initialise, log_softmax
from asr.model.protocols import Decoder
from asr.model.recurrent import remember
from asr.model.recurrent_attention import (
    Additive,
    AttentionMemory,
    Dot,
    FixedVector,
    General,
    Location,
    MemoryAttention,
    MultiHead,
)
from asr.model.registry import register_decoder
from asr.model.states import per_row


class RecurrentDecoderConfig(TypedConfig):
    """The sizes of the decoder.

    Attributes:
        layers: recurrent layers.
        dim: width of the layers and of a label's vector.
        attention: how the memory is looked at; none is a fixed vector, the encoder's final state.
        attention_dim: inner width of additive and location attention.
        filters: of location attention's convolution over the weights of the label before.
        kernel: frames that this convolution sees; odd.
        heads: of multihead attention; `dim` is a multiple of them.
        input_feeding: what was taken from the memory for one label goes into the cells for the
            next.
        tie_embedding: one matrix for the labels that go in and the logits that come out.
        dropout: share of the activations that is set to zero in training.
    """

    type: Literal["lstm", "gru"] = "lstm"
    layers: int = Field(default=1, ge=1)
    dim: int = Field(default=256, ge=1)
    attention: Literal["none", "additive", "dot", "general", "location", "multihead"] = "location"
    attention_dim: int = Field(default=128, ge=1)
    filters: int = Field(default=10, ge=1)
    kernel: int = Field(default=31, ge=1)
    heads: int = Field(default=4, ge=1)
    input_feeding: bool = True
    tie_embedding: bool = False
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> RecurrentDecoderConfig:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} must be odd")
        if self.attention == "multihead" and self.dim % self.heads:
            raise ValueError(f"dim {self.dim} must be a multiple of heads ({self.heads})")
        return self


_ATTENTIONS: dict[str, Callable[[RecurrentDecoderConfig, int], MemoryAttention]] = {
    "none": lambda config, memory_dim: FixedVector(memory_dim),
    "additive": lambda config, memory_dim: Additive(config.dim, memory_dim, config.attention_dim),
    "dot": lambda config, memory_dim: Dot(config.dim, memory_dim),
    "general": lambda config, memory_dim: General(config.dim, memory_dim),
    "location": lambda config, memory_dim: Location(
        config.dim, memory_dim, config.attention_dim, config.filters, config.kernel
    ),
    "multihead": lambda config, memory_dim: MultiHead(config.dim, memory_dim, config.heads),
}


@dataclass(frozen=True)
class RecurrentState:
    """What N hypotheses remember: `hidden` and an LSTM's `cell` (N, layers, D), what the cells
    are fed besides the last label (N, D or 0), and the weights of that label (N, M or 0).
    """

    hidden: Tensor
    cell: Tensor
    fed: Tensor
    before: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> RecurrentState:
        """The same of each tensor."""
        return RecurrentState(*(change(getattr(self, field.name)) for field in fields(self)))

    def where(self, here: Tensor, other: RecurrentState) -> RecurrentState:
        """These in the rows that are `here` (N,), the `other` ones elsewhere."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        chosen = [torch.where(here.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in pairs]
        return RecurrentState(*chosen)


@dataclass(frozen=True)
class RecurrentDecoderState:
    """N hypotheses of B utterances, N / B rows each, and the memory, once per utterance."""

    rows: RecurrentState
    memory: AttentionMemory


@register_decoder("lstm", RecurrentDecoderConfig)
@register_decoder("gru", RecurrentDecoderConfig)
class RecurrentDecoder(Decoder):
    """Embedding, recurrent layers, attention, and one matrix to the labels."""

    cells: Sequence[nn.LSTMCell | nn.GRUCell]  # a ModuleList, which would be typed as any modules

    def __init__(self, config: RecurrentDecoderConfig, vocabulary: int, memory_dim: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.dim)
        cell = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}[config.type]
        first = 2 * config.dim if config.input_feeding else config.dim
        widths = [first] + [config.dim] * (config.layers - 1)
        self.cells = nn.ModuleList(cell(w, config.dim) for w in widths)  # type: ignore[assignment]
        self.look = _ATTENTIONS[config.attention](config, memory_dim)
        self.to_start: nn.Linear | None = None
        if config.attention == "none":
            self.to_start = nn.Linear(self.look.width, config.layers * config.dim)
        self.mix = nn.Linear(config.dim + self.look.width, config.dim)
        self.to_logits = nn.Linear(config.dim, vocabulary)
        self.dropout = Dropout(config.dropout)
        self.apply(initialise)
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)
        for one in self.cells:
            if isinstance(one, nn.LSTMCell):
                remember(one.bias_ih)
        if config.tie_embedding:
            self.to_logits.weight = self.embedding.weight

    def forward(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """See `Decoder.forward`."""
        mixed, _ = self._teach(tokens, self.initial_state(memory, memory_lengths))
        return self.to_logits(torch.stack(mixed, dim=1))

    def attention(self, tokens: Tensor, memory: Tensor, memory_lengths: Tensor) -> Tensor:
        """See `Decoder.attention`; one layer."""
        if self.config.attention == "none":
            raise ModelError("a decoder with attention: none has no attention weights")
        _, weights = self._teach(tokens, self.initial_state(memory, memory_lengths))
        return torch.cat(weights, dim=2)[:, None, :, :, : memory.shape[1]]

    def initial_state(self, memory: Tensor, memory_lengths: Tensor) -> RecurrentDecoderState:
        """See `Decoder.initial_state`."""
        if not memory.shape[1]:  # a frame that nobody sees: there is always one to look at
            memory = F.pad(memory, (0, 0, 0, 1))
        batch, size = memory.shape[:2]
        prepared = self.look.prepare(memory, within(memory_lengths, size))
        config, like = self.config, memory
        hidden = like.new_zeros(batch, config.layers, config.dim)
        if self.to_start is not None:
            start = self.to_start(self.dropout(prepared.values[:, 0]))
            hidden = torch.tanh(start).unflatten(1, (config.layers, -1))
        cell = like.new_zeros(batch, config.layers, config.dim if config.type == "lstm" else 0)
        fed = like.new_zeros(batch, config.dim if config.input_feeding else 0)
        before = like.new_zeros(batch, size if self.look.looks_back else 0)
        if self.look.looks_back:
            before[:, 0] = 1.0  # it begins at the beginning
        return RecurrentDecoderState(RecurrentState(hidden, cell, fed, before), prepared)

    def step(
        self, tokens: Tensor, state: RecurrentDecoderState
    ) -> tuple[Tensor, RecurrentDecoderState]:
        """See `Decoder.step`."""
        mixed, _, rows = self._next(self.embedding(tokens), state.rows, state.memory)
        return log_softmax(self.to_logits(mixed)), replace(state, rows=rows)

    def prime(
        self,
        tokens: Tensor,
        counts: Tensor,
        memory: Tensor,
        memory_lengths: Tensor,
        since: int = 0,
    ) -> tuple[Tensor, RecurrentDecoderState]:
        """See `Decoder.prime`. All rows together; one that has ended stays as it is."""
        state, each = self.initial_state(memory, memory_lengths), len(tokens) // len(memory)
        rows, said = state.rows.map(lambda one: one.repeat_interleave(each, 0)), []
        counts = per_row(counts, tokens)
        for place, labels in enumerate(self.embedding(tokens).unbind(1)):
            mixed, _, after = self._next(labels, rows, state.memory)
            rows = after.where(place < counts, rows)
            said.append(mixed)
        log_probs = log_softmax(self.to_logits(torch.stack(said[since:], dim=1)))
        return log_probs, replace(state, rows=rows)

    def reorder(self, state: RecurrentDecoderState, parents: Tensor) -> RecurrentDecoderState:
        """See `Decoder.reorder`."""
        utterances = len(state.memory.mask)
        each = len(state.rows.hidden) // utterances
        rows, memory = state.rows.map(lambda one: one[parents]), state.memory
        kept = torch.unique_consecutive(parents // each)
        if len(kept) < utterances:
            memory = memory.of(kept)
        return RecurrentDecoderState(rows, memory)

    def _teach(
        self, tokens: Tensor, state: RecurrentDecoderState
    ) -> tuple[list[Tensor], list[Tensor]]:
        """For each of tokens (B, U): what the logits come of (B, D), and weights (B, H, 1, M)."""
        rows, said, weights = state.rows, [], []
        for labels in self.dropout(self.embedding(tokens)).unbind(1):
            mixed, looked, rows = self._next(labels, rows, state.memory)
            said.append(mixed)
            weights.append(looked)
        return said, weights

    def _next(
        self, labels: Tensor, rows: RecurrentState, memory: AttentionMemory
    ) -> tuple[Tensor, Tensor, RecurrentState]:
        """One label (N, D) for each hypothesis: what the logits come of (N, D), the weights
        (B, H, N / B, M), and what the hypotheses remember.
        """
        given = torch.cat((labels, rows.fed), dim=-1)
        hidden, cells = [], []
        for place, cell in enumerate(self.cells):
            if isinstance(cell, nn.LSTMCell):
                given, after = cell(given, (rows.hidden[:, place], rows.cell[:, place]))
                cells.append(after)
            else:
                given = cell(given, rows.hidden[:, place])
            hidden.append(given)
            given = self.dropout(given)
        by_utterance = (len(memory.mask), -1)
        query, before = (one.unflatten(0, by_utterance) for one in (given, rows.before))
        taken, weights = self.look(query, memory, before)
        both = torch.cat((given, taken.flatten(0, 1)), dim=-1)
        mixed = self.dropout(torch.tanh(self.mix(both)))
        after_rows = RecurrentState(
            hidden=torch.stack(hidden, dim=1),
            cell=torch.stack(cells, dim=1) if cells else rows.cell,
            fed=mixed if self.config.input_feeding else rows.fed,
            before=weights[:, 0].flatten(0, 1) if self.look.looks_back else rows.before,
        )
        return mixed, weights, after_rows
