"""What an evaluation tells people: rates first, then where it goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asr.cli.tables import between, common_folder, table
from asr.evaluate.error_rate import number_of, percent

if TYPE_CHECKING:
    from asr.evaluate.breakdown import Breakdown, Group
    from asr.evaluate.evaluation import Evaluation
    from asr.evaluate.reliability import Reliability

#: Rows of a list that has no end.
SPEAKERS, PAIRS = 10, 10


def summary(found: Evaluation, parts: Breakdown, model: str) -> str:
    """All of it, as text."""
    tables = [
        _rates(found, model),
        _kinds(found, parts),
        _groups("By length", "length", parts.lengths) if len(parts.lengths) > 1 else "",
        _speakers(parts),
        _confidence(parts.confidence) if parts.confidence else "",
        _swapped(parts),
        _worst(found),
    ]
    return "\n".join(part for part in tables if part)


def _rates(found: Evaluation, model: str) -> str:
    words, interval = found.words, found.interval
    rate = words.rate if found.scored else None
    lines = [
        f"model       {model}",
        f"utterances  {len(found.scored):,}, {found.audio_seconds / 60:.1f} minutes"
        + (f", {len(found.failed)} not counted" if found.failed else ""),
        f"WER         {percent(rate)}: {number_of(words.errors, 'error')} in "
        f"{number_of(words.length, 'word')} ({number_of(words.substitutions, 'substitution')}, "
        f"{number_of(words.deletions, 'deletion')}, {number_of(words.insertions, 'insertion')})",
    ]
    if interval is not None:
        lines.append(
            f"            {between(interval.low, interval.high)} "
            f"(95 % interval, bootstrap over {interval.units})"
        )
    return "\n".join(
        [
            *lines,
            f"CER         {percent(found.characters.rate if found.scored else None)}",
            "speed       " + (f"{found.rtf:.3f} s for each second of sound" if found.rtf else "-"),
            "",
        ]
    )


def _kinds(found: Evaluation, parts: Breakdown) -> str:
    if not parts.kinds:
        return ""
    errors = found.words.errors
    rows = [
        (
            one.name,
            one.errors,
            percent(one.errors / errors if errors else None),
            one.utterances,
            "-" if one.words is None else f"{percent(one.rate)} of {one.words}",
            one.meaning,
        )
        for one in parts.kinds
    ]
    head = ("kind", "errors", "of all", "utterances", "words wrong", "what<")
    return table("Kinds of errors (one may be of several)", head, rows)


def _groups(title: str, name: str, groups: tuple[Group, ...]) -> str:
    rows = [
        (
            one.name,
            one.utterances,
            one.counts.length,
            percent(one.counts.rate),
            between(one.interval.low, one.interval.high) if one.interval else "-",
        )
        for one in groups
    ]
    return table(title, (name, "utterances", "words", "WER", "95 % interval"), rows)


def _speakers(parts: Breakdown) -> str:
    count = len(parts.speakers)
    if count < 2:
        return ""
    some = f", the {SPEAKERS} of {count} who add most to the rate" if count > SPEAKERS else ""
    return _groups(f"By speaker{some}", "speaker", parts.speakers[:SPEAKERS])


def _confidence(known: Reliability) -> str:
    auc = "" if known.auc is None else f", AUC {known.auc:.3f}"
    title = (
        f"Confidence: calibration error (ECE) {known.ece:.3f}{auc}, {known.words} words, "
        f"{percent(known.right)} right"
    )
    rows = [
        (f"{one.low:.2f} to {one.high:.2f}", one.words, f"{one.confidence:.3f}", f"{one.right:.3f}")
        for one in known.bins
    ]
    return table(title, ("confidence", "words", "mean", "share right"), rows)


def _swapped(parts: Breakdown) -> str:
    lists: list[list[tuple[object, ...]]] = [
        list(parts.substitutions[:PAIRS]),
        list(parts.deletions[:PAIRS]),
        list(parts.insertions[:PAIRS]),
    ]
    rows: list[list[object]] = []
    for place in range(max(map(len, lists))):
        cells = [
            one[place] if place < len(one) else ("",) * size
            for one, size in zip(lists, (3, 2, 2), strict=True)
        ]
        rows.append([cell for part in cells for cell in part])
    if not rows:
        return ""
    head = ("said", "heard<", "times", "   missing<", "times", "   added<", "times")
    return table("The most frequent errors", head, rows)


def _worst(found: Evaluation) -> str:
    worst = found.worst()
    folder = common_folder(one.id for one in worst)
    below = f", all below {folder}" if folder else ""
    lines = [f"Where most errors are{below}:"] if worst else []
    for one in worst:
        errors, words = number_of(one.words.errors, "error"), number_of(one.words.length, "word")
        lines += [f"\n{one.id.removeprefix(folder)}: {errors} in {words}"]
        lines += [f"  said   {one.reference}", f"  heard  {one.hypothesis}"]
    return "\n".join(lines) + "\n" if lines else ""
