"""The usual scorers: attention and CTC, with a language model beside them; what a model has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from torch import Tensor

from asr.errors import ModelError
from asr.lm.protocol import LanguageModel
from asr.model.protocols import Decoder
from asr.search.attention import AttentionScorer
from asr.search.config import SearchConfig
from asr.search.ctc import CachedCTCScorer, CTCPrefixScorer
from asr.search.ctc_constraint import CTCConstrainedScorer
from asr.search.hotwords import HotwordScorer
from asr.search.lm import InternalLMScorer, LanguageModelScorer, LengthScorer
from asr.search.phrases import PhraseTree
from asr.search.protocol import Scorer, WeightedScorer
from asr.search.repeats import RepeatLimited
from asr.search.shared import SharedScorer
from asr.search.speech_limit import SpeechLimit, SpeechLimitedScorer
from asr.search.timestamps import TimestampScorer
from asr.text.tokenizer import Labels


class JointModel(Protocol):
    """What the search uses of a model with an attention decoder, a CTC head, or both."""

    @property
    def decoder(self) -> Decoder | None:
        """The attention decoder, None for a pure CTC model."""
        ...

    @property
    def vocabulary(self) -> int:
        """Number of labels."""
        ...

    @property
    def ctc(self) -> Any:
        """The CTC head, None for a pure attention model."""
        ...

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """Memory (B, M, D) to log posteriors (B, M, V); not called where CTC has no weight."""
        ...


def fitting(
    config: SearchConfig, model: JointModel, lm: LanguageModel | None = None
) -> SearchConfig:
    """`config` as far as `model` can do it: where one half is missing, the other decides alone.

    Without `lm` no language model is added, and the internal one is not subtracted.
    """
    changes: dict[str, float] = {}
    if model.decoder is None:
        changes |= {"ctc_weight": 1.0, "ilm_weight": 0.0}
    elif model.ctc is None:
        changes |= {"ctc_weight": 0.0}
    if lm is None:
        changes |= {"lm_weight": 0.0, "ilm_weight": 0.0}
    return config.model_copy(update=changes)


def joint_scorers(
    model: JointModel, labels: Labels, ctc_weight: float, prompt: Sequence[int] = ()
) -> list[WeightedScorer]:
    """The scorers `attention` and `ctc`, which share the weight 1; one of weight 0 is left out.

    `prompt` is for attention; see `AttentionScorer`. Where labels write time stamps, attention
    follows the rules for them (`TimestampScorer`).

    Raises:
        ModelError: attention has a weight, but the model has no decoder; or CTC has, but there is
            no blank label.
    """
    scorers = []
    if ctc_weight < 1:
        if model.decoder is None:
            raise ModelError("this model was trained without a decoder; use a CTC weight of 1")
        attention: Scorer = AttentionScorer(model.decoder, labels, prompt)
        if labels.writes_timestamps:
            attention = TimestampScorer(attention, labels)
        scorers.append(WeightedScorer("attention", attention, 1 - ctc_weight))
    if ctc_weight > 0:
        ctc = CTCPrefixScorer(model.ctc_log_probs, labels.ctc_blank)
        scorers.append(WeightedScorer("ctc", ctc, ctc_weight))
    return scorers


def all_scorers(
    model: JointModel,
    labels: Labels,
    config: SearchConfig,
    lm: LanguageModel | None = None,
    hotwords: PhraseTree | None = None,
    prompt: Sequence[int] = (),
    limit: SpeechLimit | None = None,
) -> list[WeightedScorer]:
    """Those of `joint_scorers`, and `lm`, `ilm`, `hotwords` and `length` where they have a weight.

    With `config.heard_only` no label is written that CTC does not support, or, in a model without
    CTC, that makes a loop; and no hypothesis has fewer or more letters than `limit` allows. The
    internal language model is subtracted (`ilm`) only where `lm` is added. The scorers are for one
    search.

    Raises:
        ModelError: something has a weight that the model does not have.
    """
    scorers = joint_scorers(model, labels, config.ctc_weight, prompt)
    has_ctc = config.ctc_weight > 0 or model.ctc is not None
    ctc = CachedCTCScorer(model.ctc_log_probs, labels.ctc_blank) if has_ctc else None
    if ctc is not None and config.ctc_weight > 0:
        scorers[-1] = replace(scorers[-1], scorer=ctc)
    hotwords = hotwords if config.hotword_weight else None
    attention = None
    if ctc is None and hotwords is not None:
        attention = SharedScorer(scorers[-1].scorer)
        scorers[-1] = replace(scorers[-1], scorer=attention)
    if config.heard_only:
        last = scorers[-1].scorer
        limited: Scorer = RepeatLimited(last) if ctc is None else CTCConstrainedScorer(last, ctc)
        if limit is not None:
            limited = SpeechLimitedScorer(limited, limit)
        scorers[-1] = replace(scorers[-1], scorer=limited)
    if config.lm_weight and lm is not None:
        scorers.append(WeightedScorer("lm", LanguageModelScorer(lm, labels), config.lm_weight))
        if config.ilm_weight:
            scorers.append(_internal(model, labels, config.ilm_weight))
    if hotwords is not None:
        boost = HotwordScorer(hotwords, ctc, attention, config.hotword_weight)
        scorers.append(WeightedScorer("hotwords", boost, config.hotword_weight))
    if config.length_reward:
        scorers.append(
            WeightedScorer("length", LengthScorer(model.vocabulary), config.length_reward)
        )
    return scorers


def _internal(model: JointModel, labels: Labels, weight: float) -> WeightedScorer:
    """What subtracts the decoder's internal language model."""
    if model.decoder is None:
        raise ModelError("this model was trained without a decoder; use an ILM weight of 0")
    return WeightedScorer("ilm", InternalLMScorer(model.decoder, labels), weight)
