"""The open segment of an encoder that needs whole segments: encoded again as it grows.

- It is decoded again, as if it ended now, after a chunk with new sound, when it is longer than at
  the last pass by `GROWTH` of its length. All passes together then encode at most about
  `ENCODED_PER_SECOND` seconds for each second of sound, whatever its length.
- What successive passes agree on is stable: the labels that all passes of the last
  `AGREEMENT_SECONDS`, and at least `PASSES` of them, begin with (local agreement: Liu et al. 2020,
  "Low-latency sequence-to-sequence speech recognition and translation by partial hypothesis
  selection"), in whole words, and not the last word of a pass, which may be cut off.
- The last word of a pass is not shown.
- Stable labels never change. Where a later pass, or that of the whole segment, disagrees with
  them, only its words behind them are taken (`continued`).
"""

from __future__ import annotations

import os.path
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from asr.transcribe.streams.endpoint import Cut
from asr.transcribe.words.timing import labelled_words
from asr.types import Hypothesis

#: The open segment is decoded again when it is longer by this share of its length.
GROWTH = 0.25
#: Seconds that are encoded for each second of sound, at most: the passes over an open segment are a
#: geometric series, and it is encoded once more when it has ended. This is approximate, since the
#: last pass may see half a second of what becomes the next segment. The silence that front end and
#: encoder add to each pass is not counted.
ENCODED_PER_SECOND = (1 + GROWTH) / GROWTH + 1
#: Labels are stable that all passes of so much sound agree on. It must be more than
#: `LAST_PART_SECONDS`, in which a segment may be cut.
AGREEMENT_SECONDS = 2.0
#: At least so many passes must agree.
PASSES = 3
#: The language that a pass over so much sound detects is that of all later passes.
LANGUAGE_SECONDS = 3.0

#: No labels.
NOTHING = Hypothesis((), 0.0)

Text = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class DecodeRequest:
    """A segment to decode.

    Attributes:
        samples: (N,) at the model's rate, N > 0.
        frames: how many frames they span.
        start, end: the first frame of its sound and the one behind the last, in the stream.
        final: the segment has ended.
        first_frame: the frame of the stream at which its samples begin.
        stable: what its text begins with.
        language: the code of the language to decode it in; None detects it, where one can.
    """

    samples: np.ndarray
    frames: int
    start: int
    end: int
    final: bool
    first_frame: int
    stable: Hypothesis
    language: str | None


@dataclass(frozen=True)
class Pass:
    """What the first `frames` frames of a segment were decoded to: `labels`.

    `ends` are the numbers of labels behind which a word ends.
    """

    frames: int
    labels: tuple[int, ...]
    ends: tuple[int, ...]

    def whole_words(self, labels: int) -> int:
        """How many words end within so many labels; not the last of all, which may be cut off."""
        return sum(end <= labels for end in self.ends[:-1])


@dataclass
class ReencodedSegment:
    """The state of one open segment; `start` is its first frame in the stream."""

    frame_seconds: float
    start: int = 0
    samples: list[np.ndarray] = field(default_factory=list)
    """Of each frame (n,); of the last frame of a stream there may be less."""
    passes: deque[Pass] = field(default_factory=deque)
    """The last ones."""
    stable: Hypothesis = NOTHING
    """The labels that cannot change any more."""
    decoded_frames: int = 0
    """Frames at the last pass."""
    decoded_label_frames: int = 0
    """Frames with a label (loud ones) at the last pass."""
    language: str | None = None
    """The language of the passes, once it is known."""

    @property
    def decided(self) -> tuple[int, ...]:
        """The labels that cannot change any more."""
        return self.stable.tokens

    def copy(self) -> ReencodedSegment:
        """A segment that goes on independently of this one."""
        return replace(self, samples=[*self.samples], passes=deque(self.passes))

    def append(self, samples: np.ndarray) -> None:
        """Adds the samples (n,) of a frame."""
        self.samples.append(samples)

    def after(self, frames: int) -> ReencodedSegment:
        """A new segment that begins behind the first `frames` frames of this one."""
        return ReencodedSegment(self.frame_seconds, self.start + frames, self.samples[frames:])

    def is_due(self, frames: int, label_frames: int) -> bool:
        """Whether there is new sound, and the segment has grown enough."""
        if label_frames <= self.decoded_label_frames:
            return False
        return frames >= (1 + GROWTH) * self.decoded_frames

    def open_request(self, frames: int, first: int, label_frames: int) -> DecodeRequest:
        """The pass over the first `frames` frames; see `GrowingSegment.open_request`."""
        self.decoded_frames, self.decoded_label_frames = frames, label_frames
        return self._request(frames, first, frames, final=False)

    def final_request(self, cut: Cut) -> DecodeRequest:
        """The pass over the part that a cut ends, as if it were a segment of a file."""
        return self._request(cut.frames, cut.first, cut.last, final=True)

    def _request(self, frames: int, first: int, last: int, final: bool) -> DecodeRequest:
        return DecodeRequest(
            np.concatenate(self.samples[:frames]),
            frames,
            self.start + first,
            self.start + last,
            final,
            self.start,
            self.stable,
            None if final else self.language,
        )

    def update(self, frames: int, result: Sequence[Hypothesis], text_of: Text) -> Hypothesis:
        """Takes the hypotheses of the pass over the first `frames` frames.

        Returns:
            the hypothesis of the partial text, without the last word.
        """
        best = continued(self.stable, result[0], text_of)
        if frames * self.frame_seconds >= LANGUAGE_SECONDS:
            self.language = best.language
        ends = tuple(last + 1 for _, _, last in labelled_words(text_of, best.tokens))
        self._agree(Pass(frames, best.tokens, ends), best)
        shown = ends[-2] if len(ends) > 1 else 0
        labels = best.tokens[: max(shown, len(self.stable.tokens))]
        return Hypothesis(labels, best.score, best.scores, language=best.language)

    def _agree(self, last: Pass, best: Hypothesis) -> None:
        """Makes the labels of `best`, that of the last pass, stable that the passes agree on."""
        self.passes.append(last)
        oldest = last.frames - round(AGREEMENT_SECONDS / self.frame_seconds)
        while len(self.passes) > PASSES and self.passes[1].frames <= oldest:
            self.passes.popleft()
        if len(self.passes) < PASSES or self.passes[0].frames > oldest:
            return
        shared = len(os.path.commonprefix([list(each.labels) for each in self.passes]))
        words = min(each.whole_words(shared) for each in self.passes)
        if words and last.ends[words - 1] > len(self.stable.tokens):
            self.stable = best.part(0, last.ends[words - 1])


def continued(stable: Hypothesis, best: Hypothesis, text_of: Text) -> Hypothesis:
    """`best`, with the labels of `stable` in place of the words that are there.

    Where `best` begins with these labels it is returned as it is. Otherwise its words are aligned
    with the stable ones by their edit distance; those behind them follow the stable labels.
    """
    count = len(stable.tokens)
    if best.tokens[:count] == stable.tokens:
        return best
    if not best.tokens:  # nothing is left of the last pass, nor of its score
        return stable
    words = labelled_words(text_of, best.tokens)
    known = [word for word, _, _ in labelled_words(text_of, stable.tokens)]
    behind = _replaced(known, [word for word, _, _ in words])
    first = words[behind - 1][2] + 1 if behind else 0  # with the space before the next word
    rest = best.part(first, len(best.tokens))
    scores = {
        name: stable.label_scores[name] + some
        for name, some in rest.label_scores.items()
        if name in stable.label_scores
    }
    return replace(
        best,
        tokens=stable.tokens + rest.tokens,
        spans=stable.spans + rest.spans,
        label_scores=scores,
    )


def _replaced(known: Sequence[str], words: Sequence[str]) -> int:
    """How many of the first `words` stand where `known` does: those at the least edit distance.

    Of equal ones the number that is nearest to that of `known`.
    """
    costs = list(range(len(words) + 1))
    for row, word in enumerate(known, 1):
        before, costs = costs, [row]
        for place, other in enumerate(words):
            change = before[place] + (word != other)
            costs.append(min(change, before[place + 1] + 1, costs[-1] + 1))
    return min(range(len(costs)), key=lambda place: (costs[place], abs(place - len(known))))
