"""The settings of a stream: what its chunks are encoded, searched and written with."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch.nn.utils.rnn import pad_sequence

from asr.lm import LanguageModel
from asr.model import ASRModel, ChunkContext
from asr.search import PhraseTree, SearchConfig, SearchResult, all_scorers, continue_search
from asr.text import Labels
from asr.transcribe.streams.chunk_encoder import ChunkEncoder
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.open_segment import RIVALS, SearchRequest
from asr.transcribe.streams.state import StreamState
from asr.transcribe.words.align import align
from asr.transcribe.words.evidence import with_label_scores
from asr.transcribe.words.timing import WordTimer
from asr.types import Hypothesis, Segment, Word


@dataclass(frozen=True)
class StreamDecoder:
    """A model and all settings of a stream. Streams of several decoders may share batches."""

    model: ASRModel
    labels: Labels
    context: ChunkContext
    search: SearchConfig
    endpoint: EndpointConfig
    timer: WordTimer
    lm: LanguageModel | None = None
    hotwords: PhraseTree | None = None
    language: str | None = None
    """Code of the language that is spoken, where the model has a choice."""

    def __post_init__(self) -> None:
        """Refuses a model that cannot stream before anything is read."""
        _ = self.encoder

    @cached_property
    def encoder(self) -> ChunkEncoder:
        """Turns samples into memory."""
        return ChunkEncoder(self.model, self.context)

    @cached_property
    def encoder_key(self) -> Hashable:
        """Equal for decoders whose chunks may be one batch of the encoder."""
        return id(self.model), self.context

    @cached_property
    def search_key(self) -> Hashable:
        """Equal for decoders whose segments may be one batch of the search."""
        phrases = self.hotwords.phrases if self.hotwords is not None else None
        return id(self.model), self.labels, id(self.lm), self.search, phrases

    def initial_state(self) -> StreamState:
        """The state of a stream before its first sample."""
        encoder = self.encoder
        return StreamState.new(
            encoder.initial_state(),
            self.endpoint,
            encoder.frame_samples,
            self.timer.step_samples,
            self.model.sample_rate,
            self.labels.ctc_blank if self.model.ctc is not None else None,
        )

    def search_many(self, requests: Sequence[SearchRequest], final: bool) -> list[SearchResult]:
        """Searches segments of decoders with the same `search_key` in one batch.

        Args:
            requests: all are of segments that have ended, or all of open ones, as `final` says.
        """
        # An open segment keeps several hypotheses: one may continue the partial text.
        nbest = self.search.nbest if final else min(self.search.beam, RIVALS)
        config = self.search.model_copy(update={"nbest": nbest})
        with torch.inference_mode():
            memory = pad_sequence([request.memory for request in requests], batch_first=True)
            sizes = [len(request.memory) for request in requests]
            lengths = torch.tensor(sizes, device=memory.device)
            scorers = all_scorers(self.model, self.labels, self.search, self.lm, self.hotwords)
            prefixes = [request.prefixes for request in requests]
            return continue_search(scorers, memory, lengths, self.labels, config, prefixes)

    def apply(
        self, state: StreamState, request: SearchRequest, result: SearchResult
    ) -> Segment | None:
        """Takes a result into the state it is of; returns the segment if one has ended."""
        if not request.final:
            state.update_partial(request, result, self)
            return None
        segment = self.segment(request, result.hypotheses[: self.search.nbest])
        if segment is None:
            return None
        seconds = state.samples.taken / self.model.sample_rate
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
        [best] = with_label_scores(self.model, self.labels, [best], memory, lengths, log_probs, lm)
        begin = request.first_frame * self.model.encoder.frame_seconds
        return self.timer.words(best, request.levels, begin, (segment.start, segment.end))

    def text(self, labels: Sequence[int]) -> str:
        """See `SegmentWriter`."""
        return self.timer.text_of(labels)

    def segment(self, request: SearchRequest, hypotheses: Sequence[Hypothesis]) -> Segment | None:
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
                language=self.language,
            )
            for hypothesis in hypotheses
        )
        return replace(best, alternatives=tuple(others)) if best.text else None
