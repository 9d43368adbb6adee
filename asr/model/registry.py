"""Encoders and decoders by the short names that recipes use.

A new one is a file with one class and one decorator, imported in `asr/model/__init__.py`.
"""

from __future__ import annotations

from typing import Any

from asr.config import TypedConfig
from asr.model.protocols import Decoder, Encoder
from asr.registry import Registry

ENCODERS: Registry[Encoder] = Registry("encoder", default="conformer")
DECODERS: Registry[Decoder] = Registry("decoder", default="transformer")

#: Makes `type: name` in a recipe build the class as `cls(config, feature_dim, feature_seconds)`.
register_encoder = ENCODERS.register
#: Makes `type: name` in a recipe build the class as `cls(config, vocabulary, memory_dim)`.
register_decoder = DECODERS.register


def encoder_config(values: Any) -> TypedConfig:
    """The configuration of the encoder that `values` describe; see `parse_typed`."""
    return ENCODERS.config(values)


def decoder_config(values: Any) -> TypedConfig:
    """The configuration of the decoder that `values` describe; see `parse_typed`."""
    return DECODERS.config(values)
