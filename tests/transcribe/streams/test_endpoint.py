"""Where segments end."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio.samples import level_db
from asr.config import parse
from asr.errors import ConfigError
from asr.transcribe.streams.endpoint import Cut, EndpointConfig, Endpointer

FRAME = 0.1
CONFIG = EndpointConfig(max_segment_seconds=6.0)
# (level in dB, posterior of the blank)
WORD, HOLD, HUM, QUIET, NOTHING = (-20, 0.1), (-20, 0.99), (-35, 0.99), (-60, 0.99), (-140, 0.1)


def cuts(frames: list[tuple[float, float]], config: EndpointConfig = CONFIG) -> list[Cut]:
    endpointer = Endpointer(config, FRAME)
    return [cut for level, blank in frames if (cut := endpointer.push(level, blank))]


def test_quiet_after_speech_ends_a_segment_in_the_middle_of_the_pause() -> None:
    assert cuts([WORD] * 10 + [QUIET] * 6) == []
    assert cuts([WORD] * 10 + [QUIET] * 7) == [Cut(14, True, 0, 10)]


def test_sound_without_words_ends_a_segment_later() -> None:
    assert cuts([WORD] * 10 + [HUM] * 13) == []
    assert cuts([WORD] * 10 + [HUM] * 14) == [Cut(17, True, 0, 17)]


def test_a_long_vowel_is_no_pause() -> None:
    assert cuts(([WORD] + [HOLD] * 6) * 3) == []


def test_what_precedes_the_first_word_is_dropped_but_for_the_lead() -> None:
    dropped = cuts([QUIET] * 50)
    assert dropped == [Cut(1, False)] * 40
    endpointer = Endpointer(CONFIG, FRAME)
    for level, blank in [QUIET] * 50 + [WORD]:
        endpointer.push(level, blank)
    assert endpointer.frames == 11
    assert endpointer.bounds() == (10, 11)


def test_labels_in_digital_silence_do_not_count() -> None:
    assert not any(cut.speech for cut in cuts([NOTHING] * 100))


def test_a_long_segment_takes_shorter_pauses() -> None:
    talk = [WORD] * 8 + [QUIET] * 4
    found = cuts(talk * 6)
    assert found[0].speech
    # 400 ms are enough at 4.8 s: 0.7 - 0.6 x (0.7 - 0.2)
    assert found[0].frames == 46


def test_without_any_pause_the_longest_segment_is_cut_where_the_last_part_says_least() -> None:
    frames = [WORD] * 57 + [HOLD] + [WORD] * 20
    assert cuts(frames) == [Cut(58, True, 0, 58)]


def test_without_ctc_loudness_stands_for_words() -> None:
    endpointer = Endpointer(CONFIG, FRAME)
    levels = [-60.0] * 3 + [-20.0] * 5 + [-60.0] * 8
    found = [cut for level in levels if (cut := endpointer.push(level, None))]
    assert [cut.frames for cut in found if cut.speech] == [12]


frames = st.lists(
    st.tuples(st.sampled_from([WORD, HOLD, HUM, QUIET, NOTHING]), st.integers(1, 12)), max_size=30
)


@given(runs=frames)
def test_every_word_is_in_one_segment_and_only_the_longest_are_cut_in_one(runs) -> None:  # type: ignore[no-untyped-def]
    """Nothing is lost or doubled: segments and what is dropped are the sound, in order."""
    sound = [frame for frame, count in runs for _ in range(count)]
    endpointer, place = Endpointer(CONFIG, FRAME), 0
    for number, (level, blank) in enumerate(sound, start=1):
        cut = endpointer.push(level, blank)
        if cut is None:
            continue
        words = [frame == WORD for frame in sound[place : place + cut.frames]]
        assert 0 < cut.frames <= 60
        assert any(words) == cut.speech
        assert 0 <= cut.first <= cut.last <= cut.frames
        if cut.speech:
            assert all(cut.first <= at < cut.last for at, word in enumerate(words) if word)
            forced = number - place == 60
            beside = sound[place + cut.frames - 1 : place + cut.frames + 1]
            assert forced or WORD not in beside
        place += cut.frames
        assert endpointer.frames == number - place
        assert len(endpointer.labels) <= 60
    assert endpointer.label_frames == sum(frame == WORD for frame in sound[place:])


@given(runs=frames, at=st.integers(0, 100))
def test_it_can_be_pickled_at_any_moment(runs, at) -> None:  # type: ignore[no-untyped-def]
    sound = [frame for frame, count in runs for _ in range(count)]
    one = Endpointer(CONFIG, FRAME)
    found = []
    for number, (level, blank) in enumerate(sound):
        if number == at:
            one = pickle.loads(pickle.dumps(one))
        found.append(one.push(level, blank))
    assert [cut for cut in found if cut] == cuts(sound)


def test_levels_are_rms_without_offset() -> None:
    tone = np.sin(np.arange(1000) * 0.2 * np.pi) * np.sqrt(2)
    assert level_db(0.7 + 0.1 * tone) == pytest.approx(-20.0, abs=1e-6)
    assert level_db(np.zeros((2, 10))).tolist() == [-140.0, -140.0]


@pytest.mark.parametrize(
    "values",
    [
        {"silence_seconds": 2.0},
        {"quiet_seconds": 0.9},
        {"max_segment_seconds": 2.0},
        {"blank": 1.0},
        {"silence": 0.5},
    ],
)
def test_rules_that_do_not_fit_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        parse(EndpointConfig, values, "endpoint")
