from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcribe.files.segmenter import cut_segments
from asr.transcribe.streams.endpoint import EndpointConfig

RATE = 1000
CONFIG = EndpointConfig(max_segment_seconds=4.0)

Stretches = list[tuple[float, np.ndarray]]


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (level * random.standard_normal(round(seconds * RATE))).astype(np.float32)


def cut(*blocks: np.ndarray, config: EndpointConfig = CONFIG) -> Stretches:
    return list(cut_segments(blocks, RATE, config))


def edges(stretches: Stretches) -> list[tuple[float, float]]:
    return [(start, start + len(stretch) / RATE) for start, stretch in stretches]


def test_a_recording_without_pauses_within_the_limit_is_one_stretch() -> None:
    sound = noise(4.0)
    [(start, stretch)] = cut(sound)
    assert start == 0.0
    np.testing.assert_array_equal(stretch, sound)


def test_stretches_meet_in_the_middle_of_a_pause() -> None:
    sound = noise(3.0)
    sound[1000:2000] *= 0.001
    [(first, one), (second, other)] = cut(sound)
    assert (first, second) == (0.0, pytest.approx(1.5, abs=0.05))
    np.testing.assert_array_equal(np.concatenate([one, other]), sound)


def test_a_pause_that_is_too_short_cuts_only_what_is_too_long() -> None:
    sound = noise(6.0)
    sound[1000:1500] *= 0.001
    sound[2700:3000] *= 0.001
    (_, first), (start, second) = cut(sound)
    assert 2.7 < start < 3.0
    np.testing.assert_array_equal(np.concatenate([first, second]), sound)


def test_of_the_pauses_in_its_second_half_the_longest_cuts_a_long_stretch() -> None:
    sound = noise(6.0)
    for begin, end in ((2200, 2440), (2600, 3000), (3300, 3540)):
        sound[begin:end] *= 0.001
    assert 2.6 < edges(cut(sound))[0][1] < 3.0


def test_where_nothing_is_a_pause_the_quietest_place_is_cut() -> None:
    sound = noise(6.0)
    sound[2600:2800] *= 0.5
    assert edges(cut(sound))[0][1] == pytest.approx(2.7, abs=0.05)


def test_a_pause_counts_by_its_loudness_not_its_offset() -> None:
    sound = noise(3.0)
    sound[1000:2000] *= 0.001
    assert edges(cut(sound + np.float32(0.4))) == edges(cut(sound))


@pytest.mark.parametrize("background_db", [-80.0, -60.0, -45.0, -38.0])
def test_pauses_are_found_over_any_background(background_db: float) -> None:
    speech = np.concatenate([noise(1.2), noise(1.0) * 0, noise(1.0, 1), noise(1.1) * 0, noise(1.0)])
    sound = speech + noise(len(speech) / RATE, 2, 10 ** (background_db / 20))
    assert [end for _, end in edges(cut(sound))] == pytest.approx([1.7, 3.75, 5.3], abs=0.1)


def test_a_quiet_voice_after_a_loud_one_is_all_there() -> None:
    loud, quiet, gap = noise(2.0), noise(2.0, 1, 0.002), noise(2.0, 2, 1e-5)
    sound = np.concatenate([loud, gap, quiet, gap, loud, gap, quiet])
    config = EndpointConfig(max_segment_seconds=20.0)
    found = edges(cut(sound, config=config))
    assert len(found) == 4
    for (start, end), begin in zip(found, (0.0, 4.0, 8.0, 12.0), strict=True):
        assert start <= begin + 0.04
        assert end >= begin + 1.96


def test_silence_gives_no_stretch_and_moves_no_time() -> None:
    sound = np.concatenate([np.zeros(8 * RATE, np.float32), noise(1.0)])
    [(start, stretch)] = cut(sound)
    assert round(start * RATE) + np.flatnonzero(stretch)[0] == 8 * RATE
    assert start == pytest.approx(7.0, abs=0.05)


def test_long_silence_is_left_out() -> None:
    quiet = np.zeros(5000, np.float32)
    assert edges(cut(quiet, noise(1.0), quiet)) == [pytest.approx((4.0, 7.0), abs=0.1)]


@pytest.mark.parametrize("blocks", [[], [np.zeros(0, np.float32)], [np.zeros(5, np.float32)]])
def test_nothing_or_only_zeros_gives_nothing(blocks: list[np.ndarray]) -> None:
    assert cut(*blocks) == []


@pytest.mark.parametrize(("level_db", "silent"), [(-80, True), (-70, False)])
def test_what_is_never_louder_than_silence_gives_no_stretch(level_db: float, silent: bool) -> None:
    tone = np.sin(np.arange(2 * RATE) * 0.2 * np.pi) * np.sqrt(2) * 10 ** (level_db / 20)
    assert (cut(tone.astype(np.float32)) == []) is silent


runs = st.lists(st.tuples(st.sampled_from([0.0, 0.01, 1.0]), st.integers(1, 2500)), max_size=8)
places = st.lists(st.integers(0, 15000), max_size=12)


def sound_of(loudness: list[tuple[float, int]], seed: int) -> np.ndarray:
    parts = [noise(count / RATE, seed) * np.float32(level) for level, count in loudness]
    return np.concatenate([np.zeros(0, np.float32), *parts])


@given(loudness=runs, seed=st.integers(0, 2**16), cuts=places)
def test_any_cut_of_the_samples_gives_the_same_stretches(
    loudness: list[tuple[float, int]], seed: int, cuts: list[int]
) -> None:
    sound = sound_of(loudness, seed)
    at = [0, *sorted(min(place, len(sound)) for place in cuts), len(sound)]
    pieces = cut(*(sound[a:b] for a, b in itertools.pairwise(at)))
    whole = cut(sound)
    assert [start for start, _ in whole] == [start for start, _ in pieces]
    for (_, one), (_, other) in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


@given(loudness=runs, seed=st.integers(0, 2**16))
def test_what_sounds_comes_out_once_in_order_and_within_the_limit(
    loudness: list[tuple[float, int]], seed: int
) -> None:
    sound = sound_of(loudness, seed)
    heard = np.zeros(len(sound), bool)
    last = 0
    for start, stretch in cut(sound):
        place = round(start * RATE)
        assert place >= last
        last = place + len(stretch)
        np.testing.assert_array_equal(stretch, sound[place:last])
        assert 0 < len(stretch) <= 4.0 * RATE
        heard[place:last] = True
    # A frame that only begins or ends in sound may count as quiet.
    assert np.abs(sound[~heard]).max(initial=0.0) < 0.5
    assert np.count_nonzero(np.abs(sound[~heard]) > 0.05) <= 80 * (1 + len(loudness))


@given(seconds=st.floats(0.1, 15.0), seed=st.integers(0, 2**16))
def test_steady_sound_is_cut_into_pieces_that_join_again(seconds: float, seed: int) -> None:
    sound = noise(seconds, seed)
    stretches = cut(sound)
    np.testing.assert_array_equal(np.concatenate([part for _, part in stretches]), sound)
    expected = np.cumsum([0, *(len(part) for _, part in stretches[:-1])]) / RATE
    assert [start for start, _ in stretches] == expected.tolist()
    assert all(len(part) >= 0.5 * RATE for _, part in stretches[1:])


def test_hours_pass_through_with_one_window_in_memory() -> None:
    block = noise(1.0)
    longest = 0
    for _, stretch in cut_segments(itertools.repeat(block, 3600), RATE, CONFIG):
        base = stretch if stretch.base is None else stretch.base
        longest = max(longest, len(base))
    assert longest <= 5 * RATE


def test_the_shortest_windows_are_cut_where_pauses_must_be_long() -> None:
    config = EndpointConfig(
        max_segment_seconds=2,
        quiet_seconds=1,
        silence_seconds=1,
        noise_seconds=1,
        lead_seconds=0.1,
    )
    noise = 0.1 * np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)
    stretches = [samples for _, samples in cut_segments([noise], RATE, config)]
    assert np.array_equal(np.concatenate(stretches), noise)
    assert max(map(len, stretches)) <= 2 * RATE
