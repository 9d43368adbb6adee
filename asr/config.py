"""Strict configuration: every key is known, every value is in range, every mistake is named.

A configuration class derives from `Config`. `parse` turns a mapping (from YAML, JSON or the
command line) into one, and pydantic's findings into a `ConfigError` that a person can act on.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from asr.errors import ConfigError


class Config(BaseModel):
    """Base of all configurations: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Options(Config):
    """Base of the configurations that are built in Python: their mistakes are ConfigErrors too."""

    source: ClassVar[str] = "options"
    """What messages call it."""

    def __init__(self, **values: Any) -> None:
        """Checks the values.

        Raises:
            ConfigError: as `parse`.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise config_error(type(self), values, error, self.source) from None

    # As pydantic's own classes that define `__init__`: it is not called for a part of another
    # configuration, whose error names the path to the mistake, nor by `parse`.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


class TypedConfig(Config):
    """A configuration whose `type` says which of several classes it is of; see `parse_typed`."""

    type: str


C = TypeVar("C", bound=Config)
T = TypeVar("T", bound=TypedConfig)


def parse(cls: type[C], values: Mapping[str, Any], source: str) -> C:
    """Builds a `cls` from plain values; `source` names the file or option in messages.

    Raises:
        ConfigError: a key is unknown (the nearest known one is named), or a value has the wrong
            type or is out of range (what is allowed is named). All mistakes are in one message.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise config_error(cls, values, error, source) from None
    except ConfigError as error:  # of a part that was parsed by its registered type
        raise ConfigError(f"{source}: {error}") from None


def config_error(
    cls: type[Config], values: Mapping[str, Any], error: ValidationError, source: str
) -> ConfigError:
    """Pydantic's error about `values` of a `cls` as one that a person can act on; see `parse`."""
    problems = [_explain(cls, values, problem) for problem in error.errors()]
    return ConfigError(f"{source}: " + "; ".join(problems))


def parse_typed(
    kind: str, known: Mapping[str, type[T]], values: Any, usual: str | None = None
) -> T:
    """Builds the one of the `known` classes that the key `type` of `values` names.

    Args:
        kind: what it is the configuration of, for messages: `encoder`, `schedule` ...
        values: a mapping, or a configuration that has been built already.
        usual: the type of a mapping that names none.

    Raises:
        ConfigError: no such type (the nearest known one is named), or as `parse`.
    """
    if isinstance(values, TypedConfig):
        return values  # type: ignore[return-value]
    if usual is not None and isinstance(values, Mapping):
        values = {"type": usual, **values}
    if not isinstance(values, Mapping) or "type" not in values:
        raise ConfigError(f"{kind}: needs 'type', one of: {', '.join(sorted(known))}")
    name = str(values["type"])
    if name not in known:
        raise ConfigError(f"{kind}.type: no {kind} is called '{name}', {_hint(name, known)}")
    return parse(known[name], values, kind)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, for `parse`.

    Raises:
        ConfigError: it cannot be read, or is not YAML, or holds something else.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no keys and values; write lines such as 'key: value'")
    return values


def override(values: dict[str, Any], text: str) -> None:
    """Sets one key of plain values, in place: `a.b=value`, where the value is YAML.

    Raises:
        ConfigError: it is written in another way.
    """
    key, equals, value = text.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override '{text}': write key.sub=value")
    for part in parts[:-1]:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = values[part] = {}
        values = inner
    try:
        values[parts[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"override '{text}': the value is not YAML: {reason}") from None


def to_yaml(config: Config) -> str:
    """A configuration as `read_yaml` and `parse` take it back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known := sorted(known), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


#: What is allowed, in the terms of YAML, by the types of Pydantic's errors that name Python's.
_FORMS = {
    "tuple_type": "must be a list: [a, b]",
    "list_type": "must be a list: [a, b]",
    "dict_type": "must be a mapping: {key: value}",
    "model_type": "must be a mapping: {key: value}",
}


def _explain(cls: type[Config], values: Mapping[str, Any], problem: Any) -> str:
    path: Sequence[str | int] = problem["loc"]
    key = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}', {_hint(str(path[-1]), _fields_at(cls, path[:-1]))}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    message = _FORMS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    return f"key '{key}': {message} (got {problem['input']!r})" if key else message


def _fields_at(cls: type[Config], path: Sequence[str | int]) -> set[str]:
    """Names of the fields of the configuration that `path` leads to, looking into unions."""
    classes: list[type[Config]] = [cls]
    for part in path:
        inner = [
            nested
            for config in classes
            if str(part) in config.model_fields
            for nested in _configs_in(config.model_fields[str(part)].annotation)
        ]
        classes = inner or classes  # a list index or a union tag: stay where we are
    return {name for config in classes for name in config.model_fields}


def _configs_in(annotation: Any) -> list[type[Config]]:
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return [nested for arg in typing.get_args(annotation) for nested in _configs_in(arg)]
    return []


_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_WRITTEN = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")


def seconds_of(text: str) -> float:
    """`1h30m` to 5400.0; a bare number counts as seconds.

    Raises:
        ValueError: it is written in no such way.
    """
    compact = text.replace(" ", "").lower()
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        return float(compact)
    if not _WRITTEN.fullmatch(compact):
        raise ValueError(f"'{text}' is no length of time; write 90s, 20m or 1h30m")
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", compact)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """5400.0 to `1:30:00`, 75 to `1:15`."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _parsed(value: Any) -> Any:
    return seconds_of(value) if isinstance(value, str) else value


#: A key of a configuration that is seconds, or text such as `20m`.
Duration = Annotated[float, BeforeValidator(_parsed)]
