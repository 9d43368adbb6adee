"""One stream between its sound and its text: what is known of the segment that is being spoken.

A track turns the memory of each chunk into things to search, and what was found into segments:

- Where the endpointer ends a segment, that segment is searched over its memory, as a file is.
- The open segment is searched, as if it ended there, after a chunk in which a label was heard, and
  as long as some that were heard are not shown; but not before `SEARCH_SECONDS` of sound have come
  since the last time.
- What was shown is held: a hypothesis that goes on from it counts as the best as long as it is no
  more than `HOLD_MARGIN` worse than the best.
- Each search goes on from where an earlier one stood when its best hypothesis had said what is
  `SETTLED_SECONDS` old: from the hypotheses that were open then, but none that was
  `OPEN_MARGIN` worse than the best of them, nor any that says otherwise than the best what is
  `CERTAIN_SECONDS` old. What they have in common is decided. Where a label is said is known by
  CTC's best path.
  Without CTC that is decided, and searched on from, which all rivals (the best `RIVALS`
  hypotheses, but none that is `RIVAL_MARGIN` worse than the best) began with in every search of
  the last `LAST_PART_SECONDS`.
  (Agreement of successive results: Liu et al. 2020, "Low-latency sequence-to-sequence speech
  recognition and translation by partial hypothesis selection".)
- What stands too near to the end is not shown: a label that begins in the last `EDGE_SECONDS`, or
  in the last `WORD_SECONDS` if it is of the last word, which may grow.

So decided text cannot change, a search only ever writes the last few labels, as one that never
stopped would, and a segment that is cut in its last part has nothing decided behind the cut. All
that a track holds is bounded by the longest segment, and can be pickled.
"""

from __future__ import annotations

import os.path
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from asr.search import SearchResult
from asr.transcribe.streams.chunk_encoder import ChunkEncoderState, EncodedChunk
from asr.transcribe.streams.endpoint import (
    LAST_PART_SECONDS,
    Cut,
    EndpointConfig,
    Endpointer,
    level_db,
)
from asr.transcribe.streams.sample_queue import SampleQueue
from asr.transcribe.streams.stability import label_frames, settled_labels, whole_words
from asr.types import Hypothesis, Segment, StreamUpdate

#: From one search of the open segment to the next there is at least so much sound.
SEARCH_SECONDS = 0.32
#: A hypothesis that goes on from what was shown may be this much worse (in its score, natural log)
#: than the best.
HOLD_MARGIN = 4.0
#: Labels of sound before this much of the end are not searched again. It must be more than
#: `LAST_PART_SECONDS`.
SETTLED_SECONDS = 0.72
#: Nor are hypotheses that were this much worse then than the best gone on with.
OPEN_MARGIN = 3.0
#: What the best hypothesis says of sound before this much of the end is decided: hypotheses that
#: say otherwise are not gone on with.
CERTAIN_SECONDS = 1.36
#: A label that begins in this much of the end of an open segment is not shown yet.
EDGE_SECONDS = 0.56
#: Nor is a label of the last word that begins in this much of the end.
WORD_SECONDS = 0.88
#: Without CTC: hypotheses that must agree before a label is decided.
RIVALS = 4
#: Without CTC: a hypothesis this much worse than the best is no rival.
RIVAL_MARGIN = 4.0


@dataclass(frozen=True)
class SearchRequest:
    """A segment to be searched: its memory (M, D), M > 0, and what its hypotheses begin with.

    `start` and `end` are where it sounds, in frames of the stream. `closed`: it will not grow;
    then `place` is the frame of the stream that its memory begins with, `log_probs` (M, V) CTC's
    log posteriors, None without CTC, and `levels` (n,) how loud it is.
    """

    memory: Tensor
    begun: tuple[tuple[int, ...], ...]
    start: int
    end: int
    closed: bool
    place: int = 0
    log_probs: np.ndarray | None = None
    levels: np.ndarray | None = None


class SegmentWriter(Protocol):
    """Turns labels into what people read."""

    def text(self, labels: Sequence[int]) -> str:
        """The text of labels."""
        ...

    def segment(self, question: SearchRequest, found: Sequence[Hypothesis]) -> Segment | None:
        """The segment of a question; None where the best hypothesis says nothing."""
        ...


@dataclass
class _OpenSegment:
    """The segment that is being spoken; `start` is its first frame in the stream."""

    start: int = 0
    memory: list[Tensor] = field(default_factory=list)
    log_probs: list[np.ndarray] = field(default_factory=list)
    levels: list[np.ndarray] = field(default_factory=list)
    """Of each frame: the levels that words are timed with."""
    begun: tuple[tuple[int, ...], ...] = ((),)
    """The beginnings that are still possible, of one length each; what they share is decided."""
    placed: int = 0
    """The first frame of the segment that is not needed to say its beginning."""
    agreed: deque[tuple[int, tuple[int, ...]]] = field(default_factory=deque)
    """Searches of the last part: frames searched, and what the rivals agreed on."""
    settled: deque[tuple[int, int]] = field(default_factory=deque)
    """Of the last searches: frames searched, and how many labels were settled."""
    searched: int = 0
    """Frames with a label at the last search."""
    length: int | None = None
    """Frames at the last search."""
    shown: tuple[int, ...] = ()
    """Labels of the partial text."""
    hidden: bool = False
    """Whether the last search found labels that were too new to be shown."""


@dataclass
class StreamState:
    """The state of one stream, from samples at the model's rate on."""

    ear: ChunkEncoderState
    endpointer: Endpointer
    samples: SampleQueue
    step_samples: int
    """Samples of a level that words are timed with; a frame has a whole number of them."""
    blank: int | None
    """CTC's blank label; None without CTC."""
    open: _OpenSegment = field(default_factory=_OpenSegment)
    partial: Segment | None = None
    stable: int = 0

    @classmethod
    def new(
        cls,
        ear: ChunkEncoderState,
        config: EndpointConfig,
        frame_samples: int,
        step_samples: int,
        rate: int,
        blank: int | None,
    ) -> StreamState:
        """A stream that has heard nothing yet."""
        endpointer = Endpointer(config, frame_samples / rate)
        return cls(ear, endpointer, SampleQueue(frame_samples), step_samples, blank)

    def hear(self, heard: EncodedChunk, final: bool) -> list[SearchRequest]:
        """Takes what the ear made of the next chunk; asks for the searches that follow from it."""
        self.ear, log_probs = heard.state, heard.log_probs
        segment, questions = self.open, list[SearchRequest]()
        sound = self.samples.frames(len(heard.memory))
        levels = level_db(sound)
        steps = level_db(
            sound.reshape(
                len(sound), self.samples.frame_samples // self.step_samples, self.step_samples
            )
        )
        blanks = [None] * len(levels)
        if log_probs is not None and self.blank is not None:
            blanks = np.exp(log_probs[:, self.blank]).tolist()
        for place, (level, blank) in enumerate(zip(levels.tolist(), blanks, strict=True)):
            segment.memory.append(heard.memory[place : place + 1])
            segment.levels.append(steps[place])
            if log_probs is not None:
                segment.log_probs.append(log_probs[place])
            cut = self.endpointer.push(level, blank)
            if cut:
                questions += self._leave(cut)
                segment = self.open
        if final and self.endpointer.heard:
            first, last = self.endpointer.bounds()
            questions += self._leave(Cut(self.endpointer.frames, True, first, last))
        elif (self.endpointer.heard > segment.searched or segment.hidden) and self._is_due():
            segment.searched = self.endpointer.heard
            start, _ = self.endpointer.bounds()
            end = segment.length = self.endpointer.frames
            questions.append(self._question(end, start, end, closed=False))
        return questions

    def _is_due(self) -> bool:
        """Whether enough sound has come since the open segment was last searched."""
        pause = round(SEARCH_SECONDS / self.endpointer.frame_seconds)
        last = self.open.length
        return last is None or self.endpointer.frames - last >= pause

    def _leave(self, cut: Cut) -> list[SearchRequest]:
        """Ends the segment, or drops what came before it."""
        segment = self.open
        questions = []
        if cut.speech:
            question = self._question(cut.frames, cut.first, cut.last, closed=True)
            questions = [replace(question, **self._heard(cut.frames))]
            self.partial, self.stable = None, 0
        self.open = _OpenSegment(
            segment.start + cut.frames,
            segment.memory[cut.frames :],
            segment.log_probs[cut.frames :],
            segment.levels[cut.frames :],
        )
        return questions

    def _heard(self, frames: int) -> dict[str, Any]:
        """What the words of the first `frames` frames of the segment are timed with."""
        segment = self.open
        log_probs = np.stack(segment.log_probs[:frames]) if segment.log_probs else None
        levels = np.concatenate(segment.levels[:frames])
        return {"place": segment.start, "log_probs": log_probs, "levels": levels}

    def _question(self, frames: int, first: int, last: int, closed: bool) -> SearchRequest:
        segment = self.open
        memory = torch.cat(segment.memory[:frames])
        start = segment.start
        return SearchRequest(memory, segment.begun, start + first, start + last, closed)

    def show(self, question: SearchRequest, found: SearchResult, write: SegmentWriter) -> None:
        """Takes what the search of the open segment found: decides, and shows what has arrived."""
        segment, frames = self.open, len(question.memory)
        best, known = _held(found.hypotheses, segment.shown), len(segment.begun[0])
        begins = self._begins(best.tokens[known:])
        if begins is None:
            count = len(best.tokens)
            self._agree(frames, found.hypotheses)
        else:
            count = known + self._arrived(begins, frames, EDGE_SECONDS)
            settled = self._arrived(begins, frames, SETTLED_SECONDS)
            segment.begun = self._going_on(best, found, known + settled, frames)
            if settled:
                segment.placed = min(begins[settled - 1] + 1, frames)
            old = known + self._arrived(begins, frames, WORD_SECONDS)
            count = max(old, whole_words(best.tokens, count, write.text))
        kept = segment.shown if best.tokens[: len(segment.shown)] == segment.shown else ()
        decided = _common(segment.begun)
        segment.shown = best.tokens[: max(count, len(decided), len(kept))]
        segment.hidden = len(segment.shown) < len(best.tokens)
        partial = write.segment(question, [Hypothesis(segment.shown, best.score, best.scores)])
        self.partial = partial
        shared = os.path.commonprefix([write.text(decided), partial.text]) if partial else ""
        self.stable = len(shared)

    def _going_on(
        self, best: Hypothesis, found: SearchResult, count: int, frames: int
    ) -> tuple[tuple[int, ...], ...]:
        """What the next search goes on from: hypotheses of `count` labels that agree with the best
        one in all that is old enough to be certain.
        """
        segment = self.open
        segment.settled.append((frames, count))
        lag = round((CERTAIN_SECONDS - SETTLED_SECONDS) / self.endpointer.frame_seconds)
        while len(segment.settled) > 1 and segment.settled[1][0] <= frames - lag:
            segment.settled.popleft()
        since, certain = segment.settled[0]
        certain = min(certain, count) if since <= frames - lag else 0
        alike = best.tokens[:certain]
        begun = found.open_after(count, OPEN_MARGIN)
        return tuple(one for one in begun if one[:certain] == alike) or (best.tokens[:count],)

    def _arrived(self, begins: Sequence[int], frames: int, edge_seconds: float) -> int:
        """How many labels begin before the last `edge_seconds` of the segment."""
        edge = max(1, round(edge_seconds / self.endpointer.frame_seconds))
        return settled_labels(begins, frames, edge)

    def _begins(self, labels: Sequence[int]) -> list[int] | None:
        """Where labels behind those that are decided begin; None without CTC."""
        segment = self.open
        if not segment.log_probs or self.blank is None:
            return None
        behind = segment.log_probs[segment.placed :]
        if not behind:
            return [segment.placed] * len(labels)
        begins = label_frames(np.stack(behind), labels, self.blank)
        return [segment.placed + begin for begin in begins]

    def _agree(self, frames: int, found: Sequence[Hypothesis]) -> None:
        """Decides what the rivals of several searches agree on."""
        rivals = [one.tokens for one in found if one.score >= found[0].score - RIVAL_MARGIN]
        segment = self.open
        segment.agreed.append((frames, _common(rivals)))
        last_part = round(LAST_PART_SECONDS / self.endpointer.frame_seconds)
        while len(segment.agreed) > 1 and segment.agreed[1][0] <= frames - last_part:
            segment.agreed.popleft()
        if segment.agreed[0][0] <= frames - last_part:
            segment.begun = (_common([agreed for _, agreed in segment.agreed]),)

    def update(self, final: Sequence[Segment]) -> StreamUpdate:
        """What there is to tell, with the segments that ended since the last time."""
        return StreamUpdate(tuple(final), self.partial, self.stable)


def _held(found: Sequence[Hypothesis], shown: tuple[int, ...]) -> Hypothesis:
    """The best hypothesis that goes on from what was shown, if it is good; else the best."""
    least = found[0].score - HOLD_MARGIN
    on = (one for one in found if one.tokens[: len(shown)] == shown and one.score >= least)
    return next(on, found[0])


def _common(labels: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The longest beginning that all have."""
    return tuple(os.path.commonprefix([list(one) for one in labels]))
