"""Every key of a recipe with its default, what it may be, and what it means.

All of it is read off the configuration classes: what is told is what is checked.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types
import yaml
from pydantic.fields import FieldInfo

from asr.config import Config, TypedConfig
from asr.data.config import CorpusSource
from asr.frontend import FRONTENDS
from asr.model.registry import DECODERS, ENCODERS
from asr.train.optimizer import SCHEDULES
from asr.train.recipe import Recipe

#: Keys whose `type` says which class they are of.
TYPED: Mapping[str, Callable[[], Mapping[str, type[TypedConfig]]]] = {
    "model.frontend": lambda: FRONTENDS.configs,
    "model.encoder": lambda: ENCODERS.configs,
    "model.decoder": lambda: DECODERS.configs,
    "schedule": lambda: SCHEDULES,
}
REQUIRED = "required"
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}


@dataclass(frozen=True)
class Key:
    """One key: its dotted name, default (as YAML), what is allowed, and the meaning."""

    name: str
    default: str
    allowed: str
    meaning: str


def recipe_keys() -> list[Key]:
    """All keys of a recipe, in the order of its classes.

    Of the classes that a `type` chooses among, each has its own keys: those of all but the usual
    one are told with their type, `schedule.decay (type: wsd)`.
    """
    return list(_keys(Recipe, ""))


def _keys(cls: type[Config], prefix: str, mark: str = "", whole: Any = None) -> Iterator[Key]:
    """The keys of one class; `whole` is an instance that gives the defaults."""
    for name, field in cls.model_fields.items():
        key = f"{prefix}{name}"
        default = (
            getattr(whole, name)
            if whole is not None
            else field.get_default(call_default_factory=True)
        )
        missing = field.is_required() and whole is None
        if key in TYPED:
            yield from _typed(key, default, mark)
            continue
        inner = _config_of(field.annotation)
        if inner is None or inner is CorpusSource or not _is_section(field.annotation, inner):
            told = REQUIRED if missing else _yaml(default)
            allowed = _allowed(field.annotation, field.metadata)
            yield Key(key + mark, told, allowed, _meaning(cls, name, field))
        if inner is not None:
            below = f"{key}[]." if inner is CorpusSource else f"{key}."
            yield from _keys(inner, below, mark, default if isinstance(default, inner) else None)


def _typed(key: str, default: Any, mark: str) -> Iterator[Key]:
    """The keys of each class that `type` may choose."""
    known = TYPED[key]()
    usual = default.type if isinstance(default, TypedConfig) else next(iter(known))
    yield Key(f"{key}.type{mark}", usual, " | ".join(known), f"which {key.split('.')[-1]} it is")
    shared = set(known[usual].model_fields)
    for name, cls in known.items():
        other = f" (type: {name})" if name != usual else ""
        whole = default if name == usual else cls(type=name)
        for one in _keys(cls, f"{key}.", mark + other, whole):
            inside = one.name.split(" ")[0].removeprefix(f"{key}.").split(".")[0]
            if inside != "type" and not (other and inside in shared):
                yield one


def _config_of(annotation: Any) -> type[Config] | None:
    """The first configuration class in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return annotation
    found = (_config_of(inner) for inner in typing.get_args(annotation))
    return next((one for one in found if one is not None), None)


def _is_section(annotation: Any, inner: type[Config]) -> bool:
    """Whether a key is nothing but what stands below it: it is never null or something else."""
    return annotation is inner or (
        typing.get_origin(annotation) is Annotated and typing.get_args(annotation)[0] is inner
    )


def _yaml(value: Any) -> str:
    if isinstance(value, Config):
        return "{...}"
    plain = str(value) if isinstance(value, Path) else value
    plain = list(plain) if isinstance(plain, tuple) else plain
    return yaml.safe_dump(plain, default_flow_style=True).removesuffix("...\n").strip()


def _allowed(annotation: Any, metadata: list[Any]) -> str:
    """The type and the limits of a value, in words."""
    told = _type(annotation)
    limits = [text for one in metadata for text in _limits(one)]
    return f"{told}, {', '.join(limits)}" if limits else told


def _limits(one: Any) -> Iterator[str]:
    if isinstance(one, FieldInfo):
        for inner in one.metadata:
            yield from _limits(inner)
    elif isinstance(one, annotated_types.MinLen):
        yield "not empty" if one.min_length == 1 else f"at least {one.min_length} of them"
    for name, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        if hasattr(one, name) and not isinstance(one, FieldInfo) and getattr(one, name) is not None:
            yield f"{words} {getattr(one, name):g}"


def _type(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if annotation is type(None):
        return "null"
    if origin is Annotated:
        return _allowed(inner[0], list(inner[1:]))
    if origin is Literal:
        return " | ".join(str(one) for one in inner)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type(one) for one in inner)
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return f"list of {_type(inner[0])}"
        return f"[{'; '.join(_type(one) for one in inner)}]"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, Config)):
        return "keys and values"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(one.value) for one in annotation)
    return str(getattr(annotation, "__name__", annotation))


def _meaning(cls: type[Config], name: str, field: FieldInfo) -> str:
    """The description of a field, or what the docstring of its class says of it."""
    if field.description:
        return field.description
    text = inspect.cleandoc(cls.__doc__ or "")
    before, _, attributes = text.partition("Attributes:\n")
    for names, told in re.findall(r"^ {4}([\w, ]+): ((?:.|\n {8})*)", attributes, re.MULTILINE):
        if name in names.split(", "):
            return " ".join(told.split())
    inner = _config_of(field.annotation)
    if f"`{name}`" not in before and inner is not None:
        return _first_sentence(inner)
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(before.split()))
    word = re.compile(rf"`{name}`|\b{name}\b" if "_" in name else f"`{name}`")
    return " ".join(one for one in sentences if word.search(one)) or _first_sentence(cls)


def _first_sentence(cls: type[Config]) -> str:
    whole = " ".join(inspect.cleandoc(cls.__doc__ or "").split())
    return re.split(r"(?<=\.)\s", whole)[0]


def format_keys(keys: list[Key], width: int = 100) -> str:
    """For people: each key with its default and what is allowed, and below it the meaning."""
    lines, section = [], ""
    for key in keys:
        if (first := key.name.split(".")[0]) != section:
            lines += [""] if section else []
            section = first
        lines.append(f"{key.name}: {key.default}  [{key.allowed}]")
        meaning = key.meaning.rstrip(".")
        lines += textwrap.wrap(meaning, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"
