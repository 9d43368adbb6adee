"""One stream between its sound and its text: what is known of the segment that is being spoken.

A track turns the memory of each chunk into things to search, and what was found into segments:

- Where the endpointer ends a segment, that segment is searched over its memory, as a file is.
- The open segment is searched after a chunk in which a label was heard, as if it ended there, but
  not before `SEARCH_SECONDS` of sound have come since the last time. What stands too near to its
  end is not shown: by CTC's best path, a label that begins in the last `EDGE_SECONDS` waits for
  more sound.
- What all rivals (the best `RIVALS` hypotheses, but none that is `RIVAL_MARGIN` worse than the
  best) begin with is agreed, and so is what the best one says of sound that is `SETTLED_SECONDS`
  old: a search never has more to write than the labels of the sound behind. What has been agreed
  by every search of the last `LAST_PART_SECONDS` is decided: later searches of the segment, the
  last one too, start from it.
  (Agreement of successive results: Liu et al. 2020, "Low-latency sequence-to-sequence speech
  recognition and translation by partial hypothesis selection".)

So decided text cannot change, a search only ever writes the last few labels, and a segment that is
cut in its last part has nothing decided behind the cut. All that a track holds is bounded by the
longest segment, and can be pickled.
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

from asr.text.tokenizer import BLANK
from asr.transcribe.ear import EarState, Heard
from asr.transcribe.endpoint import LAST_PART_SECONDS, Cut, EndpointConfig, Endpointer, level_db
from asr.transcribe.samples import SampleQueue
from asr.transcribe.waiting import arrived, label_frames
from asr.types import Hypothesis, Segment, StreamUpdate

#: Hypotheses that must agree before a label is decided.
RIVALS = 4
#: A hypothesis this much worse than the best (in its score, natural log) is no rival.
RIVAL_MARGIN = 4.0
#: From one search of the open segment to the next there is at least so much sound.
SEARCH_SECONDS = 0.32
#: What the best hypothesis says of sound before this much of the end has no rivals any more.
SETTLED_SECONDS = 0.8
#: A label that begins in this much of the end of an open segment is not shown yet.
EDGE_SECONDS = 0.16


@dataclass(frozen=True)
class Question:
    """A segment to be searched: its memory (M, D), M > 0, and the labels that are decided.

    `start` and `end` are where it sounds, in frames of the stream. `closed`: it will not grow;
    then `place` is the frame of the stream that its memory begins with, `log_probs` (M, V) CTC's
    log posteriors, None without CTC, and `levels` (n,) how loud it is.
    """

    memory: Tensor
    decided: tuple[int, ...]
    start: int
    end: int
    closed: bool
    place: int = 0
    log_probs: np.ndarray | None = None
    levels: np.ndarray | None = None


class Writer(Protocol):
    """Turns labels into what people read."""

    def text(self, labels: Sequence[int]) -> str:
        """The text of labels."""
        ...

    def segment(self, question: Question, found: Sequence[Hypothesis]) -> Segment | None:
        """The segment of a question; None where the best hypothesis says nothing."""
        ...


@dataclass
class _Open:
    """The segment that is being spoken; `start` is its first frame in the stream."""

    start: int = 0
    memory: list[Tensor] = field(default_factory=list)
    log_probs: list[np.ndarray] = field(default_factory=list)
    levels: list[np.ndarray] = field(default_factory=list)
    """Of each frame: the levels that words are timed with."""
    decided: tuple[int, ...] = ()
    placed: int = 0
    """The first frame of the segment that is not needed to say what is decided."""
    agreed: deque[tuple[int, tuple[int, ...]]] = field(default_factory=deque)
    """Searches of the last part: frames searched, and what the rivals agreed on."""
    searched: int = 0
    """Frames with a label at the last search."""


@dataclass
class Track:
    """The state of one stream, from samples at the model's rate on."""

    ear: EarState
    endpointer: Endpointer
    samples: SampleQueue
    step_samples: int
    """Samples of a level that words are timed with; a frame has a whole number of them."""
    open: _Open = field(default_factory=_Open)
    partial: Segment | None = None
    stable: int = 0

    @classmethod
    def new(
        cls,
        ear: EarState,
        config: EndpointConfig,
        frame_samples: int,
        step_samples: int,
        rate: int,
    ) -> Track:
        """A stream that has heard nothing yet."""
        endpointer = Endpointer(config, frame_samples / rate)
        return cls(ear, endpointer, SampleQueue(frame_samples), step_samples)

    def hear(self, heard: Heard, final: bool) -> list[Question]:
        """Takes what the ear made of the next chunk; asks for the searches that follow from it."""
        self.ear, log_probs = heard.state, heard.log_probs
        segment, questions = self.open, list[Question]()
        sound = self.samples.frames(len(heard.memory))
        levels = level_db(sound)
        steps = level_db(
            sound.reshape(
                len(sound), self.samples.frame_samples // self.step_samples, self.step_samples
            )
        )
        blanks = [None] * len(levels) if log_probs is None else np.exp(log_probs[:, BLANK]).tolist()
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
        elif self.endpointer.heard > segment.searched and self._is_due():
            segment.searched = self.endpointer.heard
            start, _ = self.endpointer.bounds()
            end = self.endpointer.frames
            questions.append(self._question(end, start, end, closed=False))
        return questions

    def _is_due(self) -> bool:
        """Whether enough sound has come since the open segment was last searched."""
        pause = round(SEARCH_SECONDS / self.endpointer.frame_seconds)
        agreed = self.open.agreed
        return not agreed or self.endpointer.frames - agreed[-1][0] >= pause

    def _leave(self, cut: Cut) -> list[Question]:
        """Ends the segment, or drops what came before it."""
        segment = self.open
        questions = []
        if cut.speech:
            question = self._question(cut.frames, cut.first, cut.last, closed=True)
            questions = [replace(question, **self._heard(cut.frames))]
            self.partial, self.stable = None, 0
        self.open = _Open(
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

    def _question(self, frames: int, first: int, last: int, closed: bool) -> Question:
        segment = self.open
        memory = torch.cat(segment.memory[:frames])
        start = segment.start
        return Question(memory, segment.decided, start + first, start + last, closed)

    def show(self, question: Question, found: Sequence[Hypothesis], write: Writer) -> None:
        """Takes what the search of the open segment found: decides, and shows what has arrived."""
        segment, best = self.open, found[0]
        frames, known = len(question.memory), len(segment.decided)
        begins = self._begins(best.tokens[known:])
        edge = max(1, round(EDGE_SECONDS / self.endpointer.frame_seconds))
        certain = len(best.tokens) if begins is None else known + arrived(begins, frames, edge)
        self._decide(frames, found, begins)
        newly = len(segment.decided) - known
        if newly and begins is not None:
            segment.placed = min(begins[newly - 1] + 1, frames)
        shown = best.tokens[: max(certain, len(segment.decided))]
        partial = write.segment(question, [Hypothesis(shown, best.score, best.scores)])
        self.partial, decided = partial, write.text(segment.decided)
        self.stable = len(os.path.commonprefix([decided, partial.text])) if partial else 0

    def _begins(self, labels: Sequence[int]) -> list[int] | None:
        """Where labels behind those that are decided begin; None without CTC."""
        segment = self.open
        if not segment.log_probs:
            return None
        behind = segment.log_probs[segment.placed :]
        if not behind:
            return [segment.placed] * len(labels)
        return [segment.placed + begin for begin in label_frames(np.stack(behind), labels)]

    def _decide(
        self, frames: int, found: Sequence[Hypothesis], begins: Sequence[int] | None
    ) -> None:
        rivals = [one.tokens for one in found if one.score >= found[0].score - RIVAL_MARGIN]
        segment, agreed = self.open, _common(rivals)
        if begins is not None:
            old = round(SETTLED_SECONDS / self.endpointer.frame_seconds)
            settled = len(segment.decided) + arrived(begins, frames, old)
            agreed = max(agreed, found[0].tokens[:settled], key=len)
        segment.agreed.append((frames, agreed))
        last_part = round(LAST_PART_SECONDS / self.endpointer.frame_seconds)
        while len(segment.agreed) > 1 and segment.agreed[1][0] <= frames - last_part:
            segment.agreed.popleft()
        if segment.agreed[0][0] <= frames - last_part:
            segment.decided = _common([agreed for _, agreed in segment.agreed])

    def update(self, final: Sequence[Segment]) -> StreamUpdate:
        """What there is to tell, with the segments that ended since the last time."""
        return StreamUpdate(tuple(final), self.partial, self.stable)


def _common(labels: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The longest beginning that all have."""
    return tuple(os.path.commonprefix([list(one) for one in labels]))
