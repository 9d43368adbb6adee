"""Encoders and decoders by the short names that recipes use.

A new one is a file with one class and one decorator, imported in `asr/model/__init__.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from asr.config import Config, parse
from asr.errors import ConfigError
from asr.model.protocols import Decoder, Encoder


@dataclass(frozen=True)
class Entry:
    """A registered class and the configuration that it is built from."""

    config: type[Config]
    module: Callable[..., Any]


ENCODERS: dict[str, Entry] = {}
DECODERS: dict[str, Entry] = {}
E = TypeVar("E", bound=type[Encoder])
D = TypeVar("D", bound=type[Decoder])


def register_encoder(name: str, config: type[Config]) -> Callable[[E], E]:
    """Makes `type: name` in a recipe build this class as `cls(config, mels, feature_seconds)`."""

    def keep(module: E) -> E:
        ENCODERS[name] = Entry(config, module)
        return module

    return keep


def register_decoder(name: str, config: type[Config]) -> Callable[[D], D]:
    """Makes `type: name` in a recipe build this class as `cls(config, vocabulary, memory_dim)`."""

    def keep(module: D) -> D:
        DECODERS[name] = Entry(config, module)
        return module

    return keep


def config_of(kind: str, registry: Mapping[str, Entry], values: Any) -> Config:
    """The configuration that a mapping with a `type` key describes.

    Raises:
        ConfigError: no such type, or a mistake in its configuration.
    """
    if isinstance(values, Config):
        return values
    if not isinstance(values, Mapping) or "type" not in values:
        raise ConfigError(f"{kind}: needs 'type', one of: {', '.join(sorted(registry))}")
    name = str(values["type"])
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError(
            f"{kind}.type: no {kind} is called '{name}'; {hint}known: {', '.join(sorted(registry))}"
        )
    return parse(registry[name].config, values, kind)
