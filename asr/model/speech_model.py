"""SpeechModel: front end, encoder, CTC head and decoder, as one set of weights."""

from __future__ import annotations

from typing import Annotated, Any

import torch.nn.functional as F
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Tensor, nn

from asr.config import Config, TypedConfig
from asr.errors import ModelError
from asr.frontend import FrontendConfig, GlobalNorm, LogMel
from asr.model.protocols import FULL_CONTEXT, ChunkContext, Decoder, Encoder
from asr.model.registry import DECODERS, ENCODERS, decoder_config, encoder_config


def _decoder_or_none(values: Any) -> TypedConfig | None:
    return None if values is None else decoder_config(values)


class ModelConfig(Config):
    """What a model is made of; `encoder` and `decoder` name their registered `type`.

    `decoder: null` is a pure CTC model, `ctc: false` a pure attention model.

    Attributes:
        ctc: whether there is a CTC head.
        intermediate_ctc: encoder layers, counted from 1, that get a CTC loss of their own in
            training.
    """

    frontend: FrontendConfig = FrontendConfig()
    encoder: Annotated[SerializeAsAny[TypedConfig], BeforeValidator(encoder_config)] = Field(
        default_factory=lambda: encoder_config({"type": "conformer"})
    )
    decoder: Annotated[SerializeAsAny[TypedConfig] | None, BeforeValidator(_decoder_or_none)] = (
        Field(default_factory=lambda: decoder_config({"type": "transformer"}))
    )
    ctc: bool = True
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


class SpeechModel(nn.Module):
    """Samples to memory, memory to CTC posteriors and decoder predictions."""

    def __init__(self, config: ModelConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.frontend = LogMel(config.frontend)
        self.norm = GlobalNorm(config.frontend.mels)
        encoder = ENCODERS[config.encoder.type]
        self.encoder: Encoder = encoder.module(
            config.encoder, config.frontend.mels, config.frontend.hop_seconds
        )
        self.ctc = nn.Linear(self.encoder.dim, vocabulary) if config.ctc else None
        self.decoder: Decoder | None = None
        if config.decoder is not None:
            decoder = DECODERS[config.decoder.type]
            self.decoder = decoder.module(config.decoder, vocabulary, self.encoder.dim)

    @property
    def sample_rate(self) -> int:
        """Samples per second that the model was made for."""
        return self.config.frontend.sample_rate

    def features(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (B, N) in [-1, 1] to normalised log-mel features (B, T, F) and lengths (B,)."""
        features, lengths = self.frontend(samples, lengths)
        return self.norm(features), lengths

    def encode(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) to memory (B, M, D) and lengths (B,).

        Raises:
            ModelError: the encoder cannot honour `context`.
        """
        return self.encoder(features, lengths, context)

    def encode_tapped(
        self, features: Tensor, lengths: Tensor, context: ChunkContext = FULL_CONTEXT
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """`encode`, with the memory (B, M, D) at each layer of `intermediate_ctc`: for training."""
        return self.encoder.forward_tapped(features, lengths, context, self.config.intermediate_ctc)

    def ctc_log_probs(self, memory: Tensor) -> Tensor:
        """Memory (B, M, D) to log posteriors (B, M, V) of labels and blank, in float32.

        Raises:
            ModelError: this model has no CTC head.
        """
        if self.ctc is None:
            raise ModelError("this model was trained without CTC; use a CTC weight of 0")
        return F.log_softmax(self.ctc(memory).float(), dim=-1)
