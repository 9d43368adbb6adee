"""No word is lost or doubled where segments meet, in streams and in files cut at pauses."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.types import Transcript
from tests.conftest import REPOSITORY
from tests.transcribe.tones import RATE, WORDS, say, tones_model

DIGITS = REPOSITORY / "recipes" / "digits" / "exp" / "digits" / "model"
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer(tones_model(tmp_path_factory.mktemp("tones")))


talk = st.lists(
    st.tuples(
        st.sampled_from(WORDS),
        st.sampled_from([0.2, 0.3, 0.5]),
        st.sampled_from([0.2, 0.3, 0.45, 0.6, 0.7, 0.8, 1.0, 1.45, 2.3]),
    ),
    min_size=1,
    max_size=25,
)
rules = st.builds(
    EndpointConfig,
    max_segment_seconds=st.sampled_from([4.0, 20.0]),
    silence_seconds=st.sampled_from([0.3, 0.7]),
)


def sound_of(words: list[tuple[str, float, float]], floor: float) -> np.ndarray:
    parts = [np.zeros(RATE // 5, np.float32)]
    for word, length, pause in words:
        parts += [say(word, length), np.zeros(round(pause * RATE), np.float32)]
    sound = np.concatenate(parts)
    hiss = np.random.default_rng(0).normal(0, floor, len(sound)) if floor else 0.0
    return (sound + hiss).astype(np.float32)


def ordered(transcript: Transcript) -> None:
    times = [time for segment in transcript.segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
    assert all(0 <= time <= transcript.duration for time in times)


@settings(max_examples=25)
@given(
    words=talk,
    endpoint=rules,
    chunk=st.sampled_from([160, 640, 1280]),
    floor=st.sampled_from([0.0, 1e-4]),
)
def test_words_joined_with_pauses_of_any_length_are_the_words(
    tones: Recognizer,
    words: list[tuple[str, float, float]],
    endpoint: EndpointConfig,
    chunk: int,
    floor: float,
) -> None:
    sound = sound_of(words, floor)
    expected = "".join(word for word, _, _ in words)
    streamed = tones.transcribe(sound, RATE, chunk_ms=chunk, endpoint=endpoint)
    assert streamed.text.replace(" ", "") == expected
    ordered(streamed)
    cut = tones.transcribe(sound, RATE, endpoint=endpoint)
    assert cut.text.replace(" ", "") == expected
    ordered(cut)


def test_segments_begin_and_end_where_they_sound(tones: Recognizer) -> None:
    sound = sound_of([("a", 0.5, 2.0), ("b", 0.5, 0.3), ("c", 0.5, 2.0)], 1e-4)
    segments = tones.transcribe(sound, RATE, chunk_ms=640).segments
    assert [segment.text for segment in segments] == ["a", "bc"]
    bounds = [time for segment in segments for time in (segment.start, segment.end)]
    assert bounds == pytest.approx([0.2, 0.7, 2.7, 4.0], abs=0.11)


def test_speech_begins_and_ends_where_it_sounds(tones: Recognizer) -> None:
    sound = sound_of([("a", 0.5, 2.0), ("b", 0.5, 0.3), ("c", 0.5, 2.0)], 1e-4)
    for size in (1000, len(sound)):
        stream = tones.stream(RATE, chunk_ms=160)
        updates = [stream.feed(sound[at : at + size]) for at in range(0, len(sound), size)]
        updates.append(stream.flush())
        events = [event for update in updates for event in update.speech]
        assert [event.type for event in events] == ["begin", "end", "begin", "end"]
        times = [event.time for event in events]
        assert times == pytest.approx([0.2, 0.7, 2.7, 4.0], abs=0.11)
        finals = [segment for update in updates for segment in update.final]
        assert times[1::2] == [segment.end for segment in finals]


def test_speech_that_goes_on_at_the_end_of_the_stream_ends_there(tones: Recognizer) -> None:
    sound = sound_of([("a", 0.5, 0.0)], 1e-4)
    stream = tones.stream(RATE, chunk_ms=160)
    begun = stream.feed(sound).speech
    assert [event.type for event in begun] == ["begin"]
    [end] = stream.flush().speech
    assert end.type == "end"
    assert begun[0].time < end.time <= len(sound) / RATE


def test_an_update_says_whether_its_partial_text_changed(tones: Recognizer) -> None:
    sound = sound_of([*((word, 0.3, 0.3) for word in "abcd"), ("a", 0.3, 2.0)], 1e-4)
    stream = tones.stream(RATE, chunk_ms=160)
    before, changes = "", 0
    for start in range(0, len(sound), 1000):
        update = stream.feed(sound[start : start + 1000])
        text = update.partial.text if update.partial else ""
        assert update.changed == (text != before)
        before, changes = text, changes + update.changed
    assert 4 <= changes < len(sound) / 2000


def test_partial_text_grows_word_by_word(tones: Recognizer) -> None:
    # The last word is shown when it is old enough not to grow.
    sound = sound_of([*((word, 0.3, 0.3) for word in "abcdabc"), ("d", 0.3, 0.6)], 1e-4)
    stream = tones.stream(RATE, chunk_ms=160)
    shown: list[tuple[str, int]] = []
    for start in range(0, len(sound), 1000):
        update = stream.feed(sound[start : start + 1000])
        decided = len(stream._run.state.open.decided)
        if update.partial and (not shown or shown[-1] != (update.partial.text, decided)):
            shown.append((update.partial.text, decided))
        assert update.stable == 0  # it is all one word, which may grow
    texts = [text for text, _ in shown]
    assert all(later.startswith(text) for text, later in itertools.pairwise(texts))
    assert texts[-1] in ("abcdabc", "abcdabcd")  # the segment may end before its last word is old
    assert [decided for _, decided in shown] == sorted(decided for _, decided in shown)
    assert shown[-1][1] >= 6


@pytest.fixture(scope="module")
def digits() -> Recognizer:
    folder = Path(os.environ.get("ASR_DIGITS", DIGITS))
    if not (folder / "config.yaml").is_file():
        pytest.skip(f"no digits model at {folder}; set ASR_DIGITS to run this")
    return load_model(folder, "cpu")


@pytest.mark.parametrize("chunk", [None, 640])
def test_recordings_joined_with_pauses_say_what_they_say_alone(
    digits: Recognizer, corpora: Path, chunk: int | None
) -> None:
    """With digits that the model knows among pauses, each long enough to be an endpoint."""
    if not (corpora / "fsdd").is_dir():
        pytest.skip(f"no spoken digits in {corpora}")
    draw = random.Random(3)
    names = sorted((corpora / "fsdd" / "audio").glob("[0-9]_*_[0-4].*"))
    endpoint = EndpointConfig()
    parts: list[np.ndarray] = []
    expected: list[str] = []
    for path in draw.sample(names, 24):
        digit, rate = soundfile.read(path, dtype="float32")
        sound = np.concatenate([np.zeros(rate // 2, np.float32), digit, np.zeros(rate, np.float32)])
        alone = digits.transcribe(sound, rate, chunk_ms=chunk, endpoint=endpoint).text
        if alone == NAMES[int(path.name[0])]:
            pause = np.zeros(round(draw.uniform(0.0, 2.0) * rate), np.float32)
            parts += [sound, pause]
            expected.append(alone)
    if len(expected) < 16:
        pytest.skip(f"the model knows only {len(expected)} of 24 digits in silence")
    joined = digits.transcribe(np.concatenate(parts), rate, chunk_ms=chunk, endpoint=endpoint)
    # As many words, not the same ones: with other speakers to its left, or more silence around it,
    # a word may sound like another to a model that has only ever heard single words.
    assert len(joined.text.split()) == len(expected)
    ordered(joined)
