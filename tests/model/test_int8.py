"""Weights in 8 bits: the error is at most half a scale; damage is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from asr.errors import ModelError
from asr.model.int8 import SCALES, dequantised, quantised


def test_the_error_is_at_most_half_the_scale_of_the_row() -> None:
    torch.manual_seed(0)
    sizes = torch.tensor([1e-6, 1e-3, 1.0, 1e3, 0.0])
    rows = torch.randn(5, 7, 3) * sizes[:, None, None]
    stored = quantised({"w": rows, "bias": rows[2, 0]})
    again = dequantised(stored, Path("f"))
    assert torch.equal(again["bias"], rows[2, 0])
    # half a scale, and a little for the rounding of float32
    bound = stored["w" + SCALES][:, None, None] * 0.5001
    assert bool(((again["w"] - rows).abs() <= bound).all())
    assert torch.equal(again["w"][4], rows[4])


def test_a_matrix_takes_about_a_quarter() -> None:
    stored = quantised({"w": torch.randn(64, 256)})
    assert sum(tensor.nbytes for tensor in stored.values()) == 64 * 256 + 64 * 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_8_bits_cannot_store_is_refused(value: float) -> None:
    rows = torch.ones(2, 3)
    rows[1, 2] = value
    with pytest.raises(ModelError, match=r"^w holds NaN or infinity"):
        quantised({"w": rows})


@pytest.mark.parametrize("damage", ["missing", "short", "float", "unscaled"])
def test_integers_and_scales_that_do_not_fit_are_refused(damage: str) -> None:
    stored = quantised({"w": torch.randn(4, 3)})
    if damage == "missing":
        del stored["w"]
    elif damage == "short":
        stored["w" + SCALES] = stored["w" + SCALES][1:]
    elif damage == "unscaled":
        del stored["w" + SCALES]
    else:
        stored["w"] = stored["w"].float()
    with pytest.raises(ModelError, match=r"^f: damaged: w.*(does not fit|has no scales)"):
        dequantised(stored, Path("f"))
