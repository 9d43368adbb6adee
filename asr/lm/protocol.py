"""What a language model is, whatever is inside: the search and training know only this.

A text is a sequence of the tokenizer's labels that its end label (`asr.text.Labels.end`) starts and
ends. State belongs to the
caller, as that of a decoder does (`asr.model.protocols`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class LanguageModel(nn.Module, ABC):
    """Predicts the next label from the labels so far."""

    vocabulary: int
    """Number of labels, the special ones included."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(tensor.device for tensor in self.state_dict().values())

    @abstractmethod
    def initial_state(self, batch: int) -> Any:
        """The state of `batch` empty texts, before the end label is fed."""

    @abstractmethod
    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Feeds one label to each row.

        Args:
            tokens: (N,) the last label of each row (the end label to start).
            state: of N rows; rows of one text's hypotheses are contiguous.

        Returns:
            log_probs (N, V) of the next label, and the next state.
        """

    @abstractmethod
    def prime(self, tokens: Tensor, counts: Tensor) -> tuple[Tensor, Any]:
        """Starts behind given labels: what stepping through them from `initial_state` gives.

        Args:
            tokens: (N, U) the labels so far, the first of them the end; padding may hold any label.
                N = B x rows per text; the rows of a text are contiguous.
            counts: (B,) how many labels the rows of each text have, the end counted: at least 1.

        Returns:
            log_probs (N, U, V) of the label after each of `tokens` (anything in the padding), and
            the state behind the last label of each row.
        """

    @abstractmethod
    def reorder(self, state: Any, parents: Tensor) -> Any:
        """The state whose row i continues row `parents[i]` (N',) of `state`."""


class NeuralLanguageModel(LanguageModel):
    """A language model that is trained by gradients."""

    @abstractmethod
    def forward(self, tokens: Tensor) -> Tensor:
        """Teacher forcing: labels (B, U) that begin with the end to logits (B, U, V).

        Position u predicts the label after tokens[:, u] and sees nothing behind it, so padding
        at the end changes nothing before it.
        """
