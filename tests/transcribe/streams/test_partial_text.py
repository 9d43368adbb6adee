"""Which labels of a search's result are in the partial text, and which are decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from asr.search import SearchResult
from asr.transcribe.streams import open_segment as rules
from asr.transcribe.streams.chunk_encoder import ChunkEncoderState
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.open_segment import OpenSegment, SearchRequest
from asr.transcribe.streams.state import StreamState, last_border
from asr.types import Hypothesis, Segment

RATE, FRAME = 1000, 40
LETTERS = {1: "a", 2: "b", 3: "c", 4: "d"}


class Writer:
    """Each label is a word."""

    def text(self, labels: Sequence[int]) -> str:
        return " ".join(LETTERS[label] for label in labels)

    def segment(self, request: SearchRequest, hypotheses: Sequence[Hypothesis]) -> Segment | None:
        text = self.text(hypotheses[0].tokens)
        return Segment(text, 0.0, 1.0) if text else None


@pytest.fixture
def state() -> StreamState:
    encoder = ChunkEncoderState(None, None)  # type: ignore[arg-type]
    segment = OpenSegment(FRAME / RATE, blank=0, memory=[torch.zeros(1, 1)] * 100)
    return StreamState.new(encoder, EndpointConfig(), FRAME, segment)


def search(
    state: StreamState, frames: int, labels: dict[int, int], *results: tuple[str, float]
) -> None:
    """A search after so many frames; CTC has the label of each frame in `labels`."""
    posteriors = np.full((frames, 5), -9.0)
    posteriors[:, 0] = 0.0
    for place, label in labels.items():
        posteriors[place, [0, label]] = -9.0, 0.0
    state.open.log_probs = list(posteriors)
    numbers = {letter: label for label, letter in LETTERS.items()}
    hypotheses = [Hypothesis(tuple(numbers[x] for x in text), score) for text, score in results]
    prefixes = state.open.prefixes
    request = SearchRequest(torch.zeros(frames, 1), prefixes, 0, frames, False)
    result = open_at_each_label(hypotheses, len(prefixes[0]))
    state.update_partial(request, result, Writer())


def open_at_each_label(hypotheses: list[Hypothesis], begun: int) -> SearchResult:
    """As if all of them had been open as long as they had more labels."""
    longest = max(len(one.tokens) for one in hypotheses)
    beams = [
        list({one.tokens[:n]: one.score for one in hypotheses if len(one.tokens) >= n}.items())
        for n in range(begun, longest + 1)
    ]
    return SearchResult(hypotheses, beams, begun)


def shown(state: StreamState) -> tuple[str, str]:
    """The partial text, and what of it is stable."""
    text = state.partial.text if state.partial else ""
    return text, text[: state.stable]


def test_new_words_wait_and_old_ones_are_decided(state: StreamState) -> None:
    assert rules.SETTLED_SECONDS > rules.LAST_PART_SECONDS
    places = {5: 1, 12: 2, 24: 3}
    search(state, 20, {5: 1, 12: 2}, ("ab", -1.0))  # a begins 0.6 s before the end, b 0.32 s
    assert shown(state) == ("a", "")
    search(state, 28, places, ("abc", -1.0))
    assert shown(state) == ("a b", "a")  # a is 0.92 s old, b 0.64 s
    search(state, 44, places, ("abc", -1.0))
    assert state.open.decided == (1, 2, 3)
    assert shown(state) == ("a b c", "a b")  # the last word may grow


def test_what_rivals_say_otherwise_is_searched_on_until_it_is_old(state: StreamState) -> None:
    places = {5: 1, 12: 2, 24: 3}
    lag = round((rules.CERTAIN_SECONDS - rules.SETTLED_SECONDS) * RATE / FRAME)
    several = (("abc", -1.0), ("adc", -1.5), ("bbc", -1.1 - rules.OPEN_MARGIN))
    search(state, 48, places, *several)
    assert state.open.prefixes == ((1, 2, 3), (1, 4, 3))
    assert shown(state) == ("a b c", "a")
    search(state, 48 + lag - 1, places, *several[:2])
    assert state.open.prefixes == ((1, 2, 3), (1, 4, 3))
    search(state, 48 + lag, places, *several[:2])
    assert state.open.prefixes == ((1, 2, 3),)
    assert shown(state) == ("a b c", "a b")


@pytest.mark.parametrize(
    ("text", "count", "stable"),
    [
        ("", 0, 0),
        ("mister qui", 10, 6),
        ("mister quilter is", 10, 6),
        ("mister quilter is", 14, 14),
        ("mister quilter is", 13, 6),
        ("mister", 3, 0),
        ("今天天气", 3, 3),
        ("今天 ok", 5, 2),
    ],
)
def test_the_stable_part_ends_where_a_word_ends(text: str, count: int, stable: int) -> None:
    assert last_border(text, count) == stable


def test_what_was_shown_is_held_against_a_little_better_hypothesis(state: StreamState) -> None:
    places = {5: 1, 20: 3}
    search(state, 21, places, ("ac", -1.0))
    assert shown(state) == ("a", "")
    search(state, 21, places, ("bc", -1.0), ("ac", -1.0 - rules.HOLD_MARGIN + 0.1))
    assert shown(state)[0] == "a"
    search(state, 21, places, ("bc", -1.0), ("ac", -1.0 - rules.HOLD_MARGIN - 0.1))
    assert shown(state)[0] == "b"


def test_what_was_shown_stays_while_it_is_still_said(state: StreamState) -> None:
    """Even if CTC places its last word later than before."""
    search(state, 28, {5: 1, 13: 2, 27: 3}, ("abc", -1.0))
    assert shown(state)[0] == "a b"
    search(state, 29, {5: 1, 22: 2, 28: 3}, ("abc", -1.0))
    assert shown(state)[0] == "a b"


def test_without_ctc_successive_searches_must_agree(state: StreamState) -> None:
    def search_without(frames: int, *results: tuple[tuple[int, ...], float]) -> None:
        hypotheses = [Hypothesis(tokens, score) for tokens, score in results]
        request = SearchRequest(torch.zeros(frames, 1), ((),), 0, frames, False)
        state.update_partial(request, SearchResult(hypotheses, [[((), 0.0)]], 0), Writer())

    for frames in (20, 30):
        search_without(frames, ((1, 2), -1.0), ((1, 3), -2.0))
        assert shown(state) == ("a b", "")
    search_without(40, ((1, 2), -1.0), ((1, 3), -2.0))
    assert shown(state) == ("a b", "a")
    search_without(60, ((1, 2), -1.0), ((1, 3), -9.0))
    assert shown(state) == ("a b", "a")
    search_without(80, ((1, 2), -1.0))
    assert state.open.decided == (1, 2)
    assert shown(state) == ("a b", "a")
