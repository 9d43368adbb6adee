"""Tensors named by modules."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from asr.train.weights.grouping import grouped

LAYERS = [f"encoder.layers.{n}.{part}" for n in range(12) for part in ("norm.weight", "mix.bias")]
NAMES = ["norm.mean", *LAYERS, "ctc.weight", "ctc.bias", "decoder.embedding.weight"]


def test_whole_modules_are_named_once() -> None:
    new = [name for name in LAYERS if int(name.split(".")[2]) >= 8]
    assert grouped(new, NAMES) == ["encoder.layers.8-11 (2 tensors each)"]
    assert grouped(LAYERS, NAMES) == ["encoder (24 tensors)"]
    labels = ["ctc.weight", "ctc.bias", "decoder.embedding.weight"]
    assert grouped(labels, NAMES) == ["ctc (2 tensors)", "decoder"]


def test_parts_of_modules_are_named_by_themselves() -> None:
    some = ["ctc.bias", *(f"encoder.layers.{n}.mix.bias" for n in (0, 1, 2, 5))]
    assert grouped(some, NAMES) == ["ctc.bias", "encoder.layers.0-2,5.mix"]
    assert grouped([], NAMES) == []


def _named(line: str) -> list[str]:
    """The modules that a line stands for."""
    where = line.split(" (")[0]
    parts = where.split(".")
    place = next((at for at, part in enumerate(parts) if part[0].isdigit()), None)
    if place is None:
        return [where]
    numbers = []
    for run in parts[place].split(","):
        first, _, last = run.partition("-")
        numbers += list(range(int(first), int(last or first) + 1))
    return [".".join([*parts[:place], str(n), *parts[place + 1 :]]) for n in numbers]


@given(st.sets(st.sampled_from(NAMES)))
@settings(derandomize=True, deadline=None)
def test_every_tensor_is_named_exactly_once(chosen: set[str]) -> None:
    modules = [one for line in grouped(chosen, NAMES) for one in _named(line)]
    told = [name for name in NAMES for one in modules if f"{name}.".startswith(f"{one}.")]
    assert sorted(told) == sorted(chosen)
