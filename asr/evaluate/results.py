"""The utterances of an evaluation as a file: one JSON object a line, to be compared and shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asr.data.lines import text_lines
from asr.errors import ConfigError, ManifestError
from asr.evaluate.error_rate import Scored, count_written, score
from asr.evaluate.scoring import Scoring, build_normalizer, difference_of, parse_scoring
from asr.strict_json import strict_json
from asr.types import Word

#: What is kept of the evidence of a word: how loud it is, which tells words that are in silence.
_LEVEL = "level"


@dataclass(frozen=True)
class Results:
    """Utterances and the normaliser that they were scored with: None where that is not known."""

    scored: tuple[Scored, ...]
    normalizer: Scoring | None = None

    def without(self, ids: Collection[str]) -> Results:
        """The same but for these utterances."""
        return replace(self, scored=tuple(one for one in self.scored if one.id not in ids))

    def written_by(self, normalizer: Scoring) -> Results:
        """The same with the texts as `normalizer` writes them.

        Raises:
            DependencyError: as `build_normalizer`.
        """
        normalize = build_normalizer(normalizer)
        return Results(tuple(_rewritten(one, normalize) for one in self.scored), normalizer)


def _rewritten(one: Scored, normalize: Callable[[str], str]) -> Scored:
    texts = normalize(one.reference), normalize(one.hypothesis)
    if texts == (one.reference, one.hypothesis):
        return one
    scored = score(one.id, *texts, one.speaker, one.seconds)
    names = {word for name in one.names for word in normalize(name).split()}
    names_now = tuple(sorted(names))
    return replace(scored, names=names_now, audio=one.audio, start=one.start)


def result_lines(results: Results) -> str:
    """Each utterance with its errors, as `read_results` takes it back.

    `heard` are the words of the hypothesis: [text, start, end, confidence, level], where the level
    is in dB below the loudest of the segment; the last two are null where they are not known.
    `reference_written` and `hypothesis_written` are the texts as the model writes texts, with error
    rates of their own, where they are not the scored ones.
    """
    scoring = {} if results.normalizer is None else {"normalizer": results.normalizer.model_dump()}
    lines = (strict_json(_values(one) | scoring) for one in results.scored)
    return "".join(f"{line}\n" for line in lines)


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
    if one.written is not None:
        values |= {
            "reference_written": one.written.reference,
            "hypothesis_written": one.written.hypothesis,
            "wer_written": one.written.words.rate,
            "cer_written": one.written.characters.rate,
        }
    if one.names:
        values["names"] = list(one.names)
    if one.hypothesis_words:
        values["heard"] = [_word_values(word) for word in one.hypothesis_words]
    return values


def _word_values(word: Word) -> list[Any]:
    sure = None if word.confidence is None else round(word.confidence, 4)
    level = round(word.evidence[_LEVEL], 1) if _LEVEL in word.evidence else None
    return [word.text, round(word.start, 3), round(word.end, 3), sure, level]


def read_results(path: Path) -> Results:
    """What `asr evaluate -o` wrote; edits are counted anew from the texts.

    A line needs `id`, `reference` and `hypothesis`; so those of other systems can be read too.

    Raises:
        ManifestError: the file cannot be read, a line is wrong, or lines differ in their
            normaliser.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; write one with: asr evaluate ... -o {path}")
    found: dict[str, Scored] = {}
    settings: Any = None
    normalizer: Scoring | None = None
    for number, line in text_lines(path):
        if isinstance(line, ManifestError):
            raise line
        where = f"{path}, line {number}"
        one, says = _read(line, where)
        if one.id in found:
            raise ManifestError(f"{where}: id '{one.id}' is there twice; keep one")
        if not found:
            settings, normalizer = says, _normalizer(says, where)
        elif says != settings and _normalizer(says, where) != normalizer:
            raise ManifestError(
                f"{where}: another 'normalizer' than in the first line; results of one model only "
                "belong in a file"
            )
        found[one.id] = one
    if not found:
        raise ManifestError(f"{path}: no utterances in it; write it with: asr evaluate ... -o")
    return Results(tuple(found.values()), normalizer)


def _read(line: str, where: str) -> tuple[Scored, Any]:
    """The utterance of a line, and what the line says of the normaliser."""
    try:
        values = json.loads(line)
        texts = values["id"], values["reference"], values["hypothesis"]
        speaker, audio = values.get("speaker"), values.get("audio")
        written = values.get("reference_written"), values.get("hypothesis_written")
        known = [*texts, *(one for one in (speaker, audio, *written) if one is not None)]
        if not all(isinstance(text, str) for text in known):
            raise TypeError
        words = tuple(_word(*word) for word in values.get("heard", ()))
        found = score(*texts, speaker, float(values.get("seconds") or 0.0), words)
        names = tuple(str(name) for name in values.get("names", ()))
        start = None if values.get("start") is None else float(values["start"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ManifestError(
            f"{where}: not an utterance of asr evaluate -o; it needs a JSON object with the texts "
            "'id', 'reference' and 'hypothesis'; 'speaker', 'audio', 'reference_written' and "
            "'hypothesis_written' are texts or null"
        ) from None
    if [word.text for word in words] != texts[2].split():
        found = replace(found, hypothesis_words=())
    if None not in written:
        found = replace(found, written=count_written(*written))
    return replace(found, names=names, audio=audio, start=start), values.get("normalizer")


def _word(
    text: str, start: float, end: float, sure: float | None = None, level: float | None = None
) -> Word:
    confidence = None if sure is None else float(sure)
    evidence = {} if level is None else {_LEVEL: float(level)}
    return Word(str(text), float(start), float(end), confidence, evidence)


def _normalizer(says: Any, where: str) -> Scoring | None:
    if says is None:
        return None
    try:
        return parse_scoring(says, f"{where}: normalizer")
    except ConfigError as error:
        raise ManifestError(str(error)) from None


def alike(first: Results, second: Results) -> tuple[Results, Results]:
    """Both with texts that can be compared.

    Where one does not name its normaliser, as the results of other systems, the other's is applied.

    Raises:
        ManifestError: they are of different languages, or one was scored with Whisper's normaliser
            and the other with the toolkit's.
        DependencyError: as `build_normalizer`.
    """
    if first.normalizer is None:
        return (first if second.normalizer is None else first.written_by(second.normalizer)), second
    if second.normalizer is None:
        return first, second.written_by(first.normalizer)
    languages = first.normalizer.language, second.normalizer.language
    if languages[0] != languages[1]:
        raise ManifestError(
            f"the first results are in the language '{languages[0]}', the second in "
            f"'{languages[1]}': compare systems for one language, on the same manifest"
        )
    if type(first.normalizer) is not type(second.normalizer):
        raise ManifestError(
            "the two results were scored differently "
            f"({difference_of(first.normalizer, second.normalizer)}); evaluate both systems with "
            "the same --normalizer"
        )
    return first, second
