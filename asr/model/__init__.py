"""Encoders, decoders, the CTC head, and the model folder that holds them."""

from asr.model import (  # noqa: F401 (importing registers them)
    conformer,
    recurrent,
    recurrent_decoder,
    transformer_decoder,
    transformer_encoder,
    whisper,
)
from asr.model.protocols import (
    FULL_CONTEXT,
    ASRModel,
    ChunkContext,
    Decoder,
    Encoder,
    StreamingEncoder,
)
from asr.model.speech_model import ModelConfig, SpeechModel

__all__ = [
    "FULL_CONTEXT",
    "ASRModel",
    "ChunkContext",
    "Decoder",
    "Encoder",
    "ModelConfig",
    "SpeechModel",
    "StreamingEncoder",
]
