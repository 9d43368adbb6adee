"""SpeechModel: front end, encoder, CTC head and decoder, as one set of weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch.nn.functional as F
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Tensor, nn

from asr.config import Config, TypedConfig
from asr.errors import ModelError
from asr.frontend import FRONTENDS, FrontendConfig, GlobalNorm, frontend_config
from asr.model.padding import encode_rows
from asr.model.protocols import FULL_CONTEXT, ASRModel, ChunkContext
from asr.model.registry import DECODERS, ENCODERS, decoder_config, encoder_config
from asr.model.tied_ctc import TiedCTC


def _decoder_or_none(values: Any) -> TypedConfig | None:
    return None if values is None else decoder_config(values)


class ModelConfig(Config):
    """What a model is made of; `frontend`, `encoder` and `decoder` name their registered `type`.

    `decoder: null` is a pure CTC model, `ctc: false` a pure attention model.

    Attributes:
        ctc: whether there is a CTC head; `tied`: one that uses the decoder's vectors of labels
            (`TiedCTC`; decoder `whisper`).
        intermediate_ctc: encoder layers, counted from 1, that get a CTC loss of their own in
            training.
    """

    frontend: Annotated[SerializeAsAny[FrontendConfig], BeforeValidator(frontend_config)] = Field(
        default_factory=lambda: frontend_config({})
    )
    encoder: Annotated[SerializeAsAny[TypedConfig], BeforeValidator(encoder_config)] = Field(
        default_factory=lambda: encoder_config({"type": "conformer"})
    )
    decoder: Annotated[SerializeAsAny[TypedConfig] | None, BeforeValidator(_decoder_or_none)] = (
        Field(default_factory=lambda: decoder_config({"type": "transformer"}))
    )
    ctc: bool | Literal["tied"] = True
    intermediate_ctc: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> ModelConfig:
        if self.decoder is None and not self.ctc:
            raise ValueError("a model needs a decoder, ctc, or both")
        if self.intermediate_ctc and not self.ctc:
            raise ValueError("intermediate_ctc needs ctc: true")
        layers = getattr(self.encoder, "layers", None)
        wrong = [n for n in self.intermediate_ctc if n < 1 or (layers is not None and n >= layers)]
        if wrong:
            raise ValueError(f"intermediate_ctc {wrong}: layers are counted 1 to {layers} - 1")
        return self


class SpeechModel(ASRModel):
    """A model built of registered parts, as a recipe configures it and training trains it."""

    def __init__(self, config: ModelConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.frontend = FRONTENDS.build(config.frontend)
        dim, hop_seconds = self.frontend.dim, self.frontend.hop_seconds
        self.norm = GlobalNorm(dim) if self.frontend.global_norm else nn.Identity()
        self.encoder = ENCODERS.build(config.encoder, dim, hop_seconds)
        # in this order: what is drawn from a seed stays the same
        self.ctc: nn.Linear | TiedCTC | None = None
        if config.ctc is True:
            self.ctc = nn.Linear(self.encoder.dim, vocabulary)
        self.decoder = None
        if config.decoder is not None:
            self.decoder = DECODERS.build(config.decoder, vocabulary, self.encoder.dim)
        if config.ctc == "tied":
            self.ctc = TiedCTC(self.encoder.dim, self._label_vectors.shape[1], vocabulary)

    @property
    def _label_vectors(self) -> Tensor:
        """The decoder's vectors (V, E) of labels."""
        vectors = None if self.decoder is None else self.decoder.label_vectors
        if vectors is None:
            raise ModelError(
                "model.ctc is tied, but this decoder has no vectors of labels that also predict "
                "them; take the decoder whisper, or ctc: true"
            )
        return vectors

    def set_statistics(self, mean: Tensor, inverse_std: Tensor) -> None:
        """Takes over statistics of the corpus, (F,) each, for a front end that asks for them."""
        assert isinstance(self.norm, GlobalNorm)
        self.norm.set(mean, inverse_std)

    def normalise(self, features: Tensor) -> Tensor:
        """See `ASRModel.normalise`; with the statistics of the corpus where the front end asks."""
        return super().normalise(self.norm(features))

    def encode_tapped(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """`encode`, with the memory (B, M, D) at each layer of `intermediate_ctc`: for training."""
        taps, encoder = self.config.intermediate_ctc, self.encoder
        if encoder.padding_invariant:
            return encoder.forward_tapped(features, lengths, context, taps)
        return encode_rows(
            lambda rows, sizes: encoder.forward_tapped(rows, sizes, context, taps),
            features,
            lengths,
        )

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """Memory (B, M, D) to log posteriors (B, M, V): see `ASRModel.ctc_log_probs`."""
        if self.ctc is None:
            raise ModelError("this model was trained without CTC; use a CTC weight of 0")
        if isinstance(self.ctc, TiedCTC):
            logits = self.ctc(memory, self._label_vectors)
        else:
            logits = self.ctc(memory)
        return F.log_softmax(logits.float(), dim=-1)
