"""Classes by the short names that configurations choose them by (`type: conformer`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from asr.config import TypedConfig, parse_typed

M = TypeVar("M")
Cls = TypeVar("Cls", bound=type)


@dataclass(frozen=True)
class Registration:
    """A registered class and the configuration that it is built from."""

    config: type[TypedConfig]
    module: Callable[..., Any]


class Registry(Generic[M]):
    """The registered classes of one part of a model.

    Args:
        part: what they are, for messages: `encoder`, `decoder`, `frontend`.
        default: the type of a configuration that names none.
    """

    def __init__(self, part: str, default: str) -> None:
        self.part = part
        self.default = default
        self._known: dict[str, Registration] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    @property
    def configs(self) -> dict[str, type[TypedConfig]]:
        """The configuration class of each type."""
        return {name: known.config for name, known in self._known.items()}

    def register(self, name: str, config: type[TypedConfig]) -> Callable[[Cls], Cls]:
        """Makes `type: name` build the decorated class as `cls(config, ...)`."""

        def keep(module: Cls) -> Cls:
            self._known[name] = Registration(config, module)
            return module

        return keep

    def config(self, values: Any) -> TypedConfig:
        """The configuration that `values` describe; see `parse_typed`."""
        return parse_typed(self.part, self.configs, values, usual=self.default)

    def build(self, config: TypedConfig, *sizes: Any) -> M:
        """A new instance of the class that `config.type` names."""
        module: M = self._known[config.type].module(config, *sizes)
        return module
