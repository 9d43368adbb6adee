"""The nouns that users see. Times are seconds from the start of the input, never decreasing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True)
class Word:
    """One word of a segment.

    `confidence` is the probability (0..1) that it is right; None where the model has no map that
    was fitted to tell it. `evidence` is what such a map is computed from, by name.
    """

    text: str
    start: float
    end: float
    confidence: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Segment:
    """A stretch of speech that was decoded in one piece.

    `score` is the weighted sum of `scores`, each a log probability by scorer name;
    `tokens` are the token ids that `text` was written from. `words` are those of `text`, in order,
    with times within the segment; there are none for alternatives, translations, the partial
    segment of a stream, and models with neither CTC nor attention.
    `alternatives` are the next best hypotheses of the same stretch, best first, where they were
    asked for. `language` is the code of the language that was spoken, as it was asked for or
    detected; None where the model has no choice of languages.
    """

    text: str
    start: float
    end: float
    words: tuple[Word, ...] = ()
    score: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    tokens: tuple[int, ...] = ()
    alternatives: tuple[Segment, ...] = ()
    language: str | None = None


@dataclass(frozen=True)
class Transcript:
    """What one input says.

    `duration` is the length of the audio that was decoded, in seconds. `truncated` is the second
    at which a damaged or shrinking input stopped, None for a whole one. `notes` are sentences
    about the input that a person should read (a header that lied, a second audio track).
    """

    segments: tuple[Segment, ...]
    duration: float
    source: str
    truncated: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All segments, joined by single spaces."""
        return " ".join(segment.text for segment in self.segments if segment.text)


@dataclass(frozen=True)
class SpeechEvent:
    """Speech begins or ends in a stream, at `time`.

    It is reported when that is certain: an end after the silence that ends a segment. A segment
    that is cut because it is too long ends speech, which then begins again.
    """

    type: Literal["begin", "end"]
    time: float


@dataclass(frozen=True)
class StreamUpdate:
    """What one block of audio added: `final` segments never change; `partial` may.

    `stable` counts the leading characters of `partial.text` that will not change; they end where a
    word ends. `changed`: the text of `partial` is not that of the update before (None has the empty
    text). `speech` are the places where speech begins and ends, in order, those of segments without
    a text too. `lag` is how many seconds transcription lags behind the audio; only `asr.stream` and
    `asr.listen` know it, which see the sound come.
    """

    final: tuple[Segment, ...] = ()
    partial: Segment | None = None
    stable: int = 0
    lag: float = 0.0
    changed: bool = False
    speech: tuple[SpeechEvent, ...] = ()


@dataclass(frozen=True)
class Hypothesis:
    """A finished hypothesis of the search; `score` is the weighted sum of `scores`.

    `spans` says of each token in which frames it is said, (first, behind the last), where it was
    aligned with the sound; `label_scores` is the log probability of each token then, by scorer.
    `language` is the code of the language that was searched in, where the model has a choice.
    """

    tokens: tuple[int, ...]
    score: float
    scores: dict[str, float] = field(default_factory=dict)
    spans: tuple[tuple[int, int], ...] = ()
    label_scores: dict[str, tuple[float, ...]] = field(default_factory=dict)
    language: str | None = None

    def part(self, first: int, last: int) -> Hypothesis:
        """The tokens from `first` to before `last`, with their spans and scores.

        `score` and `scores` stay those of the whole hypothesis.
        """
        label_scores = {name: some[first:last] for name, some in self.label_scores.items()}
        return replace(
            self,
            tokens=self.tokens[first:last],
            spans=self.spans[first:last],
            label_scores=label_scores,
        )
