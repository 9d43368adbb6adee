"""What of a search's result is shown, and what is decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from asr.search import SearchResult
from asr.transcribe.streams import state as rules
from asr.transcribe.streams.chunk_encoder import ChunkEncoderState
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.state import SearchRequest, StreamState
from asr.types import Hypothesis, Segment

RATE, FRAME = 1000, 40
LETTERS = {1: "a", 2: "b", 3: "c", 4: "d"}


class Writer:
    """Each label is a word."""

    def text(self, labels: Sequence[int]) -> str:
        return " ".join(LETTERS[label] for label in labels)

    def segment(self, question: SearchRequest, found: Sequence[Hypothesis]) -> Segment | None:
        text = self.text(found[0].tokens)
        return Segment(text, 0.0, 1.0) if text else None


@pytest.fixture
def track() -> StreamState:
    encoder = ChunkEncoderState(None, None)  # type: ignore[arg-type]
    made = StreamState.new(encoder, EndpointConfig(), FRAME, 10, RATE, blank=0)
    made.open.memory = [torch.zeros(1, 1)] * 100
    return made


def hear(track: StreamState, frames: int, said: dict[int, int], *found: tuple[str, float]) -> None:
    """A search after so many frames; CTC hears the label of each place in `said`."""
    posteriors = np.full((frames, 5), -9.0)
    posteriors[:, 0] = 0.0
    for place, label in said.items():
        posteriors[place, [0, label]] = -9.0, 0.0
    track.open.log_probs = list(posteriors)
    numbers = {letter: label for label, letter in LETTERS.items()}
    hypotheses = [Hypothesis(tuple(numbers[x] for x in text), score) for text, score in found]
    begun = track.open.begun
    question = SearchRequest(torch.zeros(frames, 1), begun, 0, frames, False)
    track.show(question, open_at_each_label(hypotheses, len(begun[0])), Writer())


def open_at_each_label(hypotheses: list[Hypothesis], begun: int) -> SearchResult:
    """As if all of them had been open as long as they had more labels."""
    longest = max(len(one.tokens) for one in hypotheses)
    beams = [
        list({one.tokens[:n]: one.score for one in hypotheses if len(one.tokens) >= n}.items())
        for n in range(begun, longest + 1)
    ]
    return SearchResult(hypotheses, beams, begun)


def shown(track: StreamState) -> tuple[str, str]:
    """The partial text, and what of it is stable."""
    text = track.partial.text if track.partial else ""
    return text, text[: track.stable]


def test_new_words_wait_and_old_ones_are_decided(track: StreamState) -> None:
    assert rules.SETTLED_SECONDS > rules.LAST_PART_SECONDS
    places = {5: 1, 12: 2, 24: 3}
    hear(track, 20, {5: 1, 12: 2}, ("ab", -1.0))  # a begins 0.6 s before the end, b 0.32 s
    assert shown(track) == ("a", "")
    hear(track, 28, places, ("abc", -1.0))
    assert shown(track) == ("a b", "a")  # a is 0.92 s old, b 0.64 s
    hear(track, 44, places, ("abc", -1.0))
    assert shown(track) == ("a b c", "a b c")  # even the last word cannot grow when it is 0.8 s old


def test_what_rivals_say_otherwise_is_searched_on_until_it_is_old(track: StreamState) -> None:
    places = {5: 1, 12: 2, 24: 3}
    lag = round((rules.CERTAIN_SECONDS - rules.SETTLED_SECONDS) * RATE / FRAME)
    several = (("abc", -1.0), ("adc", -1.5), ("bbc", -1.1 - rules.OPEN_MARGIN))
    hear(track, 48, places, *several)
    assert track.open.begun == ((1, 2, 3), (1, 4, 3))
    assert shown(track) == ("a b c", "a")
    hear(track, 48 + lag - 1, places, *several[:2])
    assert track.open.begun == ((1, 2, 3), (1, 4, 3))
    hear(track, 48 + lag, places, *several[:2])
    assert track.open.begun == ((1, 2, 3),)
    assert shown(track) == ("a b c", "a b c")


def test_what_was_shown_is_held_against_a_little_better_hypothesis(track: StreamState) -> None:
    places = {5: 1, 20: 3}
    hear(track, 21, places, ("ac", -1.0))
    assert shown(track) == ("a", "")
    hear(track, 21, places, ("bc", -1.0), ("ac", -1.0 - rules.HOLD_MARGIN + 0.1))
    assert shown(track)[0] == "a"
    hear(track, 21, places, ("bc", -1.0), ("ac", -1.0 - rules.HOLD_MARGIN - 0.1))
    assert shown(track)[0] == "b"


def test_what_was_shown_stays_while_it_is_still_said(track: StreamState) -> None:
    """Even if CTC places its last word later than before."""
    hear(track, 28, {5: 1, 13: 2, 27: 3}, ("abc", -1.0))
    assert shown(track)[0] == "a b"
    hear(track, 29, {5: 1, 22: 2, 28: 3}, ("abc", -1.0))
    assert shown(track)[0] == "a b"


def test_without_ctc_successive_searches_must_agree(track: StreamState) -> None:
    def hear_without(frames: int, *found: tuple[tuple[int, ...], float]) -> None:
        hypotheses = [Hypothesis(tokens, score) for tokens, score in found]
        question = SearchRequest(torch.zeros(frames, 1), ((),), 0, frames, False)
        track.show(question, SearchResult(hypotheses, [[((), 0.0)]], 0), Writer())

    for frames in (20, 30):
        hear_without(frames, ((1, 2), -1.0), ((1, 3), -2.0))
        assert shown(track) == ("a b", "")
    hear_without(40, ((1, 2), -1.0), ((1, 3), -2.0))
    assert shown(track) == ("a b", "a")
    hear_without(60, ((1, 2), -1.0), ((1, 3), -9.0))
    assert shown(track) == ("a b", "a")
    hear_without(80, ((1, 2), -1.0))
    assert shown(track) == ("a b", "a b")
