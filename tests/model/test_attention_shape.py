"""Diagonality and entropy of attention weights, on matrices whose answer is known."""

from __future__ import annotations

import pytest
import torch

from asr.model.attention_shape import attention_shape


def test_a_diagonal_is_1_and_narrow() -> None:
    shape = attention_shape(torch.eye(12)[None, None])
    assert shape is not None
    assert shape.diagonality == pytest.approx(1.0)
    assert shape.entropy == pytest.approx(0.0)


def test_looking_everywhere_alike_is_0_and_wide() -> None:
    shape = attention_shape(torch.full((2, 3, 7, 20), 1 / 20))
    assert shape is not None
    assert shape.diagonality == pytest.approx(0.0, abs=1e-6)
    assert shape.entropy == pytest.approx(1.0)


def test_backwards_is_0() -> None:
    shape = attention_shape(torch.eye(9).flip(0)[None, None])
    assert shape is not None
    assert shape.diagonality == 0.0


def test_the_most_diagonal_head_counts() -> None:
    both = torch.stack((torch.full((8, 8), 1 / 8), torch.eye(8)))[None]
    shape = attention_shape(both)
    assert shape is not None
    assert (shape.diagonality, shape.entropy) == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize("size", [(1, 1, 2, 9), (1, 1, 5, 1), (1, 0, 5, 9)])
def test_too_little_to_judge(size: tuple[int, int, int, int]) -> None:
    assert attention_shape(torch.zeros(size)) is None
