"""When words are said, on generated sound with known times."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.model.folder import load_model_folder
from asr.text import TokenizerConfig, train_tokenizer
from asr.transcribe.recognizer import Recognizer
from asr.transcribe.words.timing import SegmentLevels, labelled_words, timed_words
from asr.types import Segment, Transcript
from tests.conftest import RATE as MODEL_RATE
from tests.transcribe.tones import RATE, say, tones_model

TEXTS = [
    "the cat sat on the mat",
    "a b c",
    "it's that thing that they think",
    "one",
    "antidisestablishmentarianism is one word",
]
few = settings(max_examples=15)


@pytest.mark.parametrize(("kind", "size"), [("char", 40), ("unigram", 30), ("bpe", 40)])
def test_each_label_belongs_to_the_word_it_writes(kind: str, size: int, tmp_path: Path) -> None:
    config = TokenizerConfig.model_validate({"type": kind, "size": size})
    tokenizer = train_tokenizer(TEXTS * 3, config, tmp_path)
    for text in [*TEXTS, ""]:
        labels = tokenizer.encode(text)
        words = labelled_words(tokenizer.decode, labels)
        assert [word for word, _, _ in words] == text.split()
        for word, first, last in words:
            assert tokenizer.decode(labels[first : last + 1]) == word
        assert all(one[2] < other[1] for one, other in itertools.pairwise(words))


def test_unknown_characters_are_words_too(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, TokenizerConfig(type="unigram", size=30), tmp_path)
    labels = tokenizer.encode("the 猫 sat")
    text = tokenizer.decode(labels)
    assert [word for word, _, _ in labelled_words(tokenizer.decode, labels)] == text.split()


@given(
    places=st.lists(st.integers(0, 60), min_size=2, max_size=12),
    seed=st.integers(0, 1000),
    levels=st.integers(0, 400),
    bounds=st.tuples(st.floats(0, 2), st.floats(0, 2)),
)
def test_times_never_decrease_and_stay_within_the_segment(
    places: list[int], seed: int, levels: int, bounds: tuple[float, float]
) -> None:
    """Whatever the sound, and wherever the labels are."""
    spans = [(place, place + 1) for place in sorted(places)]
    words = [(str(n), n, n) for n in range(len(spans))]
    heard = np.random.default_rng(seed).uniform(-90, 0, levels)
    low, high = sorted(bounds)
    found = timed_words(words, spans, SegmentLevels(heard, 0.01, 0.04, 0.0425), 0.0, (low, high))
    times = [time for word in found for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(low <= time <= high for time in times)
    assert [word.text for word in found] == [text for text, _, _ in words]


def test_a_pause_is_heard_and_words_without_one_meet_where_it_is_quietest() -> None:
    levels = np.full(200, -80.0)
    levels[20:60] = levels[90:150] = -20.0  # words at 0.2 to 0.6 and 0.9 to 1.5 s
    sound = SegmentLevels(levels, 0.01, 0.04, 0.0425)
    words, spans = [("one", 0, 0), ("two", 1, 1)], [(8, 13), (30, 31)]
    found = timed_words(words, spans, sound, 10.0, (10.0, 12.0))
    assert [(word.start, word.end) for word in found] == [
        pytest.approx((10.2, 10.6)),
        pytest.approx((10.9, 11.5)),
    ]
    levels[60:90] = -20.0
    levels[113] = -26.0
    one, two = timed_words(words, spans, sound, 10.0, (10.0, 12.0))
    assert one.end == two.start == pytest.approx(11.135)


def test_a_word_that_was_not_recognised_belongs_to_none() -> None:
    levels = np.full(300, -80.0)
    for begin, end in ((20, 60), (90, 130), (170, 210)):
        levels[begin:end] = -20.0
    found = timed_words(
        [("one", 0, 0), ("three", 1, 1)],
        [(8, 9), (46, 47)],
        SegmentLevels(levels, 0.01, 0.04, 0.0425),
        0.0,
        (0.0, 3.0),
    )
    times = [(word.start, word.end) for word in found]
    assert times == [pytest.approx((0.2, 0.6)), pytest.approx((1.7, 2.1))]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer(tones_model(tmp_path_factory.mktemp("tones")))


talk = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from([0.2, 0.3, 0.5]),
        st.sampled_from([0.2, 0.45, 0.8, 1.6]),
    ),
    min_size=1,
    max_size=10,
)


@few
@given(words=talk, chunk=st.sampled_from([None, 160, 640]), floor=st.sampled_from([0.0, 1e-4]))
def test_words_are_where_they_sound(
    tones: Recognizer, words: list[tuple[str, float, float]], chunk: int | None, floor: float
) -> None:
    """A model that writes each tone as a letter has one word a segment: its ends are known."""
    parts, edges, place = [np.zeros(RATE // 4, np.float32)], [], 0.25
    for word, length, pause in words:
        parts += [say(word, length), np.zeros(round(pause * RATE), np.float32)]
        edges.append((place, place + length))
        place += length + pause
    sound = np.concatenate(parts)
    hiss = np.random.default_rng(0).normal(0, floor, len(sound)) if floor else 0.0
    found = tones.transcribe((sound + hiss).astype(np.float32), RATE, chunk_ms=chunk)
    for segment in found.segments:
        [word] = segment.words
        assert word.text == segment.text
        said = [
            edge for edge in edges if segment.start - 0.1 < edge[0] and edge[1] < segment.end + 0.1
        ]
        assert len(said) == len(word.text)
        assert word.start == pytest.approx(said[0][0], abs=0.06)
        assert word.end == pytest.approx(said[-1][1], abs=0.06)


def in_order(transcript: Transcript) -> None:
    for segment in transcript.segments:
        assert " ".join(word.text for word in segment.words) == segment.text
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert segment.start <= times[0] <= times[-1] <= segment.end


@pytest.mark.parametrize("chunk", [None, 160, 640])
def test_words_of_random_weights_are_in_order(
    tiny_model: Path, sound: np.ndarray, chunk: int | None
) -> None:
    model = Recognizer(load_model_folder(tiny_model))
    found = model.transcribe(sound, MODEL_RATE, chunk_ms=chunk, nbest=2)
    assert found.segments
    in_order(found)
    others = [other for segment in found.segments for other in segment.alternatives]
    assert others
    assert all(other.words == () for other in others)


def test_without_ctc_words_of_a_stream_have_no_times(tiny_model: Path, sound: np.ndarray) -> None:
    loaded = load_model_folder(tiny_model)
    loaded.model.ctc = None
    model = Recognizer(loaded)
    segments: tuple[Segment, ...] = model.transcribe(sound, MODEL_RATE, chunk_ms=640).segments
    assert segments
    assert all(segment.words == () for segment in segments)


def test_partial_segments_have_no_words_yet(tiny_model: Path, sound: np.ndarray) -> None:
    stream = Recognizer(load_model_folder(tiny_model)).stream(MODEL_RATE)
    update = stream.feed(sound)
    assert update.partial is not None
    assert update.partial.words == ()
    assert all(segment.words for segment in stream.flush().final)


def test_the_pause_before_a_short_word_is_not_the_one_behind_it() -> None:
    """Its label stands near its beginning, so that both pauses are within reach of it."""
    levels = np.full(200, -80.0)
    levels[20:60] = levels[90:113] = levels[150:180] = -20.0
    sound = SegmentLevels(levels, 0.01, 0.04, 0.0425)
    words = [("one", 0, 0), ("two", 1, 1), ("three", 2, 2)]
    found = timed_words(words, [(8, 13), (21, 22), (37, 40)], sound, 0.0, (0.0, 2.0))
    times = [time for word in found for time in (word.start, word.end)]
    assert times == pytest.approx([0.2, 0.6, 0.9, 1.13, 1.5, 1.8])
    last = timed_words(words[:2], [(8, 13), (21, 22)], sound, 0.0, (0.0, 2.0))
    assert (last[1].start, last[1].end) == pytest.approx((0.9, 1.13))
