"""States of several streams or utterances as one batch, and the other way round.

A state is a tensor, a frozen dataclass, tuple, list or dict of states, or a plain value that is
the same for all. The first dimension of every tensor counts the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

S = TypeVar("S")


def joined(states: Sequence[S]) -> S:
    """States of the same kind, one batch behind the other.

    Raises:
        ValueError: plain values or lengths of containers differ, so they cannot be one batch.
    """
    if len(states) == 1:
        return states[0]
    first: Any = states[0]
    if isinstance(first, Tensor):
        return torch.cat(list(states), dim=0)  # type: ignore[arg-type, return-value]
    kinds = {type(state) for state in states}
    parts = [_parts(state) for state in states]
    names = {tuple(part) for part in parts}
    if len(kinds) > 1 or len(names) > 1:
        raise ValueError(f"states of different kinds cannot be one batch: {kinds}, {names}")
    if not parts[0]:
        if any(state != first for state in states):
            raise ValueError(f"states differ in a plain value: {states}")
        return first
    merged = {name: joined([part[name] for part in parts]) for name in parts[0]}
    return _rebuilt(first, merged)


def split(state: S, count: int) -> list[S]:
    """The states of the `count` members of a batch, a batch of one each.

    They are copies, so that a member that is kept does not keep the others.
    """
    return [_member(state, place) for place in range(count)] if count > 1 else [state]


def per_row(values: Tensor, tokens: Tensor) -> Tensor:
    """What is so of each of B utterances (B,), for each of its rows: (N,), N the rows of `tokens`.

    The rows of an utterance are contiguous, and all have as many.
    """
    return values.repeat_interleave(len(tokens) // len(values))


def shape(state: Any) -> tuple[Any, ...]:
    """What must be equal for states to be joined: sizes without the batch, and plain values."""
    if isinstance(state, Tensor):
        return tuple(state.shape[1:])
    parts = _parts(state)
    return tuple(shape(part) for part in parts.values()) if parts else (state,)


def _member(state: Any, place: int) -> Any:
    if isinstance(state, Tensor):
        return state[place : place + 1].clone()
    parts = _parts(state)
    if not parts:
        return state
    return _rebuilt(state, {name: _member(part, place) for name, part in parts.items()})


def _parts(state: Any) -> dict[Any, Any]:
    """What a container holds, by name or place; nothing for a plain value."""
    if is_dataclass(state):
        return {field.name: getattr(state, field.name) for field in fields(state)}
    if isinstance(state, tuple | list):
        return dict(enumerate(state))
    return state if isinstance(state, dict) else {}


def _rebuilt(like: Any, parts: dict[Any, Any]) -> Any:
    if is_dataclass(like) and not isinstance(like, type):
        return replace(like, **parts)
    return parts if isinstance(like, dict) else type(like)(parts.values())
