"""Many tensors in few words: whole modules by their name, numbered ones as a range."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator


def grouped(names: Collection[str], among: Iterable[str]) -> list[str]:
    """Tensors by the largest modules that they make up: `encoder.layers.8-11 (33 tensors each)`.

    Args:
        names: dotted names of tensors.
        among: the names of all tensors there are; a module is named as a whole where all of its
            tensors are among `names`.
    """
    numbered: defaultdict[tuple[str, str, int], list[int]] = defaultdict(list)
    for module, size in _modules(set(names), sorted({*among})):
        before, number, after = _at_number(module)
        numbered[before, after, size].append(number)
    return [_written(*key, numbers) for key, numbers in numbered.items()]


def _modules(names: set[str], among: list[str], depth: int = 1) -> Iterator[tuple[str, int]]:
    """The largest modules of which all tensors are in `names`, with the number of tensors."""
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for name in among:
        parts[".".join(name.split(".")[:depth])].append(name)
    for module, inside in parts.items():
        if names.issuperset(inside):
            yield module, len(inside)
        elif not names.isdisjoint(inside):
            yield from _modules(names, inside, depth + 1)


def _at_number(module: str) -> tuple[str, int, str]:
    """`encoder.layers.8.norm` to `encoder.layers.`, 8, `.norm`; -1 where there is no number."""
    parts = module.split(".")
    place = next((at for at, part in enumerate(parts) if part.isdigit()), None)
    if place is None:
        return module, -1, ""
    before = "".join(f"{part}." for part in parts[:place])
    return before, int(parts[place]), "".join(f".{part}" for part in parts[place + 1 :])


def _written(before: str, after: str, size: int, numbers: list[int]) -> str:
    several = len(numbers) > 1
    where = before if numbers == [-1] else f"{before}{_ranges(sorted(numbers))}{after}"
    if size == 1:
        return where
    return f"{where} ({size} tensors{' each' if several else ''})"


def _ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] to `0-2,5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
