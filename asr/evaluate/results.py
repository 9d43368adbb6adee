"""The utterances of an evaluation as a file: one JSON object a line, to be compared and shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from asr.data.lines import text_lines
from asr.errors import ManifestError
from asr.evaluate.error_rate import Scored, score
from asr.evaluate.evaluation import Evaluation
from asr.types import Word


def result_lines(scored: Iterable[Scored]) -> str:
    """Each utterance with its errors, as `read_results` takes it back.

    `heard` are the words of the hypothesis: [text, start, end, confidence].
    """
    return "".join(json.dumps(_values(one), ensure_ascii=False) + "\n" for one in scored)


def _values(one: Scored) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": one.id,
        "reference": one.reference,
        "hypothesis": one.hypothesis,
        "errors": one.words.errors,
        "words": one.words.length,
        "substitutions": one.words.substitutions,
        "deletions": one.words.deletions,
        "insertions": one.words.insertions,
        "wer": one.words.rate,
        "cer": one.characters.rate,
        "speaker": one.speaker,
        "seconds": round(one.seconds, 3),
        "audio": one.audio,
        "start": one.start,
    }
    if one.names:
        values["names"] = list(one.names)
    if one.heard:
        values["heard"] = [_heard(word) for word in one.heard]
    return values


def _heard(word: Word) -> list[Any]:
    sure = None if word.confidence is None else round(word.confidence, 4)
    return [word.text, round(word.start, 3), round(word.end, 3), sure]


def read_results(path: Path) -> list[Scored]:
    """What `asr evaluate -o` wrote; edits are counted anew from the texts.

    A line needs `id`, `reference` and `hypothesis`; so those of other systems can be read too.

    Raises:
        ManifestError: the file cannot be read, or a line is wrong.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; write one with: asr evaluate ... -o {path}")
    found: dict[str, Scored] = {}
    for number, line in text_lines(path):
        if isinstance(line, ManifestError):
            raise line
        one = _read(line, f"{path}, line {number}")
        if one.id in found:
            raise ManifestError(f"{path}, line {number}: id '{one.id}' is there twice; keep one")
        found[one.id] = one
    if not found:
        raise ManifestError(f"{path}: no utterances in it; write it with: asr evaluate ... -o")
    return list(found.values())


def _read(line: str, where: str) -> Scored:
    try:
        values = json.loads(line)
        texts = values["id"], values["reference"], values["hypothesis"]
        speaker, audio = values.get("speaker"), values.get("audio")
        told = [*texts, *(one for one in (speaker, audio) if one is not None)]
        if not all(isinstance(text, str) for text in told):
            raise TypeError
        heard = tuple(Word(*_word(word)) for word in values.get("heard", ()))
        found = score(*texts, speaker, float(values.get("seconds") or 0.0), heard)
        names = tuple(str(name) for name in values.get("names", ()))
        start = None if values.get("start") is None else float(values["start"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ManifestError(
            f"{where}: not an utterance of asr evaluate -o; it needs a JSON object with the texts "
            "'id', 'reference' and 'hypothesis'; 'speaker' and 'audio' are texts or null"
        ) from None
    if [word.text for word in heard] != texts[2].split():
        found = replace(found, heard=())
    return replace(found, names=names, audio=audio, start=start)


def _word(values: list[Any]) -> tuple[str, float, float, float | None]:
    text, start, end, sure = values
    return str(text), float(start), float(end), None if sure is None else float(sure)


def as_evaluation(scored: Iterable[Scored], language: str = "en") -> Evaluation:
    """Results that were read, as an evaluation; how long it took is not known any more."""
    found = tuple(scored)
    return Evaluation(found, {}, sum(one.seconds for one in found), 0.0, language)
