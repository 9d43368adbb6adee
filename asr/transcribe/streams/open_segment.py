"""The segment that is being spoken: what is searched of it, and which of its labels are final.

- It is searched as if it ended now, after a chunk with a new label, and as long as labels are
  hidden; but at most once in `SEARCH_SECONDS` of sound.
- What was already in the partial text is kept: a hypothesis that continues it counts as the best as
  long as its score is within `HOLD_MARGIN` of the best.
- Each search continues from the hypotheses that were open in an earlier one when its best
  hypothesis had reached the labels that are `SETTLED_SECONDS` old, except those more than
  `OPEN_MARGIN` worse than the best of them, and those that differ from the best in a label that is
  `CERTAIN_SECONDS` old. Labels that all of them begin with are decided. The frame in which
  a label begins is that of CTC's best path.
  Without CTC the labels are decided, and searched on from, that all rivals (the best `RIVALS`
  hypotheses within `RIVAL_MARGIN` of the best) begin with in every search of the last
  `LAST_PART_SECONDS`. (Agreement of successive results: Liu et al. 2020, "Low-latency
  sequence-to-sequence speech recognition and translation by partial hypothesis selection".)
- Labels too near to the end are hidden: a label that begins in the last `EDGE_SECONDS`, or in the
  last `WORD_SECONDS` if it belongs to the last word, which may grow.

So decided text cannot change, each search only writes the last few labels, as one search that never
stops would, and a segment that is cut in its last part has nothing decided behind the cut.
"""

from __future__ import annotations

import os.path
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from asr.search import SearchResult
from asr.transcribe.streams.endpoint import LAST_PART_SECONDS, Cut
from asr.transcribe.words.align import align
from asr.types import Hypothesis

#: From one search of the open segment to the next there is at least so much sound.
SEARCH_SECONDS = 0.32
#: A hypothesis that continues the partial text may be this much worse (in its score, natural log)
#: than the best.
HOLD_MARGIN = 4.0
#: Labels before this much of the end are not searched again. It must be more than
#: `LAST_PART_SECONDS`.
SETTLED_SECONDS = 0.72
#: A search does not continue from hypotheses that were this much worse than the best.
OPEN_MARGIN = 3.0
#: Labels of the best hypothesis before this much of the end are decided: hypotheses that differ in
#: them are dropped.
CERTAIN_SECONDS = 1.36
#: A label that begins in this much of the end of an open segment is hidden.
EDGE_SECONDS = 0.56
#: So is a label of the last word that begins in this much of the end.
WORD_SECONDS = 0.88
#: Without CTC: hypotheses that must agree before a label is decided.
RIVALS = 4
#: Without CTC: a hypothesis this much worse than the best is no rival.
RIVAL_MARGIN = 4.0


@dataclass(frozen=True)
class SearchRequest:
    """A segment to search.

    Attributes:
        memory: (M, D), M > 0.
        prefixes: the labels that hypotheses begin with, one length for all.
        start, end: the first frame of its sound and the one behind the last, in the stream.
        final: the segment has ended; then the other attributes are set too.
        first_frame: the frame of the stream at which its memory begins.
        log_probs: (M, V), CTC's log posteriors; None without CTC.
        levels: (n,), in dB, for the times of words.
    """

    memory: Tensor
    prefixes: tuple[tuple[int, ...], ...]
    start: int
    end: int
    final: bool
    first_frame: int = 0
    log_probs: np.ndarray | None = None
    levels: np.ndarray | None = None

    @property
    def frames(self) -> int:
        """How many frames are searched."""
        return len(self.memory)


@dataclass
class OpenSegment:
    """The state of one open segment; `start` is its first frame in the stream."""

    frame_seconds: float
    blank: int | None
    """CTC's blank label; None without CTC."""
    start: int = 0
    memory: list[Tensor] = field(default_factory=list)
    """Of each frame (1, D)."""
    log_probs: list[np.ndarray] = field(default_factory=list)
    """Of each frame (V,); empty without CTC."""
    levels: list[np.ndarray] = field(default_factory=list)
    """Of each frame: the levels for the times of words."""
    prefixes: tuple[tuple[int, ...], ...] = ((),)
    """The possible beginnings, of one length each; the labels that they share are decided."""
    prefix_end: int = 0
    """The first frame of the segment behind those that hold the labels of the prefixes."""
    agreements: deque[tuple[int, tuple[int, ...]]] = field(default_factory=deque)
    """Without CTC, of the searches of the last part: frames, and the labels the rivals share."""
    settled: deque[tuple[int, int]] = field(default_factory=deque)
    """With CTC, of the last searches: frames, and how many labels were settled."""
    labels: tuple[int, ...] = ()
    """Labels of the partial text."""
    stable: int = 0
    """How many of `labels` are decided."""
    has_hidden: bool = False
    """Whether the last search gave labels that are too new for the partial text."""
    searched_label_frames: int = 0
    """Frames with a label at the last search."""
    searched_frames: int | None = None
    """Frames at the last search."""

    def copy(self) -> OpenSegment:
        """A segment that goes on independently of this one."""
        return replace(
            self,
            memory=[*self.memory],
            log_probs=[*self.log_probs],
            levels=[*self.levels],
            agreements=deque(self.agreements),
            settled=deque(self.settled),
        )

    def append(self, memory: Tensor, log_probs: np.ndarray | None, levels: np.ndarray) -> None:
        """Adds a frame: memory (1, D), CTC's log posteriors (V,), and levels (n,)."""
        self.memory.append(memory)
        if log_probs is not None:
            self.log_probs.append(log_probs)
        self.levels.append(levels)

    def after(self, frames: int) -> OpenSegment:
        """A new segment that begins behind the first `frames` frames of this one."""
        return OpenSegment(
            self.frame_seconds,
            self.blank,
            self.start + frames,
            self.memory[frames:],
            self.log_probs[frames:],
            self.levels[frames:],
        )

    def is_due(self, frames: int, label_frames: int) -> bool:
        """Whether there may be new labels, and the last search is long enough ago."""
        if label_frames <= self.searched_label_frames and not self.has_hidden:
            return False
        pause = round(SEARCH_SECONDS / self.frame_seconds)
        return self.searched_frames is None or frames - self.searched_frames >= pause

    def final_request(self, cut: Cut) -> SearchRequest:
        """The search of the part that a cut ends."""
        return replace(
            self._request(cut.frames, cut.first, cut.last, final=True),
            first_frame=self.start,
            log_probs=np.stack(self.log_probs[: cut.frames]) if self.log_probs else None,
            levels=np.concatenate(self.levels[: cut.frames]),
        )

    def open_request(self, frames: int, first: int, label_frames: int) -> SearchRequest:
        """The search of the first `frames` frames, as if the segment ended there.

        Args:
            first: the first frame that is not silence.
            label_frames: how many frames hold a label.
        """
        self.searched_label_frames, self.searched_frames = label_frames, frames
        return self._request(frames, first, frames, final=False)

    def _request(self, frames: int, first: int, last: int, final: bool) -> SearchRequest:
        memory, start = torch.cat(self.memory[:frames]), self.start
        return SearchRequest(memory, self.prefixes, start + first, start + last, final)

    def update(
        self, frames: int, result: SearchResult, text_of: Callable[[Sequence[int]], str]
    ) -> Hypothesis:
        """Takes the result of the search of the first `frames` frames.

        Returns:
            the hypothesis of the partial text: its labels are `labels`, without the hidden ones.
        """
        best = _continuing(result.hypotheses, self.labels)
        known = len(self.prefixes[0])
        begins = self._begins(best.tokens[known:])
        if begins is None:
            count = len(best.tokens)
            self._agree(frames, result.hypotheses)
        else:
            count = known + self._older(begins, frames, EDGE_SECONDS)
            settled = self._older(begins, frames, SETTLED_SECONDS)
            self.prefixes = self._next_prefixes(best, result, known + settled, frames)
            if settled:
                self.prefix_end = min(begins[settled - 1] + 1, frames)
            old = known + self._older(begins, frames, WORD_SECONDS)
            count = max(old, whole_words(best.tokens, count, text_of))
        kept = self.labels if best.tokens[: len(self.labels)] == self.labels else ()
        self.stable = len(_common(self.prefixes))
        self.labels = best.tokens[: max(count, self.stable, len(kept))]
        self.has_hidden = len(self.labels) < len(best.tokens)
        return Hypothesis(self.labels, best.score, best.scores)

    @property
    def decided(self) -> tuple[int, ...]:
        """The labels that cannot change any more."""
        return self.prefixes[0][: self.stable]

    def _next_prefixes(
        self, best: Hypothesis, result: SearchResult, count: int, frames: int
    ) -> tuple[tuple[int, ...], ...]:
        """The prefixes of the next search: open hypotheses of `count` labels that agree with the
        best one in all labels that are certain by now.
        """
        self.settled.append((frames, count))
        lag = round((CERTAIN_SECONDS - SETTLED_SECONDS) / self.frame_seconds)
        while len(self.settled) > 1 and self.settled[1][0] <= frames - lag:
            self.settled.popleft()
        since, certain = self.settled[0]
        certain = min(certain, count) if since <= frames - lag else 0
        prefixes = result.open_after(count, OPEN_MARGIN)
        agreeing = (labels for labels in prefixes if labels[:certain] == best.tokens[:certain])
        return tuple(agreeing) or (best.tokens[:count],)

    def _older(self, begins: Sequence[int], frames: int, edge_seconds: float) -> int:
        """How many labels begin before the last `edge_seconds` of the segment."""
        edge = max(1, round(edge_seconds / self.frame_seconds))
        return settled_labels(begins, frames, edge)

    def _begins(self, labels: Sequence[int]) -> list[int] | None:
        """Frames in which the labels behind the prefixes begin; None without CTC."""
        if not self.log_probs or self.blank is None:
            return None
        log_probs = self.log_probs[self.prefix_end :]
        if not log_probs:
            return [self.prefix_end] * len(labels)
        begins = label_frames(np.stack(log_probs), labels, self.blank)
        return [self.prefix_end + begin for begin in begins]

    def _agree(self, frames: int, hypotheses: Sequence[Hypothesis]) -> None:
        """Decides the labels that the rivals of several searches share."""
        least = hypotheses[0].score - RIVAL_MARGIN
        rivals = [hypothesis.tokens for hypothesis in hypotheses if hypothesis.score >= least]
        self.agreements.append((frames, _common(rivals)))
        last_part = round(LAST_PART_SECONDS / self.frame_seconds)
        while len(self.agreements) > 1 and self.agreements[1][0] <= frames - last_part:
            self.agreements.popleft()
        if self.agreements[0][0] <= frames - last_part:
            self.prefixes = (_common([labels for _, labels in self.agreements]),)


def label_frames(log_probs: np.ndarray, labels: Sequence[int], blank: int) -> list[int]:
    """The frame in which each label begins, by `align`; log posteriors (T, V)."""
    return [begin for begin, _ in align(log_probs, labels, blank)]


def settled_labels(begins: Sequence[int], frames: int, edge: int) -> int:
    """How many leading labels begin before the last `edge` of `frames` frames."""
    return next(
        (number for number, begin in enumerate(begins) if begin >= frames - edge), len(begins)
    )


def whole_words(labels: Sequence[int], count: int, text_of: Callable[[Sequence[int]], str]) -> int:
    """How many of the first `count` labels write whole words: not the last of all, it may grow."""
    whole = text_of(labels).split()[:-1]
    while count:
        written = text_of(labels[:count]).split()
        if written == whole[: len(written)]:
            break
        count -= 1
    return count


def _continuing(hypotheses: Sequence[Hypothesis], labels: tuple[int, ...]) -> Hypothesis:
    """The best hypothesis that begins with `labels`, if it is good enough; else the best."""
    least = hypotheses[0].score - HOLD_MARGIN
    for hypothesis in hypotheses:
        if hypothesis.tokens[: len(labels)] == labels and hypothesis.score >= least:
            return hypothesis
    return hypotheses[0]


def _common(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The longest beginning that all label sequences share."""
    return tuple(os.path.commonprefix([list(sequence) for sequence in sequences]))
