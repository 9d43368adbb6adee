"""Pydantic's errors about a configuration as mistakes that a person can act on."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from asr.errors import ConfigError, shortened

#: How alike (0 to 1) the spellings of a key, or of a type, and of the one that is suggested are.
LIKE_A_KEY, LIKE_A_TYPE = 0.6, 0.8
#: Characters of a wrong value that a message shows.
SHOWN = 60
#: How messages about what is allowed begin.
MUST = ": must be "


class PartError(ConfigError, ValueError):
    """What is wrong in a part of a configuration, for the error about the whole.

    It is a `ValueError`, so that Pydantic gives it the path of the part when a validator raises it.
    """

    def __init__(self, name: str, mistakes: Sequence[Mistake]) -> None:
        super().__init__(f"{name}: {listed(mistakes)}")
        self.mistakes = mistakes


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong: `what` precedes the key at `path` in the message, `why` follows."""

    path: tuple[str | int, ...]
    what: str
    why: str

    def __str__(self) -> str:
        key = ".".join(str(part) for part in self.path)
        return f"{self.what} '{key}'{self.why}" if key else self.why.removeprefix(": ")


def hint_for(name: str, known: Iterable[str], cutoff: float = LIKE_A_KEY) -> str:
    """The known name that is spelled most like `name`, or all known ones."""
    near = difflib.get_close_matches(name, known := sorted(known), n=1, cutoff=cutoff)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


#: What is allowed, in the terms of YAML, by the types of Pydantic's errors.
_FORMS = {
    "tuple_type": "must be a list: [a, b]",
    "list_type": "must be a list: [a, b]",
    "dict_type": "must be a mapping: {key: value}",
    "model_type": "must be a mapping: {key: value}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a path",
}
#: Pydantic's words, and those of our messages.
_WORDS = {
    "Input should be": "must be",
    "Input should": "must",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "a valid ": "a ",
}


def listed(mistakes: Iterable[Mistake]) -> str:
    """All mistakes in one line."""
    return "; ".join(str(mistake) for mistake in mistakes)


def mistakes_of(cls: type[BaseModel], values: Any, error: ValidationError) -> list[Mistake]:
    """Each mistake once: of a union, whose members complain one by one, what any would take."""
    mistakes: list[Mistake] = []
    for problem in error.errors():
        for new in _explain(cls, values, problem):
            place = next((n for n, old in enumerate(mistakes) if old.path == new.path), None)
            if place is None:
                mistakes.append(new)
                continue
            allowed, got = mistakes[place].why.partition(MUST)[2].rpartition(" (got ")[::2]
            if allowed and new.why.startswith(MUST) and new.why.endswith(f" (got {got}"):
                more = new.why.removeprefix(MUST)
                if allowed not in more:
                    mistakes[place] = replace(new, why=f"{MUST}{allowed}, or {more}")
            elif str(new) not in map(str, mistakes):
                mistakes.append(new)
    # a list whose only element is refused is then too short as well
    return [
        one
        for one in mistakes
        if not any(
            len(other.path) > len(one.path) and other.path[: len(one.path)] == one.path
            for other in mistakes
        )
    ]


def _explain(cls: type[BaseModel], values: Any, problem: Any) -> list[Mistake]:
    path = _real(problem["loc"], values, problem["type"] == "missing")
    if problem["type"] == "extra_forbidden":
        known = _fields_at(cls, path[:-1])
        name = str(path[-1])
        hint = hint_for(name, known)
        if hint.startswith("known") and (elsewhere := _elsewhere(cls, name)):
            hint = f"did you mean '{elsewhere}'?"
        return [Mistake(path, "unknown key", f", {hint}")]
    if problem["type"] == "missing":
        return [Mistake(path, "key", " is missing")]
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, PartError):
        return [replace(one, path=(*path, *one.path)) for one in cause.mistakes]
    message = _FORMS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    got = problem["input"]
    of_a_part = isinstance(got, Mapping | BaseModel) and not message.startswith("must")
    if not path or of_a_part:  # whose keys the message names; all of them would be too many
        return [Mistake(path, "key", f": {message}")]
    return [Mistake(path, "key", f": {message} (got {shortened(repr(got), SHOWN)})")]


def _real(path: Sequence[str | int], values: Any, missing: bool) -> tuple[str | int, ...]:
    """Those parts of Pydantic's path that are keys of `values`, not members of a union."""
    real: list[str | int] = []
    for n, part in enumerate(path):
        in_list = isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)
        if in_list or (isinstance(values, Mapping) and part in values):
            values = values[part]
        elif not (missing and n == len(path) - 1):
            continue
        real.append(part)
    return tuple(real)


def _elsewhere(cls: type[BaseModel], name: str) -> str | None:
    """The path to a field of a part that has this name, where a part has one."""
    for key, field in cls.model_fields.items():
        for part in _configs_in(field.annotation):
            if name in part.model_fields:
                return f"{key}.{name}"
            if (deeper := _elsewhere(part, name)) is not None:
                return f"{key}.{deeper}"
    return None


def _fields_at(cls: type[BaseModel], path: Sequence[str | int]) -> set[str]:
    """Names of the fields of the configuration that `path` leads to, looking into unions."""
    classes: list[type[BaseModel]] = [cls]
    for part in path:
        inner = [
            nested
            for config in classes
            if str(part) in config.model_fields
            for nested in _configs_in(config.model_fields[str(part)].annotation)
        ]
        classes = inner or classes  # a list index or a union tag: stay where we are
    return {name for config in classes for name in config.model_fields}


def _configs_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return [nested for arg in typing.get_args(annotation) for nested in _configs_in(arg)]
    return []
