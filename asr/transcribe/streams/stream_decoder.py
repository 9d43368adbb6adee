"""Takes tracks forward: chunks of many streams through one encoder step, and one search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.utils.rnn import pad_sequence

from asr.lm import LanguageModel
from asr.model import ASRModel, ChunkContext
from asr.search import PhraseTree, SearchConfig, SearchResult, all_scorers, continue_search
from asr.text import Labels
from asr.transcribe.streams.chunk_encoder import ChunkEncoder
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.state import RIVALS, SearchRequest, StreamState
from asr.transcribe.words.align import align
from asr.transcribe.words.evidence import with_label_scores
from asr.transcribe.words.timing import WordTimer
from asr.types import Hypothesis, Segment, Word


@dataclass(frozen=True)
class StreamDecoder:
    """A model and all settings of a stream; what streams share that have them in common."""

    model: ASRModel
    labels: Labels
    context: ChunkContext
    search: SearchConfig
    endpoint: EndpointConfig
    clock: WordTimer
    lm: LanguageModel | None = None
    hotwords: PhraseTree | None = None

    def __post_init__(self) -> None:
        """Refuses a model that cannot stream before anything is read."""
        _ = self.ear

    @property
    def ear(self) -> ChunkEncoder:
        """What turns samples into memory."""
        return ChunkEncoder(self.model, self.context)

    def track(self) -> StreamState:
        """A stream that has heard nothing yet."""
        ear = self.ear
        rate = self.model.sample_rate
        step = self.clock.step_samples
        blank = self.labels.ctc_blank if self.model.ctc is not None else None
        return StreamState.new(
            ear.initial_state(), self.endpoint, ear.frame_samples, step, rate, blank
        )

    def advance(self, tracks: Sequence[StreamState], final: bool) -> list[list[Segment]]:
        """Hears what waits in the tracks, chunk by chunk; `final` ends them all.

        Returns:
            the segments of each track that ended. Its open segment is in the track.
        """
        ear = self.ear
        ended: list[list[Segment]] = [[] for _ in tracks]
        places = range(len(tracks))
        while ready := [
            place
            for place in places
            if tracks[place].samples.waiting >= ear.needed(tracks[place].ear)
        ]:
            counts = [ear.needed(tracks[place].ear) for place in ready]
            self._step(ear, [tracks[n] for n in ready], counts, [ended[n] for n in ready], False)
        if final:
            counts = [track.samples.waiting for track in tracks]
            self._step(ear, tracks, counts, ended, True)
        for track in tracks:
            track.samples.settle()
        return ended

    def _step(
        self,
        ear: ChunkEncoder,
        tracks: Sequence[StreamState],
        counts: Sequence[int],
        ended: Sequence[list[Segment]],
        final: bool,
    ) -> None:
        """The next samples of some tracks, `counts` of each, and the searches that follow."""
        samples = [track.samples.take(count) for track, count in zip(tracks, counts, strict=True)]
        heard = ear.step(samples, [track.ear for track in tracks], final)
        asked = [
            (place, question)
            for place, (track, one) in enumerate(zip(tracks, heard, strict=True))
            for question in track.hear(one, final)
        ]
        found = self._search([question for _, question in asked])
        for (place, question), one in zip(asked, found, strict=True):
            track, hypotheses = tracks[place], one.hypotheses
            if not question.closed:
                track.show(question, one, self)
            elif segment := self.segment(question, hypotheses[: self.search.nbest]):
                sounded = track.samples.taken / self.model.sample_rate
                segment = replace(segment, end=min(segment.end, sounded))
                words = self._words(question, hypotheses[0], segment)
                ended[place].append(replace(segment, words=words))

    def _words(
        self, question: SearchRequest, best: Hypothesis, segment: Segment
    ) -> tuple[Word, ...]:
        """The words of a segment that ended; none without CTC."""
        if question.log_probs is None or question.levels is None:
            return ()
        spans = align(question.log_probs, best.tokens, self.labels.ctc_blank)
        best = replace(best, spans=tuple(spans))
        lm = self.lm if self.search.lm_weight else None
        lengths = torch.tensor([len(question.memory)], device=question.memory.device)
        memory, log_probs = question.memory[None], [question.log_probs]
        [best] = with_label_scores(self.model, self.labels, [best], memory, lengths, log_probs, lm)
        begin = question.place * self.model.encoder.frame_seconds
        return self.clock.words(best, question.levels, begin, (segment.start, segment.end))

    def _search(self, questions: Sequence[SearchRequest]) -> list[SearchResult]:
        """Closed segments in one search, open ones in another."""
        found: dict[int, SearchResult] = {}
        for closed in (True, False):
            places = [place for place, one in enumerate(questions) if one.closed == closed]
            if places:
                config = self._config(closed)
                together = self._search_alike([questions[place] for place in places], config)
                found.update(zip(places, together, strict=True))
        return [found[place] for place in range(len(questions))]

    def _config(self, closed: bool) -> SearchConfig:
        """How a segment is searched: an open one for the hypotheses that hold what was shown."""
        if closed:
            return self.search
        return self.search.model_copy(update={"nbest": min(self.search.beam, RIVALS)})

    def _search_alike(
        self, questions: Sequence[SearchRequest], config: SearchConfig
    ) -> list[SearchResult]:
        with torch.inference_mode():
            memory = pad_sequence([one.memory for one in questions], batch_first=True)
            lengths = torch.tensor([len(one.memory) for one in questions], device=memory.device)
            scorers = all_scorers(self.model, self.labels, self.search, self.lm, self.hotwords)
            return continue_search(
                scorers, memory, lengths, self.labels, config, [one.begun for one in questions]
            )

    def text(self, labels: Sequence[int]) -> str:
        """See `Writer`."""
        return self.clock.text_of(labels)

    def segment(self, question: SearchRequest, found: Sequence[Hypothesis]) -> Segment | None:
        """See `Writer`."""
        seconds = self.model.encoder.frame_seconds
        start, end = question.start * seconds, question.end * seconds
        best, *others = (
            Segment(self.text(one.tokens), start, end, (), one.score, one.scores, one.tokens)
            for one in found
        )
        return replace(best, alternatives=tuple(others)) if best.text else None
