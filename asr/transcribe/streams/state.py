"""The state of one stream between two chunks: samples, encoder, endpointer, open segment.

Each chunk of memory gives requests to search:

- A segment that the endpointer ends is searched over its memory, as a segment of a file is.
- The open segment is searched as if it ended now, after a chunk with a new label, and as long as
  labels are hidden; but at most once in `SEARCH_SECONDS` of sound.

The size of the state is bounded by the longest segment and the samples that are queued. It can be
pickled, and copied: a copy may be advanced while the original stays as it was.
"""

from __future__ import annotations

import os.path
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from asr.audio.samples import level_db
from asr.search import SearchResult
from asr.transcribe.streams.chunk_encoder import ChunkEncoderState, EncodedChunk
from asr.transcribe.streams.endpoint import Cut, EndpointConfig, Endpointer
from asr.transcribe.streams.open_segment import OpenSegment, SearchRequest
from asr.types import Hypothesis, Segment, StreamUpdate

#: From one search of the open segment to the next there is at least so much sound.
SEARCH_SECONDS = 0.32


class SegmentWriter(Protocol):
    """Turns labels into text and segments."""

    def text(self, labels: Sequence[int]) -> str:
        """The text of labels."""
        ...

    def segment(self, request: SearchRequest, hypotheses: Sequence[Hypothesis]) -> Segment | None:
        """The segment of a request; None if its best hypothesis is empty."""
        ...


class SampleQueue:
    """Samples that are not encoded yet, and those that are but belong to a later frame."""

    def __init__(self, frame_samples: int) -> None:
        self.frame_samples = frame_samples
        self.queued = 0
        """Samples that wait for the encoder."""
        self.taken = 0
        """Samples that the encoder got since the start."""
        self._blocks: deque[np.ndarray] = deque()
        self._unframed = np.zeros(0, np.float32)

    def copy(self) -> SampleQueue:
        """A queue that goes on independently of this one; blocks are shared, not copied."""
        queue = SampleQueue(self.frame_samples)
        queue.queued, queue.taken = self.queued, self.taken
        queue._blocks, queue._unframed = self._blocks.copy(), self._unframed
        return queue

    def put(self, block: np.ndarray) -> None:
        """Adds samples (n,), float32; they are not copied, and must not change afterwards."""
        if len(block):
            self._blocks.append(block)
            self.queued += len(block)

    def take(self, count: int) -> np.ndarray:
        """Removes the first `count` samples; at least as many must be queued."""
        parts, missing = [self._unframed[:0]], count
        while missing:
            block = self._blocks.popleft()
            parts.append(block[:missing])
            if len(block) > missing:
                self._blocks.appendleft(_detached(block[missing:]))
            missing -= len(parts[-1])
        self.queued -= count
        self.taken += count
        samples = np.concatenate(parts)
        self._unframed = np.concatenate([self._unframed, samples])
        return samples

    def frames(self, count: int) -> np.ndarray:
        """The samples (count, frame_samples) of the next frames; zeros behind the last sample.

        Before the end of the stream all of them must have been taken, as `ChunkEncoder.needed`
        makes sure: zeros would shift the frames that follow.
        """
        size = count * self.frame_samples
        samples, self._unframed = self._unframed[:size], self._unframed[size:].copy()
        return np.pad(samples, (0, size - len(samples))).reshape(count, self.frame_samples)


def _detached(rest: np.ndarray) -> np.ndarray:
    """`rest`, copied once it is a small part of the block it is a view of, which it keeps alive."""
    return rest.copy() if 2 * rest.nbytes <= getattr(rest.base, "nbytes", 0) else rest


@dataclass
class StreamState:
    """One stream, from samples at the model's rate on."""

    encoder: ChunkEncoderState
    endpointer: Endpointer
    samples: SampleQueue
    step_samples: int
    """Samples of a level for the times of words; a frame has a whole number of them."""
    open: OpenSegment
    partial: Segment | None = None
    stable: int = 0

    @classmethod
    def new(
        cls,
        encoder: ChunkEncoderState,
        config: EndpointConfig,
        frame_samples: int,
        step_samples: int,
        rate: int,
        blank: int | None,
    ) -> StreamState:
        """The state before the first sample; `blank` is CTC's, None without CTC."""
        seconds = frame_samples / rate
        endpointer, samples = Endpointer(config, seconds), SampleQueue(frame_samples)
        return cls(encoder, endpointer, samples, step_samples, OpenSegment(seconds, blank))

    def copy(self) -> StreamState:
        """A state that goes on independently of this one."""
        return replace(
            self,
            endpointer=self.endpointer.copy(),
            samples=self.samples.copy(),
            open=self.open.copy(),
        )

    def accept(self, chunk: EncodedChunk, final: bool) -> list[SearchRequest]:
        """Adds an encoded chunk; returns the searches that follow. `final`: the stream ends."""
        self.encoder, log_probs = chunk.state, chunk.log_probs
        requests = list[SearchRequest]()
        samples = self.samples.frames(len(chunk.memory))
        levels = level_db(samples)
        steps = self.samples.frame_samples // self.step_samples
        step_levels = level_db(samples.reshape(len(samples), steps, self.step_samples))
        blanks, blank_label = [None] * len(levels), self.open.blank
        if log_probs is not None and blank_label is not None:
            blanks = np.exp(log_probs[:, blank_label]).tolist()
        for frame, (level, blank) in enumerate(zip(levels.tolist(), blanks, strict=True)):
            posteriors = None if log_probs is None else log_probs[frame]
            self.open.append(chunk.memory[frame : frame + 1], posteriors, step_levels[frame])
            cut = self.endpointer.push(level, blank)
            if cut:
                requests += self._cut(cut)
        label_frames = self.endpointer.label_frames
        if final and label_frames:
            requests += self._cut(Cut(self.endpointer.frames, True, *self.endpointer.bounds()))
        elif self._is_search_due():
            first, _ = self.endpointer.bounds()
            requests.append(self.open.open_request(self.endpointer.frames, first, label_frames))
        return requests

    def _is_search_due(self) -> bool:
        """Whether the open segment may have new labels, and was not searched just before."""
        segment = self.open
        if self.endpointer.label_frames <= segment.searched_label_frames and not segment.has_hidden:
            return False
        pause = round(SEARCH_SECONDS / self.endpointer.frame_seconds)
        last = segment.searched_frames
        return last is None or self.endpointer.frames - last >= pause

    def _cut(self, cut: Cut) -> list[SearchRequest]:
        """Ends the open segment, or drops silence before it."""
        requests = []
        if cut.speech:
            requests.append(self.open.final_request(cut))
            self.partial, self.stable = None, 0
        self.open = self.open.after(cut.frames)
        return requests

    def update_partial(
        self, request: SearchRequest, result: SearchResult, writer: SegmentWriter
    ) -> None:
        """Takes the result of the search of the open segment."""
        hypothesis = self.open.update(len(request.memory), result, writer.text)
        self.partial = writer.segment(request, [hypothesis])
        decided = writer.text(self.open.decided)
        text = self.partial.text if self.partial else ""
        self.stable = len(os.path.commonprefix([decided, text]))

    def update(self, final: Sequence[Segment]) -> StreamUpdate:
        """What a caller gets, with the segments that ended since the last call."""
        return StreamUpdate(tuple(final), self.partial, self.stable)
