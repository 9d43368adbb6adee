"""Joining states and taking them apart again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from asr.model.states import joined, shape, split


@dataclass(frozen=True)
class Pair:
    hidden: torch.Tensor
    layers: tuple[dict[str, torch.Tensor], ...]
    step: int = 0


def state(seed: int, batch: int = 1, step: int = 0) -> Pair:
    torch.manual_seed(seed)
    layers = tuple({"keys": torch.randn(batch, 2, 3)} for _ in range(2))
    return Pair(torch.randn(batch, 4), layers, step)


def test_what_is_joined_comes_apart_again() -> None:
    states = [state(seed) for seed in range(3)]
    batch = joined(states)
    assert batch.hidden.shape == (3, 4)
    assert batch.layers[1]["keys"].shape == (3, 2, 3)
    for one, again in zip(states, split(batch, 3), strict=True):
        torch.testing.assert_close(again.hidden, one.hidden)
        torch.testing.assert_close(again.layers[1]["keys"], one.layers[1]["keys"])
        assert again.step == 0


def test_a_member_does_not_keep_the_others_alive() -> None:
    [first, _] = split(joined([state(0), state(1)]), 2)
    assert first.hidden.untyped_storage().nbytes() == first.hidden.nbytes


def test_shapes_say_what_can_be_joined() -> None:
    assert shape(state(0)) == shape(state(1, batch=5))
    assert shape(state(0)) != shape(state(0, step=1))
    with pytest.raises(ValueError, match="plain value"):
        joined([state(0), state(1, step=1)])
    with pytest.raises(ValueError, match="different kinds"):
        joined([(1, 2), (1, 2, 3)])
