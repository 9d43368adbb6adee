"""When each word is said: from where CTC writes its labels, and from how loud it is there.

CTC writes a label in one or two frames somewhere within its sound, and says nothing of where the
sound begins and ends: a word begins before its first label, by `LEAD_SECONDS` in the middle. Where
two words have a pause between them, its edges are heard: so between the last label of a word and
the first of the next the longest quiet stretch is looked for, and taken for the pause. Words
without one meet where it is quietest near the place that CTC suggests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.audio.samples import level_db
from asr.model import ASRModel
from asr.transcribe.words.align import Span
from asr.transcribe.words.confidence import ConfidenceMap
from asr.transcribe.words.evidence import Place, word_evidence
from asr.transcribe.words.pauses import find_pauses, in_pauses
from asr.types import Hypothesis, Word

#: How a text has bytes that are only a part of a character.
PART_OF_CHARACTER = "\ufffd"
# Fitted with tools/measure_word_times.py; they suit labels that are aligned by attention as well.
#: A word begins this much before the middle of the frame of its first label ...
LEAD_SECONDS = 0.1
#: ... and ends this much behind the middle of the last frame of its last label.
TAIL_SECONDS = 0.02
#: Sound of a word may reach this far beyond its labels.
REACH_SECONDS = 0.4
#: The first label of a word may be written this much before its sound begins ...
EARLY_SECONDS = 0.06
#: ... and the last one this much after it ended.
LATE_SECONDS = 0.12
#: Quiet for longer is no stop consonant.
BREAK_SECONDS = 0.2
#: Words that meet do so within this much of the place that the labels suggest.
NEAR_SECONDS = 0.08


@dataclass(frozen=True)
class SegmentLevels:
    """How loud a segment is: `levels` (n,) in dB, one for each `step` seconds of it.

    `frame` is the length of a frame of the encoder, `middle` how far behind the start of its frame
    the sound lies that a frame stands for, both in seconds.
    """

    levels: np.ndarray
    step: float
    frame: float
    middle: float


@dataclass(frozen=True)
class WordTimer:
    """What a model's words are timed with: its text, and the grids of its features and frames."""

    text_of: Callable[[Sequence[int]], str]
    rate: int
    step_samples: int
    """Samples from one level to the next."""
    frame_seconds: float
    middle_samples: float
    """From the start of a frame to the middle of the sound that it is computed from."""
    confidence: ConfidenceMap | None = None
    """Gives each word its confidence; None: words have none."""

    @classmethod
    def of(
        cls,
        model: ASRModel,
        text_of: Callable[[Sequence[int]], str],
        confidence: ConfidenceMap | None = None,
    ) -> WordTimer:
        """The clock of a model."""
        frontend, encoder, rate = model.frontend, model.encoder, model.sample_rate
        middle = encoder.centre * frontend.hop_seconds + frontend.centre_seconds
        return cls(
            text_of,
            rate,
            round(frontend.hop_seconds * rate),
            encoder.frame_seconds,
            middle * rate,
            confidence,
        )

    def levels(self, samples: np.ndarray) -> np.ndarray:
        """The levels of samples (N,); a rest shorter than a step is left out."""
        steps = len(samples) // self.step_samples
        return level_db(samples[: steps * self.step_samples].reshape(steps, self.step_samples))

    def quiet_frames(self, levels: np.ndarray, frames: int) -> np.ndarray:
        """Which frames of memory are in pauses: (T,), T those of `frames` that have samples.

        Args:
            levels: (n,) of the samples, as `levels` gives them.
        """
        step, middle = self.step_samples / self.rate, self.middle_samples / self.rate
        count = min(frames, round(len(levels) * step / self.frame_seconds))
        begins = np.arange(count) * self.frame_seconds + middle - self.frame_seconds / 2
        steps = np.arange(max(1, round(self.frame_seconds / step)))
        places = np.round(begins / step).astype(int)[:, None] + steps
        return in_pauses(levels, step)[places.clip(0, len(levels) - 1)].all(axis=1)

    def words(
        self, best: Hypothesis, levels: np.ndarray, start: float, bounds: tuple[float, float]
    ) -> tuple[Word, ...]:
        """The words of a hypothesis, none where its labels were not aligned.

        Args:
            levels: of its segment, as `levels` gives them, from the first frame on.
            start: when that frame begins, in seconds.
            bounds: the times of the segment, between which all words are.
        """
        if len(best.spans) != len(best.tokens):
            return ()
        step, middle = self.step_samples / self.rate, self.middle_samples / self.rate
        sound = SegmentLevels(levels, step, self.frame_seconds, middle)
        labels = labelled_words(self.text_of, best.tokens)
        words = timed_words(labels, best.spans, sound, start, bounds)
        if not best.label_scores:
            return words
        places = [
            Place(first, last, word.end - word.start, _level(sound, word, start))
            for word, (_, first, last) in zip(words, labels, strict=True)
        ]
        evidence = word_evidence([word.text for word in words], places, best.label_scores)
        known = tuple(replace(word, evidence=e) for word, e in zip(words, evidence, strict=True))
        return self.confidence.with_confidence(known) if self.confidence else known


def _level(sound: SegmentLevels, word: Word, start: float) -> float:
    """How far the loudest part of a word is below the loudest of its segment."""
    begin = round((word.start - start) / sound.step)
    levels = sound.levels[max(0, begin) : max(1, begin + 1, round((word.end - start) / sound.step))]
    return float(levels.max() - sound.levels.max()) if len(levels) else 0.0


def labelled_words(
    text_of: Callable[[Sequence[int]], str], labels: Sequence[int]
) -> list[tuple[str, int, int]]:
    """The words that labels write: (text, first label, last label) of each.

    Whatever the tokenizer: a label belongs to the word that its characters stand in, and one that
    is a part of a character to the word of that. Words are what spaces are between: where a
    language is written without spaces, what stands between two of them is one word.
    """
    written = [0]
    for count in range(1, len(labels) + 1):
        text = text_of(labels[:count])
        if count < len(labels):  # the last character may not be whole yet
            text = text.rstrip(PART_OF_CHARACTER)
        written.append(max(written[-1], _size(text)))
    words, done, behind = [], 0, 0
    for word in text_of(labels).split():
        first = next(n for n in range(len(labels)) if written[n + 1] > done)
        while first > behind and PART_OF_CHARACTER in written_twice(text_of, labels[first - 1]):
            first -= 1
        done += len(word)
        last = next(n for n in range(first, len(labels)) if written[n + 1] >= done)
        words.append((word, first, last))
        behind = last + 1
    return words


def written_twice(text_of: Callable[[Sequence[int]], str], label: int) -> str:
    """What a label writes, twice: the first bytes of a character write nothing at the end of a
    text, but `PART_OF_CHARACTER` before others.
    """
    return text_of([label, label])


def _size(text: str) -> int:
    return sum(map(len, text.split()))


def timed_words(
    words: Sequence[tuple[str, int, int]],
    spans: Sequence[Span],
    sound: SegmentLevels,
    start: float,
    bounds: tuple[float, float],
) -> tuple[Word, ...]:
    """Words with their times.

    Args:
        words: as `labelled_words` gives them.
        spans: of the labels, as `align` gives them.
        sound: of the segment, from its first frame on.
        start: when the first frame begins, in seconds.
        bounds: the times of the segment, between which all words are.
    """
    if not words:
        return ()
    firsts = [spans[first][0] * sound.frame + sound.middle for _, first, _ in words]
    lasts = [(spans[last][1] - 1) * sound.frame + sound.middle for _, _, last in words]
    times = [_begin(sound, firsts[0])]
    for last, first in zip(lasts, firsts[1:], strict=False):
        times += _between(sound, times[-1], last, first)
    times.append(_end(sound, times[-1], lasts[-1]))
    # Never before what came before, and within the segment.
    within = np.clip(np.maximum.accumulate(np.array(times) + start), *bounds).tolist()
    return tuple(
        Word(text, begin, end)
        for (text, _, _), begin, end in zip(words, within[::2], within[1::2], strict=True)
    )


def _begin(sound: SegmentLevels, first: float) -> float:
    """Where the first word begins: behind the last pause before its label."""
    pauses = _pauses(sound, first - REACH_SECONDS, first + EARLY_SECONDS)
    return pauses[-1][1] if pauses else max(first - LEAD_SECONDS, 0.0)


def _end(sound: SegmentLevels, began: float, last: float) -> float:
    """Where the last word ends: at the first pause behind its label.

    The pause before a short word is within reach of its label too: it ends where the word `began`.
    """
    pauses = _pauses(sound, max(last - LATE_SECONDS, began), last + REACH_SECONDS)
    return pauses[0][0] if pauses else last + TAIL_SECONDS


def _between(sound: SegmentLevels, began: float, last: float, first: float) -> tuple[float, float]:
    """Where a word that `began` there ends, and the next one begins."""
    pauses = _pauses(sound, max(last - LATE_SECONDS, began), first + EARLY_SECONDS)
    long = [pause for pause in pauses if pause[1] - pause[0] >= BREAK_SECONDS]
    if long:  # what sounds between two of them is a word that was not recognised
        return long[0][0], long[-1][1]
    if pauses:
        return max(pauses, key=lambda pause: pause[1] - pause[0])
    begin = max(first - LEAD_SECONDS, (last + first) / 2 if first - last < LEAD_SECONDS else last)
    if first - last > 2 * REACH_SECONDS:  # something else sounds between them
        return last + TAIL_SECONDS, begin
    low = round(max(begin - NEAR_SECONDS, last, 0.0) / sound.step)
    levels = sound.levels[low : round(min(begin + NEAR_SECONDS, first) / sound.step) + 1]
    meet = (low + int(levels.argmin()) + 0.5) * sound.step if len(levels) else begin
    return meet, meet


def _pauses(sound: SegmentLevels, begin: float, end: float) -> list[tuple[float, float]]:
    """The quiet stretches between two times, long enough to be pauses."""
    low = max(0, round(begin / sound.step))
    levels = sound.levels[low : max(0, round(end / sound.step))]
    if not len(levels):
        return []
    return [
        ((low + first) * sound.step, (low + last) * sound.step)
        for first, last in find_pauses(levels, float(levels.max()), sound.levels, sound.step)
    ]
