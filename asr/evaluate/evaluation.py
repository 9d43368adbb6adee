"""Transcribes a corpus and counts what is wrong."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.audio import Audio
from asr.errors import AsrError, AudioError, ModelError
from asr.evaluate.corpus import ReferenceUtterance, each_sound
from asr.evaluate.error_rate import Counts, Scored, count_written, score, total
from asr.evaluate.interval import Interval, rate_interval
from asr.evaluate.marks import MarkCounts, count_marks
from asr.evaluate.names import names_in
from asr.evaluate.scoring import Scoring, ScoringName, build_normalizer, scoring_for
from asr.text import NormalizerConfig, TextNormalizer
from asr.text.languages import LANGUAGE, TRANSLATE
from asr.transcribe.options import TranscribeOptions
from asr.types import Transcript, Word

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from asr.transcribe.options import OptionValues
    from asr.transcribe.recognizer import Recognizer


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    `failed` says for ids whose audio could not be used why; they are in no count. `audio_seconds`
    and `wall_seconds` are of the others: reading the audio is part of the work, opening the model
    is not. `normalizer` is what both sides were scored with.
    """

    scored: tuple[Scored, ...]
    failed: dict[str, str]
    audio_seconds: float
    wall_seconds: float
    normalizer: Scoring = field(default_factory=NormalizerConfig)

    @property
    def words(self) -> Counts:
        """Word edits of all utterances together."""
        return total(one.words for one in self.scored)

    @property
    def characters(self) -> Counts:
        """Character edits of all utterances together."""
        return total(one.characters for one in self.scored)

    @property
    def written(self) -> tuple[Counts, Counts] | None:
        """Word and character edits of the texts as the model writes texts, with case and
        punctuation if it has them; None where the rates are those of the scored texts.
        """
        texts = [one.written or one for one in self.scored]
        words = total(text.words for text in texts)
        characters = total(text.characters for text in texts)
        same = (words.rate, characters.rate) == (self.words.rate, self.characters.rate)
        return None if same else (words, characters)

    @property
    def marks(self) -> dict[str, MarkCounts]:
        """Punctuation and capitals of the texts as they were written, by name: see `count_marks`.

        Only references with small letters and capitals count, and marks that they have.
        """
        texts = [(one.written or one) for one in self.scored]
        pairs = [(text.reference, text.hypothesis) for text in texts if _has_case(text.reference)]
        counts = count_marks(pairs)
        return {name: found for name, found in counts.items() if found.in_reference}

    @property
    def interval(self) -> Interval | None:
        """How sure the word error rate is; see `rate_interval`."""
        speakers = [one.speaker for one in self.scored]
        return rate_interval([one.words for one in self.scored], speakers)

    @property
    def rtf(self) -> float | None:
        """Seconds of work for each second of sound; None without sound."""
        return self.wall_seconds / self.audio_seconds if self.audio_seconds else None

    def worst(self, count: int = 10) -> list[Scored]:
        """The utterances with the most word errors, those with the higher rate first."""
        wrong = [one for one in self.scored if one.words.errors]
        key = [(-one.words.errors, one.words.length, place) for place, one in enumerate(wrong)]
        return [wrong[place] for _, _, place in sorted(key)[:count]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: rates are fractions, null where there is nothing to divide by."""
        words, interval, written = self.words, self.interval, self.written
        marks = self.marks
        return {
            "language": self.normalizer.language,
            "normalizer": self.normalizer.model_dump(),
            "wer": words.rate if self.scored else None,
            "wer_interval": [interval.low, interval.high] if interval else None,
            "interval_over": interval.units if interval else None,
            "cer": self.characters.rate if self.scored else None,
            **({"wer_written": written[0].rate, "cer_written": written[1].rate} if written else {}),
            **(
                {"marks": {name: counts.to_dict() for name, counts in marks.items()}}
                if marks
                else {}
            ),
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
            "words": words.length,
            "utterances": len(self.scored),
            "seconds": round(self.audio_seconds, 2),
            "rtf": self.rtf,
            "worst": [
                {
                    "id": one.id,
                    "reference": one.reference,
                    "hypothesis": one.hypothesis,
                    "errors": one.words.errors,
                }
                for one in self.worst()
            ],
            "failed": [{"id": name, "error": error} for name, error in self.failed.items()],
        }


def _has_case(text: str) -> bool:
    return any(map(str.islower, text)) and any(map(str.isupper, text))


def evaluate(
    recognizer: Recognizer,
    utterances: Sequence[ReferenceUtterance],
    *,
    scoring: Scoring | None = None,
    manifest_fields: bool = False,
    batch_seconds: float | None = None,
    progress: Callable[[float], None] | None = None,
    options: TranscribeOptions | None = None,
    **values: Unpack[OptionValues],
) -> Evaluation:
    """Transcribes `utterances` and compares; the scoring normaliser writes both sides.

    Args:
        scoring: the normaliser; None is `scoring_of` this evaluation.
        manifest_fields: decode each utterance with the language and the values of other prompt
            fields that its manifest names; those of the options override them.
        batch_seconds, progress, options, values: as in `Recognizer.transcribe_many`.

    Raises:
        ConfigError, ModelError: as `Recognizer.transcribe_many`.
        ManifestError, ModelError: as `groups_by_fields`, with `manifest_fields`.
        DependencyError: as `build_normalizer`.
    """
    options = TranscribeOptions.of(options, **values)
    scoring = scoring or scoring_of(recognizer, utterances, options)
    scorer = _Scorer(scoring, recognizer.config.normalizer)
    failed: dict[str, str] = {}
    asked: deque[int] = deque()

    def sources(places: Sequence[int]) -> Iterator[Path | Audio]:
        """The sound of utterances; those whose sound cannot be used are listed in `failed`."""
        group = [utterances[place] for place in places]
        sounds = each_sound(group, recognizer.sample_rate)
        for place, (utterance, sound) in zip(places, sounds, strict=True):
            if isinstance(sound, AudioError):
                failed[utterance.id] = str(sound)
            else:
                asked.append(place)
                yield sound

    groups: list[tuple[TranscribeOptions, Sequence[int]]] = [(options, range(len(utterances)))]
    if manifest_fields:
        groups = groups_by_fields(recognizer, utterances, options)
    scored: dict[int, Scored] = {}
    audio_seconds, began = 0.0, time.perf_counter()
    results = [
        recognizer.transcribe_many(
            sources(places), batch_seconds=batch_seconds, progress=progress, options=of_group
        )
        for of_group, places in groups
    ]
    for _, result in chain.from_iterable(results):
        place = asked.popleft()
        utterance = utterances[place]
        if isinstance(result, AsrError):
            failed[utterance.id] = str(result)
            continue
        if result.truncated is not None:  # the reference tells of words that are not there
            failed[utterance.id] = (
                f"{result.source}: cut off, it stops at {result.truncated:.2f} s; replace it"
            )
            continue
        audio_seconds += result.duration
        scored[place] = scorer(utterance, result)
    seconds = audio_seconds, time.perf_counter() - began
    in_order = tuple(scored[place] for place in sorted(scored))
    return Evaluation(in_order, failed, *seconds, scoring)


def scoring_of(
    recognizer: Recognizer,
    utterances: Sequence[ReferenceUtterance],
    options: TranscribeOptions,
    name: ScoringName = "asr",
) -> Scoring:
    """The normaliser for texts of a model that are decoded with some options; see `scoring_for`.

    Where a model knows several languages, the rules are those of the language of the texts: English
    for translations, else the one that the manifest names for all utterances, else the one that
    the options name. Where none is named they are those of the model.
    """
    model, fields = recognizer.config.normalizer, recognizer.tokenizer.prompt_fields
    if fields is None or not fields.languages:
        return scoring_for(model, name)
    if options.task == TRANSLATE:
        return scoring_for(model, name, "en")
    named = {utterance.values([LANGUAGE]).get(LANGUAGE) for utterance in utterances}
    languages = [*(named if len(named) == 1 else ()), options.language]
    return scoring_for(model, name, next((c for c in languages if c in fields.languages), None))


def groups_by_fields(
    recognizer: Recognizer, utterances: Sequence[ReferenceUtterance], options: TranscribeOptions
) -> list[tuple[TranscribeOptions, Sequence[int]]]:
    """Options with the prompt fields of utterances, and which utterances have these.

    Raises:
        ModelError: the model has no prompt fields, or does not know a value; the first utterance
            with it is named.
        ManifestError: as `ReferenceUtterance.values`.
    """
    from asr.transcribe.language import LanguageSetting  # torch, which comparing does without

    known = recognizer.tokenizer.prompt_fields
    if known is None:
        raise ModelError(
            f"model '{recognizer.name}' was trained without prompt fields, and cannot use those "
            "of the manifest: leave out --manifest-fields (manifest_fields)"
        )
    groups: dict[TranscribeOptions, list[int]] = {}
    for place, utterance in enumerate(utterances):
        values = utterance.values(known.labels)
        language = values.pop(LANGUAGE, None)
        fields = {**values, **(options.fields or {})}
        of_one = TranscribeOptions.of(
            options, language=options.language or language, fields=fields or None
        )
        groups.setdefault(of_one, []).append(place)
    for of_group, places in groups.items():
        try:
            LanguageSetting.of(recognizer.loaded, of_group)
        except ModelError as error:
            raise ModelError(f"utterance '{utterances[places[0]].id}': {error}") from None
    return list(groups.items())


class _Scorer:
    """Compares the reference of an utterance with what the model wrote."""

    def __init__(self, scoring: Scoring, model: NormalizerConfig) -> None:
        self.language = scoring.language
        self.normalize = build_normalizer(scoring)
        self.write = TextNormalizer(model)

    def __call__(self, utterance: ReferenceUtterance, result: Transcript) -> Scored:
        texts = self.normalize(utterance.text), self.normalize(result.text)
        written = self.write(utterance.text), self.write(result.text)
        scored = score(
            utterance.id,
            *texts,
            utterance.speaker,
            result.duration,
            hypothesis_words(result, texts[1], self.normalize),
        )
        return replace(
            scored,
            names=names_in(utterance.text, self.language, self.normalize),
            audio=utterance.audio,
            start=None if utterance.seconds is None else utterance.start,
            written=None if written == texts else count_written(*written),
        )


def hypothesis_words(
    result: Transcript, hypothesis: str, normalize: Callable[[str], str]
) -> tuple[Word, ...]:
    """The words of `hypothesis`, the normalised text of a transcript, with times and confidence.

    Empty where the transcript has no words, or where they cannot be matched with the text.
    """
    words = [
        replace(word, text=part)
        for segment in result.segments
        for word in segment.words
        for part in normalize(word.text).split()
    ]
    return tuple(words) if [word.text for word in words] == hypothesis.split() else ()
