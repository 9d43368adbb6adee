"""Encoders, decoders, the CTC head, and the model folder that holds them."""

from asr.model import conformer, transformer_decoder  # noqa: F401 (importing registers them)
from asr.model.protocols import FULL_CONTEXT, ChunkContext, Decoder, Encoder
from asr.model.speech_model import ModelConfig, SpeechModel

__all__ = [
    "FULL_CONTEXT",
    "ChunkContext",
    "Decoder",
    "Encoder",
    "ModelConfig",
    "SpeechModel",
]
