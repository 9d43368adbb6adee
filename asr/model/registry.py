"""Encoders and decoders by the short names that recipes use.

A new one is a file with one class and one decorator, imported in `asr/model/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from asr.config import TypedConfig, parse_typed
from asr.model.protocols import Decoder, Encoder


@dataclass(frozen=True)
class Registration:
    """A registered class and the configuration that it is built from."""

    config: type[TypedConfig]
    module: Callable[..., Any]


ENCODERS: dict[str, Registration] = {}
DECODERS: dict[str, Registration] = {}
E = TypeVar("E", bound=type[Encoder])
D = TypeVar("D", bound=type[Decoder])


def register_encoder(name: str, config: type[TypedConfig]) -> Callable[[E], E]:
    """Makes `type: name` in a recipe build this class as `cls(config, mels, feature_seconds)`."""

    def keep(module: E) -> E:
        ENCODERS[name] = Registration(config, module)
        return module

    return keep


def register_decoder(name: str, config: type[TypedConfig]) -> Callable[[D], D]:
    """Makes `type: name` in a recipe build this class as `cls(config, vocabulary, memory_dim)`."""

    def keep(module: D) -> D:
        DECODERS[name] = Registration(config, module)
        return module

    return keep


def encoder_config(values: Any) -> TypedConfig:
    """The configuration of the encoder that `values` describe; see `parse_typed`."""
    known = {name: one.config for name, one in ENCODERS.items()}
    return parse_typed("encoder", known, values, usual="conformer")


def decoder_config(values: Any) -> TypedConfig:
    """The configuration of the decoder that `values` describe; see `parse_typed`."""
    known = {name: one.config for name, one in DECODERS.items()}
    return parse_typed("decoder", known, values, usual="transformer")
