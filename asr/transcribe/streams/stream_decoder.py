"""What the scheduler needs of the settings of a stream, and those of models that stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from asr.audio.samples import level_db
from asr.lm import LanguageModel
from asr.model import ASRModel, ChunkContext
from asr.search import PhraseTree, SearchConfig, SearchResult, all_scorers, continue_search
from asr.text import Labels
from asr.transcribe.streams.chunk_encoder import ChunkEncoder, EncodedChunk
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.open_segment import RIVALS, OpenSegment, SearchRequest
from asr.transcribe.streams.state import Request, StreamState
from asr.transcribe.words.align import align
from asr.transcribe.words.evidence import with_label_scores
from asr.transcribe.words.timing import WordTimer
from asr.types import Hypothesis, Segment, Word


class StreamDecoder(ABC):
    """A model and all settings of a stream. Streams of several decoders may share batches."""

    model: ASRModel
    endpoint: EndpointConfig
    timer: WordTimer
    language: str | None
    """Code of the language that is spoken, where the model has a choice and it is named."""

    @property
    @abstractmethod
    def encoder_key(self) -> Hashable:
        """Equal for decoders whose chunks one of them may `accept` together."""

    @abstractmethod
    def batch_key(self, request: Any) -> Hashable:
        """Equal for requests that one decoder may search in one batch."""

    @abstractmethod
    def initial_state(self) -> StreamState:
        """The state of a stream before its first sample."""

    @abstractmethod
    def needed(self, state: StreamState) -> int:
        """How many samples the next chunk takes."""

    @abstractmethod
    def accept(
        self, states: Sequence[StreamState], samples: Sequence[np.ndarray], final: bool
    ) -> list[list[Any]]:
        """Moves a chunk of samples (n,) into the state of each stream.

        The samples were just taken from the queue of the state.

        Returns:
            of each stream the searches that follow.
        """

    @abstractmethod
    def search_many(self, requests: Sequence[Any]) -> list[Any]:
        """The results of requests with the same `batch_key`."""

    @abstractmethod
    def final_segment(self, request: Any, result: Any, seconds: float) -> Segment | None:
        """The segment that has ended; None if its best hypothesis is empty.

        Args:
            seconds: those of the stream so far, behind which no segment ends.
        """

    def apply(self, state: StreamState, request: Any, result: Any) -> Segment | None:
        """Takes a result into the state it is of; returns the segment if one has ended."""
        if not request.final:
            state.update_partial(request, result, self)
            return None
        return self.final_segment(request, result, state.samples.taken / self.model.sample_rate)

    def text(self, labels: Sequence[int]) -> str:
        """See `SegmentWriter`."""
        return self.timer.text_of(labels)

    def segment(self, request: Request, hypotheses: Sequence[Hypothesis]) -> Segment | None:
        """See `SegmentWriter`."""
        seconds = self.model.encoder.frame_seconds
        start, end = request.start * seconds, request.end * seconds
        best, *others = (
            Segment(
                self.text(hypothesis.tokens),
                start,
                end,
                (),
                hypothesis.score,
                hypothesis.scores,
                hypothesis.tokens,
                language=hypothesis.language or self.language,
            )
            for hypothesis in hypotheses
        )
        return replace(best, alternatives=tuple(others)) if best.text else None


@dataclass(frozen=True)
class ChunkDecoder(StreamDecoder):
    """For models that stream: a chunk is encoded once, and searches go on where one stood."""

    model: ASRModel
    labels: Labels
    context: ChunkContext
    search: SearchConfig
    endpoint: EndpointConfig
    timer: WordTimer
    lm: LanguageModel | None = None
    hotwords: PhraseTree | None = None
    language: str | None = None
    prompt: tuple[int, ...] = ()
    """What the decoder is fed before the start of each segment."""

    def __post_init__(self) -> None:
        """Refuses a model that cannot stream before anything is read."""
        _ = self.encoder

    @cached_property
    def encoder(self) -> ChunkEncoder:
        """Turns samples into memory."""
        return ChunkEncoder(self.model, self.context)

    @cached_property
    def encoder_key(self) -> Hashable:
        """See `StreamDecoder.encoder_key`: the batch of the encoder."""
        return id(self.model), self.context

    @cached_property
    def search_key(self) -> Hashable:
        """Equal for decoders whose segments may be one batch of the search."""
        phrases = self.hotwords.phrases if self.hotwords is not None else None
        return id(self.model), self.labels, id(self.lm), self.search, phrases, self.prompt

    def batch_key(self, request: SearchRequest) -> Hashable:
        """See `StreamDecoder.batch_key`; segments that ended and open ones are two batches."""
        return self.search_key, request.final

    @property
    def _blank(self) -> int | None:
        """CTC's blank label; None without CTC."""
        return self.labels.ctc_blank if self.model.ctc is not None else None

    def initial_state(self) -> StreamState:
        """See `StreamDecoder.initial_state`."""
        encoder = self.encoder
        segment = OpenSegment(encoder.frame_samples / self.model.sample_rate, self._blank)
        state = encoder.initial_state()
        return StreamState.new(state, self.endpoint, encoder.frame_samples, segment)

    def needed(self, state: StreamState) -> int:
        """See `StreamDecoder.needed`."""
        assert state.encoder is not None
        return self.encoder.needed(state.encoder)

    def accept(
        self, states: Sequence[StreamState], samples: Sequence[np.ndarray], final: bool
    ) -> list[list[Any]]:
        """See `StreamDecoder.accept`."""
        before = [state.encoder for state in states if state.encoder is not None]
        chunks = self.encoder.step(samples, before, final)
        return [
            self._accept(state, chunk, final) for state, chunk in zip(states, chunks, strict=True)
        ]

    def _accept(self, state: StreamState, chunk: EncodedChunk, final: bool) -> list[Any]:
        """Moves an encoded chunk into the state of its stream."""
        state.encoder, log_probs = chunk.state, chunk.log_probs
        samples = state.samples.frames(len(chunk.memory))
        steps = self.encoder.frame_samples // self.timer.step_samples
        levels = level_db(samples.reshape(len(samples), steps, self.timer.step_samples))
        frames = list[tuple[Any, ...]]()
        for frame, level in enumerate(levels):
            posteriors = None if log_probs is None else log_probs[frame]
            frames.append((chunk.memory[frame : frame + 1], posteriors, level))
        blanks: list[float | None] = [None] * len(frames)
        if log_probs is not None and self._blank is not None:
            blanks = np.exp(log_probs[:, self._blank]).tolist()
        return state.accept(frames, samples, blanks, final)

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        """See `StreamDecoder.search_many`."""
        # An open segment keeps several hypotheses: one may continue the partial text.
        final = requests[0].final
        nbest = self.search.nbest if final else min(self.search.beam, RIVALS)
        config = self.search.model_copy(update={"nbest": nbest})
        with torch.inference_mode():
            memory = pad_sequence([request.memory for request in requests], batch_first=True)
            sizes = [len(request.memory) for request in requests]
            lengths = torch.tensor(sizes, device=memory.device)
            scorers = all_scorers(
                self.model, self.labels, self.search, self.lm, self.hotwords, self.prompt
            )
            prefixes = [request.prefixes for request in requests]
            return continue_search(scorers, memory, lengths, self.labels, config, prefixes)

    def final_segment(
        self, request: SearchRequest, result: SearchResult, seconds: float
    ) -> Segment | None:
        """See `StreamDecoder.final_segment`."""
        segment = self.segment(request, result.hypotheses[: self.search.nbest])
        if segment is None:
            return None
        segment = replace(segment, end=min(segment.end, seconds))
        return replace(segment, words=self._words(request, result.hypotheses[0], segment))

    def _words(
        self, request: SearchRequest, best: Hypothesis, segment: Segment
    ) -> tuple[Word, ...]:
        """The words of a segment that ended; none without CTC."""
        if request.log_probs is None or request.levels is None:
            return ()
        spans = align(request.log_probs, best.tokens, self.labels.ctc_blank)
        best = replace(best, spans=tuple(spans))
        lm = self.lm if self.search.lm_weight else None
        lengths = torch.tensor([len(request.memory)], device=request.memory.device)
        memory, log_probs = request.memory[None], [request.log_probs]
        [best] = with_label_scores(
            self.model, self.labels, [best], memory, lengths, log_probs, lm, self.prompt
        )
        begin = request.first_frame * self.model.encoder.frame_seconds
        return self.timer.words(best, request.levels, begin, (segment.start, segment.end))
