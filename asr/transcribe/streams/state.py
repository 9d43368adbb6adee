"""The state of one stream between two chunks: samples, encoder, endpointer, open segment.

Each chunk gives requests to search:

- A segment that the endpointer ends is searched, as a segment of a file is.
- The open segment is searched as if it ended now, as often as its kind says (`OpenSegment` of
  streaming encoders, `ReencodedSegment` of others).

The size of the state is bounded by the longest segment and the samples that are queued. It can be
pickled, and copied: a copy may be advanced while the original stays as it was.
"""

from __future__ import annotations

import os.path
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from asr.audio.samples import level_db
from asr.search.phrases import in_unspaced_script
from asr.transcribe.streams.chunk_encoder import ChunkEncoderState
from asr.transcribe.streams.endpoint import Cut, EndpointConfig, Endpointer
from asr.types import Hypothesis, Segment, SpeechEvent, StreamUpdate

if TYPE_CHECKING:
    from typing_extensions import Self


class Request(Protocol):
    """A segment to search."""

    @property
    def start(self) -> int:
        """The first frame of its sound, in the stream."""
        ...

    @property
    def end(self) -> int:
        """The frame behind the last of its sound."""
        ...

    @property
    def final(self) -> bool:
        """Whether the segment has ended."""
        ...

    @property
    def frames(self) -> int:
        """How many frames of the segment are searched."""
        ...


class GrowingSegment(Protocol):
    """The open segment of a stream: what is kept of its frames, and what the searches gave."""

    frame_seconds: float
    start: int
    """Its first frame, in the stream."""

    @property
    def decided(self) -> tuple[int, ...]:
        """The labels that cannot change any more."""
        ...

    def copy(self) -> Self:
        """A segment that goes on independently of this one."""
        ...

    def append(self, *frame: Any) -> None:
        """Adds a frame."""
        ...

    def after(self, frames: int) -> Self:
        """A new segment that begins behind the first `frames` frames of this one."""
        ...

    def is_due(self, frames: int, label_frames: int) -> bool:
        """Whether to search the first `frames` frames, `label_frames` of which hold a label."""
        ...

    def open_request(self, frames: int, first: int, label_frames: int) -> Any:
        """The search of the first `frames` frames, as if the segment ended there.

        Args:
            first: the first frame that is not silence.
            label_frames: how many frames hold a label.
        """
        ...

    def final_request(self, cut: Cut) -> Any:
        """The search of the part that a cut ends."""
        ...

    def update(
        self, frames: int, result: Any, text_of: Callable[[Sequence[int]], str]
    ) -> Hypothesis:
        """Takes the result of the search of the first `frames` frames.

        Returns:
            the hypothesis of the partial text.
        """
        ...


class SegmentWriter(Protocol):
    """Turns labels into text and segments."""

    def text(self, labels: Sequence[int]) -> str:
        """The text of labels."""
        ...

    def segment(self, request: Request, hypotheses: Sequence[Hypothesis]) -> Segment | None:
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

    encoder: ChunkEncoderState | None
    """None where the encoder has no state."""
    endpointer: Endpointer
    samples: SampleQueue
    open: GrowingSegment
    partial: Segment | None = None
    stable: int = 0
    speaking: bool = False
    """Whether speech has begun and not ended."""
    speech: tuple[SpeechEvent, ...] = ()
    """Where it began and ended since the last update."""

    @classmethod
    def new(
        cls,
        encoder: ChunkEncoderState | None,
        config: EndpointConfig,
        frame_samples: int,
        segment: GrowingSegment,
    ) -> StreamState:
        """The state before the first sample, with an empty segment."""
        endpointer = Endpointer(config, segment.frame_seconds)
        return cls(encoder, endpointer, SampleQueue(frame_samples), segment)

    def copy(self) -> StreamState:
        """A state that goes on independently of this one."""
        return replace(
            self,
            endpointer=self.endpointer.copy(),
            samples=self.samples.copy(),
            open=self.open.copy(),
        )

    def accept(
        self,
        frames: Sequence[tuple[Any, ...]],
        samples: np.ndarray,
        blanks: Sequence[float | None],
        final: bool,
    ) -> list[Any]:
        """Adds the frames of a chunk; returns the searches that follow.

        Args:
            frames: what the open segment keeps of each.
            samples: those that the frames span, (n, samples of a frame).
            blanks: of each frame the posterior of CTC's blank, None where it is not known.
            final: the stream ends.
        """
        requests = []
        levels = level_db(samples).tolist()
        for frame, level, blank in zip(frames, levels, blanks, strict=True):
            self.open.append(*frame)
            cut = self.endpointer.push(level, blank)
            if cut:
                requests += self._cut(cut)
            if self.endpointer.label_frames and not self.speaking:
                self._report("begin", self.endpointer.bounds()[0])
        count, label_frames = self.endpointer.frames, self.endpointer.label_frames
        if final and label_frames:
            requests += self._cut(Cut(count, True, *self.endpointer.bounds()))
        elif self.open.is_due(count, label_frames):
            first, _ = self.endpointer.bounds()
            requests.append(self.open.open_request(count, first, label_frames))
        return requests

    def _cut(self, cut: Cut) -> list[Any]:
        """Ends the open segment, or drops silence before it."""
        requests = []
        if cut.speech:
            requests.append(self.open.final_request(cut))
            self._report("end", cut.last)
            self.partial, self.stable = None, 0
        self.open = self.open.after(cut.frames)
        return requests

    def _report(self, kind: Literal["begin", "end"], frame: int) -> None:
        """Notes that speech begins or ends at a frame of the open segment."""
        self.speaking = kind == "begin"
        taken = self.samples.taken / self.samples.frame_samples  # the last frame may be padded
        time = min(self.open.start + frame, taken) * self.open.frame_seconds
        self.speech += (SpeechEvent(kind, time),)

    def update_partial(self, request: Request, result: Any, writer: SegmentWriter) -> None:
        """Takes the result of the search of the open segment."""
        hypothesis = self.open.update(request.frames, result, writer.text)
        self.partial = writer.segment(request, [hypothesis])
        decided = writer.text(self.open.decided)
        text = self.partial.text if self.partial else ""
        self.stable = last_border(text, len(os.path.commonprefix([decided, text])))

    def update(self, final: Sequence[Segment]) -> StreamUpdate:
        """What a caller gets, with the segments that ended since the last call."""
        speech, self.speech = self.speech, ()
        return StreamUpdate(tuple(final), self.partial, self.stable, speech=speech)


def last_border(text: str, count: int) -> int:
    """How many of the first `count` characters are whole words.

    The last word of the text may grow: it is not counted before something follows it. In scripts
    that are written without spaces each character is a word.
    """
    while count and not (text[count : count + 1].isspace() or in_unspaced_script(text[count - 1])):
        count -= 1
    return count
