"""Streams of models that cannot stream: each segment is decoded as a segment of a file is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.model import ASRModel
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.reencoded_segment import DecodeRequest, ReencodedSegment, continued
from asr.transcribe.streams.state import StreamState
from asr.transcribe.streams.stream_decoder import StreamDecoder
from asr.transcribe.words.timing import WordTimer
from asr.types import Hypothesis, Segment

#: Segments (N,) of samples to the best hypotheses of each, as `SegmentDecoder` does it.
Decode = Callable[[Sequence[np.ndarray]], list[list[Hypothesis]]]


@dataclass(frozen=True)
class ReencodingDecoder(StreamDecoder):
    """Decodes the open segment again and again as it grows, and once more when it has ended.

    Attributes:
        chunk: frames of a chunk; the open segment is looked at behind each.
        decode_in: gives what decodes segments in the language of a code; with None as files are
            decoded, where the language may be detected.
        search_key: equal for decoders whose `decode_in` give the same.
    """

    model: ASRModel
    endpoint: EndpointConfig
    timer: WordTimer
    chunk: int
    decode_in: Callable[[str | None], Decode]
    search_key: Hashable
    language: str | None = None

    @property
    def encoder_key(self) -> Hashable:
        """See `StreamDecoder.encoder_key`; nothing is encoded before a search is due."""
        return id(self)

    def batch_key(self, request: DecodeRequest) -> Hashable:
        """See `StreamDecoder.batch_key`."""
        return self.search_key, request.language if self.language is None else None

    @property
    def _frame_samples(self) -> int:
        return round(self.model.encoder.frame_seconds * self.model.sample_rate)

    def initial_state(self) -> StreamState:
        """See `StreamDecoder.initial_state`."""
        segment = ReencodedSegment(self._frame_samples / self.model.sample_rate)
        return StreamState.new(None, self.endpoint, self._frame_samples, segment)

    def needed(self, state: StreamState) -> int:
        """See `StreamDecoder.needed`."""
        return self.chunk * self._frame_samples

    def accept(
        self, states: Sequence[StreamState], samples: Sequence[np.ndarray], final: bool
    ) -> list[list[DecodeRequest]]:
        """See `StreamDecoder.accept`."""
        size, accepted = self._frame_samples, []
        for state, chunk in zip(states, samples, strict=True):
            frames = [(chunk[start : start + size],) for start in range(0, len(chunk), size)]
            padded = state.samples.frames(len(frames))
            accepted.append(state.accept(frames, padded, [None] * len(frames), final))
        return accepted

    def search_many(self, requests: Sequence[DecodeRequest]) -> list[list[Hypothesis]]:
        """See `StreamDecoder.search_many`."""
        decode = self.decode_in(requests[0].language)
        return decode([request.samples for request in requests])

    def final_segment(
        self, request: DecodeRequest, result: list[Hypothesis], seconds: float
    ) -> Segment | None:
        """See `StreamDecoder.final_segment`."""
        best = continued(request.stable, result[0], self.text)
        segment = self.segment(request, [best, *result[1:]])
        if segment is None:
            return None
        segment = replace(segment, end=min(segment.end, seconds))
        levels = self.timer.levels(request.samples)
        begin = request.first_frame * self.model.encoder.frame_seconds
        words = self.timer.words(best, levels, begin, (segment.start, segment.end))
        return replace(segment, words=words)
