"""A language model of LSTM layers (Hochreiter and Schmidhuber 1997; Sundermeyer et al. 2012)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from asr.config import TypedConfig
from asr.lm.protocol import NeuralLanguageModel
from asr.model.layers import Dropout
from asr.model.states import per_row


class LSTMConfig(TypedConfig):
    """`embedding` is the width in which labels go in, `dim` that of the layers."""

    type: Literal["lstm"] = "lstm"
    layers: int = Field(default=2, ge=1)
    dim: int = Field(default=512, ge=1)
    embedding: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


@dataclass(frozen=True)
class LSTMState:
    """N texts; `hidden` and `cell` are (N, layers, D)."""

    hidden: Tensor
    cell: Tensor


class LSTM(NeuralLanguageModel):
    """Embedding, `layers` LSTMs, and a matrix to the labels."""

    def __init__(self, config: LSTMConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(vocabulary, config.embedding)
        widths = [config.embedding] + [config.dim] * (config.layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(w, config.dim, batch_first=True) for w in widths)
        self.dropout = Dropout(config.dropout)
        self.to_logits = nn.Linear(config.dim, vocabulary)
        for name, weight in self.layers.named_parameters():
            if "bias_ih" in name:  # input, forget, cell, output: remember unless told otherwise
                nn.init.ones_(weight[config.dim : 2 * config.dim])

    def forward(self, tokens: Tensor) -> Tensor:
        """See `NeuralLanguageModel.forward`."""
        rows = self.dropout(self.embedding(tokens))
        for layer in self.layers:
            rows = self.dropout(layer(rows)[0])
        return self.to_logits(rows)

    def initial_state(self, batch: int) -> LSTMState:
        """See `LanguageModel.initial_state`."""
        weight = self.to_logits.weight
        nothing = weight.new_zeros(batch, self.config.layers, self.config.dim)
        return LSTMState(nothing, nothing)

    def step(self, tokens: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """See `LanguageModel.step`."""
        rows = self.embedding(tokens)
        hidden, cell = [], []
        for place, layer in enumerate(self.layers):
            before = (state.hidden[:, place], state.cell[:, place])
            # Called for one label, nn.LSTM spends most of its time on packing its weights.
            rows, c = torch.lstm_cell(rows, before, *layer.parameters())
            hidden.append(rows)
            cell.append(c)
        log_probs = self.to_logits(rows).log_softmax(dim=-1)
        return log_probs, LSTMState(torch.stack(hidden, 1), torch.stack(cell, 1))

    def prime(self, tokens: Tensor, counts: Tensor) -> tuple[Tensor, LSTMState]:
        """See `LanguageModel.prime`. Rows end where their labels do: packed sequences."""
        rows: PackedSequence = pack_padded_sequence(
            self.embedding(tokens),
            per_row(counts, tokens).cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        hidden, cell = [], []
        for layer in self.layers:
            rows, (h, c) = layer(rows)
            hidden.append(h[0])
            cell.append(c[0])
        padded, _ = pad_packed_sequence(rows, batch_first=True, total_length=tokens.shape[1])
        log_probs = self.to_logits(padded).log_softmax(dim=-1)
        return log_probs, LSTMState(torch.stack(hidden, 1), torch.stack(cell, 1))

    def reorder(self, state: LSTMState, parents: Tensor) -> LSTMState:
        """See `LanguageModel.reorder`."""
        return LSTMState(state.hidden[parents], state.cell[parents])
