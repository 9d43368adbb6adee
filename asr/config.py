"""Strict configuration: every key is known, every value is in range, every mistake is named.

A configuration class derives from `Config`. `parse` turns a mapping (from YAML, JSON or the
command line) into one, and pydantic's errors into a `ConfigError` that a person can act on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from asr.errors import ConfigError, shortened
from asr.mistakes import LIKE_A_TYPE, SHOWN, Mistake, PartError, hint_for, listed, mistakes_of


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

    In a validator of another configuration it raises `PartError`, whose keys are then named with
    the whole path.

    Raises:
        ConfigError: a key is unknown (the nearest known one is named), or a value has the wrong
            type or is out of range (what is allowed is named). All mistakes are in one message.
    """
    try:
        return parse_part(cls, values, source)
    except PartError as error:
        raise ConfigError(str(error)) from None
    except ConfigError as error:  # of a validator
        raise ConfigError(f"{source}: {error}") from None


def parse_part(cls: type[C], values: Any, name: str) -> C:
    """The same for validators: mistakes are named with the path of the part.

    Raises:
        PartError: as `parse`.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise PartError(name, mistakes_of(cls, values, error)) from None


def config_error(
    cls: type[Config], values: Mapping[str, Any], error: ValidationError, source: str
) -> ConfigError:
    """Pydantic's error about `values` of a `cls` as one that a person can act on; see `parse`."""
    return ConfigError(f"{source}: {listed(mistakes_of(cls, values, error))}")


def parse_typed(
    kind: str, known: Mapping[str, type[T]], values: Any, usual: str | None = None
) -> T:
    """Builds the one of the `known` classes that the key `type` of `values` names.

    Args:
        kind: what it is the configuration of, for messages: `encoder`, `schedule` ...
        values: a mapping, or a configuration that has been built already.
        usual: the type of a mapping that names none.

    Raises:
        PartError: no such type (what there is, or one that is spelled alike, is named), or as
            `parse_part`.
    """
    if isinstance(values, TypedConfig):
        return values  # type: ignore[return-value]
    if usual is not None and isinstance(values, Mapping):
        values = {"type": usual, **values}
    if not isinstance(values, Mapping) or "type" not in values:
        why = f": needs 'type', one of: {', '.join(sorted(known))}"
        raise PartError(kind, [Mistake((), "key", why)])
    name = str(values["type"])
    if name not in known:
        hint = hint_for(name, known, cutoff=LIKE_A_TYPE)
        why = f": no {kind} is called '{shortened(name, SHOWN)}', {hint}"
        raise PartError(kind, [Mistake(("type",), "key", why)])
    return parse_part(known[name], values, kind)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, for `parse`.

    Raises:
        ConfigError: it cannot be read, or is not YAML, has a key twice, or holds something else.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text at byte {error.start + 1}; save the file as UTF-8"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_yaml_place(error)}: {_yaml_reason(error)}") from None
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
        values[parts[-1]] = yaml.load(value, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{text}': the value: {_yaml_reason(error)}") from None


def to_yaml(config: Config) -> str:
    """A configuration as `read_yaml` and `parse` take it back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """YAML in which no mapping has a key twice: the last one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node.

        Raises:
            yaml.constructor.ConstructorError: it has a key twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    reason = f"key '{key.value}' is there twice; leave one of them out"
                    raise yaml.constructor.ConstructorError(None, None, reason, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _yaml_place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""


def _yaml_reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.constructor.ConstructorError):
        return str(error.problem)
    problem = getattr(error, "problem", None) or getattr(error, "reason", "")
    if "'\\t'" in str(problem):
        problem = "a tab; indent with spaces"
    return f"not YAML: {problem}" if problem else "not YAML"


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
