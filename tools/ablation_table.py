"""The table of an ablation: each run beside the first one, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asr.evaluate.error_rate import Counts, total
from asr.evaluate.interval import Interval, difference_interval, rate_interval


@dataclass(frozen=True)
class Rows:
    """The utterances of a dev set: ids, speakers, and what was wrong."""

    ids: tuple[str, ...]
    speakers: tuple[str | None, ...]
    counts: tuple[Counts, ...]

    @classmethod
    def of(cls, values: Sequence[dict[str, Any]]) -> Rows:
        """From plain values."""
        return cls(
            tuple(one["id"] for one in values),
            tuple(one["speaker"] for one in values),
            tuple(Counts(substitutions=one["errors"], length=one["words"]) for one in values),
        )

    @classmethod
    def together(cls, sets: Sequence[Rows]) -> Rows:
        """All sets as one; who is not known by name is a speaker of their own."""
        ids = tuple(f"{place}/{one}" for place, rows in enumerate(sets) for one in rows.ids)
        known = (speaker for rows in sets for speaker in rows.speakers)
        speakers = tuple(name or key for name, key in zip(known, ids, strict=True))
        return cls(ids, speakers, tuple(count for rows in sets for count in rows.counts))


@dataclass(frozen=True)
class Run:
    """A finished variation."""

    name: str
    about: str
    steps: int
    audio_hours: float
    hours: float
    sets: dict[str, Rows]
    silent: tuple[int, int] | None

    @classmethod
    def of(cls, name: str, about: str, values: dict[str, Any]) -> Run:
        """From what was written when it was finished."""
        return cls(
            name,
            about,
            values["steps"],
            values["audio_hours"],
            values["hours"],
            {one: Rows.of(rows) for one, rows in values["sets"].items()},
            tuple(values["silent"]) if values["silent"] else None,
        )

    @property
    def all(self) -> Rows:
        """All dev sets together, as they are when the encoder sees whole utterances."""
        return Rows.together([rows for one, rows in self.sets.items() if " " not in one])


def table(runs: Sequence[Run]) -> str:
    """Two tables: what each run is worth, and its error rate on each dev set."""
    if not runs:
        return ""
    base, sets = runs[0], list(runs[0].sets)
    lines = [
        f"| variation | what | steps | audio heard | trained in | WER, all sets | against "
        f"{base.name} | noise without text |",
        "|---|---|---:|---:|---:|---|---|---:|",
        *(_summary(run, base) for run in runs),
        "",
        f"| variation | {' | '.join(sets)} |",
        f"|---|{'---|' * len(sets)}",
    ]
    for run in runs:
        rates = (_rate(run.sets[one]) for one in sets)
        lines.append(f"| {run.name} | {' | '.join(rates)} |")
    lines += [
        "",
        "Word error rates with 95 % intervals by bootstrap over speakers (over utterances where "
        "speakers are not known). Differences are in points, of the same utterances: a variation "
        "is better where its whole interval is below 0.",
        "",
    ]
    return "\n".join(lines)


def _summary(run: Run, base: Run) -> str:
    against = "" if run is base else _difference(run.all, base.all)
    silent = f"{run.silent[0]} of {run.silent[1]}" if run.silent else ""
    return (
        f"| {run.name} | {run.about} | {run.steps} | {run.audio_hours:.1f} h | {run.hours:.1f} h | "
        f"{_rate(run.all)} | {against} | {silent} |"
    )


def _rate(rows: Rows) -> str:
    rate = total(rows.counts).rate or 0.0
    found = rate_interval(rows.counts, rows.speakers)
    return f"{100 * rate:.1f} %{_between(found, signed=False)}"


def _difference(rows: Rows, base: Rows) -> str:
    if rows.ids != base.ids:
        return "other utterances"
    more = total(rows.counts).errors - total(base.counts).errors
    rate = more / max(total(rows.counts).length, 1)
    found = difference_interval(rows.counts, base.counts, rows.speakers)
    return f"{100 * rate:+.1f}{_between(found, signed=True)}"


def _between(found: Interval | None, signed: bool) -> str:
    if found is None:
        return ""
    sign = "+" if signed else ""
    return f" ({100 * found.low:{sign}.1f} to {100 * found.high:{sign}.1f})"
