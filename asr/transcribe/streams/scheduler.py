"""Advances many streams together: one chunk a stream a turn, batched by what they share.

In a turn the chunks of all streams with the same model and chunk context are one batch of the
encoder. The segments to search are batched by model, language model, search options and hotwords.

A turn works on copies of the states, which replace them when all of it has succeeded. If it raises,
its streams are advanced one by one, and only the streams that raise alone end with their error.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from asr.transcribe.streams.state import Request, StreamState
from asr.transcribe.streams.stream_decoder import StreamDecoder
from asr.types import Segment


@dataclass
class StreamRun:
    """A stream with its settings; `error` is the exception that ended it."""

    decoder: StreamDecoder
    state: StreamState
    ended: list[Segment] = field(default_factory=list)
    """Segments that ended and were not taken yet."""
    error: Exception | None = None

    @classmethod
    def new(cls, decoder: StreamDecoder) -> StreamRun:
        """A stream before its first sample."""
        return cls(decoder, decoder.initial_state())

    @property
    def chunk_samples(self) -> int:
        """Samples that the next chunk takes."""
        return self.decoder.needed(self.state)

    @property
    def ready(self) -> bool:
        """Whether a whole chunk is queued."""
        return self.error is None and self.state.samples.queued >= self.chunk_samples

    def take_ended(self) -> list[Segment]:
        """The segments that ended since the last call."""
        ended, self.ended = self.ended, []
        return ended


def advance(runs: Sequence[StreamRun], final: bool = False, max_chunks: int | None = None) -> None:
    """Decodes the chunks that are queued, in turns of one chunk a stream.

    Args:
        final: the streams end: the rest of their samples is decoded too.
        max_chunks: most chunks of each stream; the others stay queued. Not with `final`.
    """
    turns = 0
    while max_chunks is None or turns < max_chunks:
        ready = [run for run in runs if run.ready]
        if not ready:
            break
        _turn(ready, final=False)
        turns += 1
    if final:
        _turn([run for run in runs if run.error is None], final=True)


def _turn(runs: Sequence[StreamRun], final: bool) -> None:
    """One chunk of each stream; exceptions are kept by the streams that cause them."""
    if not runs:
        return
    failure: Exception | None = None
    try:
        _step(runs, final)
    except Exception as error:
        # The traceback holds the tensors of the batch: it is kept only where it is needed.
        failure = error if len(runs) == 1 else error.with_traceback(None)
    if failure is None:
        return
    if len(runs) == 1:
        runs[0].error = failure
        return
    if isinstance(failure, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
    for run in runs:
        _turn([run], final)


def _step(runs: Sequence[StreamRun], final: bool) -> None:
    """One chunk of each stream, all or none."""
    states = [run.state.copy() for run in runs]
    accepted = _encode(runs, states, final)
    requests = [(row, request) for row, some in enumerate(accepted) for request in some]
    results = _search([(runs[row].decoder, request) for row, request in requests])
    ended: list[list[Segment]] = [[] for _ in runs]
    for (row, request), result in zip(requests, results, strict=True):
        segment = runs[row].decoder.apply(states[row], request, result)
        if segment is not None:
            ended[row].append(segment)
    for run, state, segments in zip(runs, states, ended, strict=True):
        run.state = state
        run.ended += segments


def _encode(
    runs: Sequence[StreamRun], states: Sequence[StreamState], final: bool
) -> list[list[Request]]:
    """Moves the next chunk of each stream into its state; returns the searches that follow."""
    accepted: dict[int, list[Request]] = {}
    for rows in _groups(run.decoder.encoder_key for run in runs):
        decoder = runs[rows[0]].decoder
        counts = [states[row].samples.queued if final else runs[row].chunk_samples for row in rows]
        samples = [states[row].samples.take(n) for row, n in zip(rows, counts, strict=True)]
        batch = decoder.accept([states[row] for row in rows], samples, final)
        accepted.update(zip(rows, batch, strict=True))
    return [accepted[row] for row in range(len(runs))]


def _search(requests: Sequence[tuple[StreamDecoder, Request]]) -> list[Any]:
    """The results of all requests, batched by what they share."""
    results: dict[int, Any] = {}
    for places in _groups(decoder.batch_key(request) for decoder, request in requests):
        decoder, _ = requests[places[0]]
        batch = decoder.search_many([requests[place][1] for place in places])
        results.update(zip(places, batch, strict=True))
    return [results[place] for place in range(len(requests))]


def _groups(keys: Iterable[Hashable]) -> list[list[int]]:
    """The places of equal keys, in order of their first."""
    groups: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    return list(groups.values())
