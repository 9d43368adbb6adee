"""The tables of `asr evaluate`: error rates first, then the errors by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asr.cli.tables import between, common_folder, table
from asr.evaluate.error_rate import number_of, percent
from asr.evaluate.scoring import scoring_name

if TYPE_CHECKING:
    from asr.evaluate.breakdown import Breakdown, Group
    from asr.evaluate.evaluation import Evaluation
    from asr.evaluate.reliability import Reliability

#: Rows of a list that has no end.
SPEAKERS, PAIRS = 10, 10


def summary(evaluation: Evaluation, parts: Breakdown, model: str) -> str:
    """All of it, as text."""
    tables = [
        _rates(evaluation, model),
        _kinds(evaluation, parts),
        _groups("By length", "length", parts.lengths) if len(parts.lengths) > 1 else "",
        _speakers(parts),
        _confidence(parts.confidence) if parts.confidence else "",
        _swapped(parts),
        _worst(evaluation),
    ]
    return "\n".join(part for part in tables if part)


def _rates(evaluation: Evaluation, model: str) -> str:
    words, interval = evaluation.words, evaluation.interval
    rate = words.rate if evaluation.scored else None
    lines = [
        f"model       {model}",
        f"utterances  {len(evaluation.scored):,}, {evaluation.audio_seconds / 60:.1f} minutes"
        + (f", {len(evaluation.failed)} not counted" if evaluation.failed else ""),
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
            f"CER         {percent(evaluation.characters.rate if evaluation.scored else None)}",
            *_as_written(evaluation),
            *_marks(evaluation),
            *_scored_with(evaluation),
            "speed       "
            + (f"{evaluation.rtf:.3f} s for each second of sound" if evaluation.rtf else "-"),
            "",
        ]
    )


def _as_written(evaluation: Evaluation) -> list[str]:
    if evaluation.written is None:
        return []
    words, characters = (percent(counts.rate) for counts in evaluation.written)
    return [f"as written  WER {words}, CER {characters} (case and punctuation count)"]


def _marks(evaluation: Evaluation) -> list[str]:
    marks = [
        f"{name.replace('_', ' ')} {percent(counts.f1)} ({counts.in_reference})"
        for name, counts in evaluation.marks.items()
    ]
    return [f"marks       F1 (number in the references): {', '.join(marks)}"] if marks else []


def _scored_with(evaluation: Evaluation) -> list[str]:
    if scoring_name(evaluation.normalizer) == "asr":
        return []
    return ["scored      with the normaliser of Whisper"]


def _kinds(evaluation: Evaluation, parts: Breakdown) -> str:
    if not parts.kinds:
        return ""
    errors = evaluation.words.errors
    rows = [
        (
            kind.name,
            kind.errors,
            percent(kind.errors / errors if errors else None),
            kind.utterances,
            "-" if kind.words is None else f"{percent(kind.rate)} of {kind.words}",
            kind.meaning,
        )
        for kind in parts.kinds
    ]
    head = ("kind", "errors", "of all", "utterances", "words wrong", "what<")
    return table("Kinds of errors (one may be of several)", head, rows)


def _groups(title: str, name: str, groups: tuple[Group, ...]) -> str:
    rows = [
        (
            group.name,
            group.utterances,
            group.counts.length,
            percent(group.counts.rate),
            between(group.interval.low, group.interval.high) if group.interval else "-",
        )
        for group in groups
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
        (
            f"{group.low:.2f} to {group.high:.2f}",
            group.words,
            f"{group.confidence:.3f}",
            f"{group.right:.3f}",
        )
        for group in known.bins
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
            pairs[place] if place < len(pairs) else ("",) * size
            for pairs, size in zip(lists, (3, 2, 2), strict=True)
        ]
        rows.append([cell for part in cells for cell in part])
    if not rows:
        return ""
    head = ("said", "heard<", "times", "   missing<", "times", "   added<", "times")
    return table("The most frequent errors", head, rows)


def _worst(evaluation: Evaluation) -> str:
    worst = evaluation.worst()
    folder = common_folder(utterance.id for utterance in worst)
    below = f", all below {folder}" if folder else ""
    lines = [f"Where most errors are{below}:"] if worst else []
    for utterance in worst:
        errors = number_of(utterance.words.errors, "error")
        words = number_of(utterance.words.length, "word")
        lines += [f"\n{utterance.id.removeprefix(folder)}: {errors} in {words}"]
        lines += [f"  said   {utterance.reference}", f"  heard  {utterance.hypothesis}"]
    return "\n".join(lines) + "\n" if lines else ""
