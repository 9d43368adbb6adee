"""The usual pair of scorers, attention and CTC, and which of them a model has."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from asr.errors import ModelError
from asr.model.protocols import Decoder
from asr.search.attention import AttentionScorer
from asr.search.config import SearchConfig
from asr.search.ctc import CTCPrefixScorer
from asr.search.protocol import WeightedScorer


class JointModel(Protocol):
    """What a model with an attention decoder, a CTC head, or both, shows to the search."""

    @property
    def decoder(self) -> Decoder | None:
        """The attention decoder, None for a pure CTC model."""
        ...

    @property
    def ctc(self) -> Any:
        """The CTC head, None for a pure attention model."""
        ...

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """Memory (B, M, D) to log posteriors (B, M, V); not called where CTC has no weight."""
        ...


def fitting(config: SearchConfig, model: JointModel) -> SearchConfig:
    """`config` as far as `model` can do it: where one half is missing, the other decides alone."""
    if model.decoder is None:
        return config.model_copy(update={"ctc_weight": 1.0})
    return config if model.ctc is not None else config.model_copy(update={"ctc_weight": 0.0})


def joint_scorers(model: JointModel, ctc_weight: float) -> list[WeightedScorer]:
    """The scorers `attention` and `ctc`, which share the weight 1; one of weight 0 is left out.

    Raises:
        ModelError: attention has a weight, but the model has no decoder.
    """
    scorers = []
    if ctc_weight < 1:
        if model.decoder is None:
            raise ModelError("this model was trained without a decoder; use a CTC weight of 1")
        scorers.append(WeightedScorer("attention", AttentionScorer(model.decoder), 1 - ctc_weight))
    if ctc_weight > 0:
        scorers.append(WeightedScorer("ctc", CTCPrefixScorer(model.ctc_log_probs), ctc_weight))
    return scorers
