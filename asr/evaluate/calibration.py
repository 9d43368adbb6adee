"""Fits the map from the evidence of a word to the probability that the word is right.

It is fitted on one half of the speakers and measured on the other half, so that its figures hold
for speakers that it was not fitted on. The map that was measured is the one that is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.atomic import check_writable
from asr.errors import ManifestError, ModelError
from asr.evaluate.corpus import ReferenceUtterance
from asr.evaluate.error_rate import Scored, number_of
from asr.evaluate.evaluation import evaluate
from asr.evaluate.reliability import Reliability, judged_words, reliability
from asr.folders import CONFIG, foreign_kind
from asr.model.folder import keep_confidence
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.words.confidence import ConfidenceMap, ConfidenceMaps, fit_map

#: Each half needs so many words, and among them at least `FEWEST` right and `FEWEST` wrong ones.
FEWEST_WORDS, FEWEST = 200, 10


@dataclass(frozen=True)
class Calibration:
    """A map, the number of words that it was fitted on, and its reliability on other words.

    `groups` names what was divided into halves: `speakers`, or `utterances` where speakers are not
    known.
    """

    map: ConfidenceMap
    fitted: int
    judged: Reliability
    groups: str


@dataclass(frozen=True)
class Calibrations:
    """The maps of a model, by the names of `ConfidenceMaps`.

    `failed` has the reason for each utterance id whose audio could not be used; such utterances are
    in no map.
    """

    maps: dict[str, Calibration] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def calibrate(scored: Sequence[Scored]) -> Calibration:
    """Fits a map on one half of the speakers of an evaluation and measures it on the other.

    Raises:
        ManifestError: there are too few words, or too few of them are right or wrong, or they have
            no evidence because the model gives no word times.
    """
    known = all(one.speaker is not None for one in scored)
    groups = "speakers" if known else "utterances"
    halves = halved(scored)
    first, second = (judged_words(half) for half in halves)
    for words in (first, second):
        wrong = sum(not right for _, _, right in words)
        if len(words) < FEWEST_WORDS or min(wrong, len(words) - wrong) < FEWEST:
            if not first and not second and any(one.hypothesis for one in scored):
                raise ManifestError(
                    "the words of this model have no times, and so no confidence: it has neither "
                    "CTC nor a decoder with attention"
                )
            raise ManifestError(
                f"too few words to fit confidence: one half of the {groups} has "
                f"{number_of(len(words), 'word')}, {wrong} of them wrong, and at least "
                f"{FEWEST_WORDS} are needed, {FEWEST} of them right and {FEWEST} wrong; take more "
                "recordings"
            )
    found = fit_map([evidence for _, evidence, _ in first], [right for _, _, right in first])
    assert found is not None
    sure = [(found(evidence), right) for _, evidence, right in second]
    judged = reliability([one or 0.0 for one, _ in sure], [right for _, right in sure])
    assert judged is not None
    facts = {
        "fitted_words": len(first),
        "judged_words": judged.words,
        "ece": round(judged.ece, 4),
        "auc": None if judged.auc is None else round(judged.auc, 4),
    }
    kept = found.model_copy(update={"facts": facts})
    return Calibration(kept, len(first), judged, groups)


def calibrate_model(
    folder: Path,
    utterances: Sequence[ReferenceUtterance],
    device: str = "auto",
    *,
    batch_seconds: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Calibrations:
    """Transcribes a corpus with a model, and fits its maps.

    A model with a language model in its folder is measured with it and without it. Whether the maps
    can be written is checked first.

    Args:
        batch_seconds, progress: as in `evaluate`.

    Raises:
        ManifestError: as `calibrate`, or no audio can be used.
        ModelError, ConfigError: the model cannot be opened, or is in another format, which has no
            place for a map.
        OutputError: the folder cannot be written to.
    """
    if not (folder / CONFIG).is_file() and foreign_kind(folder):
        raise ModelError(
            f"{folder}: a model in another format has no place for a map of confidence; make a "
            f"model folder of it (asr import {folder} -o FOLDER), and calibrate that"
        )
    found = Calibrations()
    for lm in (None, False):
        recognizer = load_model(folder, device, lm=lm)
        name = map_name(recognizer)
        if name in found.maps:
            continue
        check_writable(folder, "calibrate a copy of the model")
        result = evaluate(recognizer, utterances, batch_seconds=batch_seconds, progress=progress)
        if not result.scored:
            for name, problem in result.failed.items():
                raise ManifestError(f"no recording can be used: {name}: {problem}")
        found.failed.update(result.failed)
        found.maps[name] = calibrate(result.scored)
    return found


def map_name(recognizer: Recognizer) -> str:
    """The name of the map that a recogniser uses with its saved search settings."""
    return "with_lm" if recognizer.search.lm_weight else "without_lm"


def keep_maps(folder: Path, found: Mapping[str, Calibration]) -> None:
    """Writes the maps, by name, into the model in `folder`; they replace those that it had.

    Raises:
        ModelError: it is no model folder.
        OutputError: it cannot be written.
    """
    maps = ConfidenceMaps(**{name: one.map for name, one in found.items()})
    keep_confidence(folder, maps.model_dump(mode="json", exclude_none=True))


def halved(scored: Sequence[Scored]) -> tuple[list[Scored], list[Scored]]:
    """Two parts with about the same number of words; no speaker is in both.

    The division depends on the names alone. An utterance without a speaker counts as a speaker of
    its own.
    """
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.speaker or f"utterance {one.id}", []).append(one)
    first: list[Scored] = []
    second: list[Scored] = []
    sizes = [0, 0]
    for name in sorted(groups, key=lambda one: hashlib.sha256(one.encode()).hexdigest()):
        half = sizes[1] < sizes[0]
        (second if half else first).extend(groups[name])
        sizes[half] += sum(len(one.hypothesis_words) for one in groups[name])
    return first, second
