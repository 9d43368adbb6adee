from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcribe.endpoint import EndpointConfig
from asr.transcribe.segmenter import cut_at_pauses, cut_segments, is_silent, quietest_place

RATE = 1000
CONFIG = EndpointConfig(max_segment_seconds=4.0)


def noise(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (level * random.standard_normal(round(seconds * RATE))).astype(np.float32)


def cut(*blocks: np.ndarray) -> list[tuple[float, np.ndarray]]:
    return list(cut_segments(blocks, RATE, CONFIG))


def test_a_recording_within_the_limit_is_one_stretch() -> None:
    sound = noise(4.0)
    [(start, stretch)] = cut(sound)
    assert start == 0.0
    np.testing.assert_array_equal(stretch, sound)


def test_cuts_fall_into_the_pause() -> None:
    sound = noise(6.0)
    sound[2700:3000] *= 0.001
    (_, first), (start, second) = cut(sound)
    assert 2.7 < start < 3.0
    np.testing.assert_array_equal(np.concatenate([first, second]), sound)


def test_a_pause_counts_by_its_loudness_not_its_offset() -> None:
    sound = noise(6.0)
    sound[2700:3000] *= 0.001
    (_, _), (start, _) = cut(sound + np.float32(0.4))
    assert 2.7 < start < 3.0


def test_of_equally_quiet_places_the_last_is_taken() -> None:
    window = np.zeros(4000, np.float32)
    assert quietest_place(window, RATE, 0.2) == 3400  # the middle of 3.3 s .. 3.5 s


def test_silence_gives_no_stretch_and_moves_no_time() -> None:
    sound = np.concatenate([np.zeros(8 * RATE, np.float32), noise(1.0)])
    segments = cut(sound)
    heard = [round(start * RATE) + np.flatnonzero(stretch)[0] for start, stretch in segments]
    assert heard == [8 * RATE]


@pytest.mark.parametrize("blocks", [[], [np.zeros(0, np.float32)], [np.zeros(5, np.float32)]])
def test_nothing_or_only_zeros_gives_nothing(blocks: list[np.ndarray]) -> None:
    assert cut(*blocks) == []


def test_one_sample_is_kept_when_it_can_be_heard() -> None:
    assert not is_silent(np.array([0.5, -0.5], np.float32), RATE, -75.0)
    assert is_silent(np.array([0.5], np.float32), RATE, -75.0)  # one sample is only an offset


@pytest.mark.parametrize(("level_db", "silent"), [(-80, True), (-70, False)])
def test_the_silence_threshold_is_an_rms_level(level_db: float, silent: bool) -> None:
    tone = np.sin(np.arange(2 * RATE) * 0.2 * np.pi) * np.sqrt(2) * 10 ** (level_db / 20)
    assert is_silent(tone.astype(np.float32), RATE, -75.0) is silent


@given(
    seconds=st.floats(0.0, 15.0),
    seed=st.integers(0, 2**16),
    cuts=st.lists(st.integers(0, 15000), max_size=12),
)
def test_any_cut_of_the_samples_gives_the_same_stretches(
    seconds: float, seed: int, cuts: list[int]
) -> None:
    sound = noise(seconds, seed) * np.repeat(
        np.random.default_rng(seed).choice([0.0, 0.01, 1.0], 150), 100
    )[: round(seconds * RATE)].astype(np.float32)
    edges = [0, *sorted(min(place, len(sound)) for place in cuts), len(sound)]
    blocks = [sound[a:b] for a, b in itertools.pairwise(edges)]
    whole, pieces = cut(sound), cut(*blocks)
    assert [start for start, _ in whole] == [start for start, _ in pieces]
    for (_, one), (_, other) in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


@given(seconds=st.floats(0.1, 15.0), seed=st.integers(0, 2**16))
def test_stretches_are_the_recording_in_pieces_within_the_limit(seconds: float, seed: int) -> None:
    sound = noise(seconds, seed)
    segments = cut(sound)
    np.testing.assert_array_equal(np.concatenate([part for _, part in segments]), sound)
    assert all(len(part) <= 4.0 * RATE for _, part in segments)
    assert all(len(part) >= 0.5 * RATE for _, part in segments[1:])
    expected = np.cumsum([0, *(len(part) for _, part in segments[:-1])]) / RATE
    assert [start for start, _ in segments] == expected.tolist()


def test_hours_pass_through_with_one_window_in_memory() -> None:
    block = noise(1.0)
    longest = 0
    for _, stretch in cut_segments(itertools.repeat(block, 3600), RATE, CONFIG):
        base = stretch if stretch.base is None else stretch.base
        longest = max(longest, len(base))
    assert longest <= 5 * RATE


def pauses(*blocks: np.ndarray) -> list[tuple[float, np.ndarray]]:
    return list(cut_at_pauses(blocks, RATE, CONFIG))


def test_at_pauses_each_side_keeps_half() -> None:
    sound = np.concatenate([noise(1.0), np.zeros(1000, np.float32), noise(1.0)])
    [(first, one), (second, other)] = pauses(sound)
    assert (first, second) == (0.0, pytest.approx(1.4, abs=0.1))
    np.testing.assert_array_equal(np.concatenate([one, other]), sound)


def test_at_pauses_long_silence_is_left_out() -> None:
    quiet = np.zeros(5000, np.float32)
    [(start, stretch)] = pauses(np.concatenate([quiet, noise(1.0), quiet]))
    assert start == pytest.approx(4.0, abs=0.1)
    assert len(stretch) == pytest.approx(2300, abs=150)


@given(
    seed=st.integers(0, 2**16),
    runs=st.lists(st.tuples(st.booleans(), st.integers(1, 1500)), max_size=8),
    cuts=st.lists(st.integers(0, 9000), max_size=6),
)
def test_at_pauses_nothing_that_sounds_is_lost_whatever_the_blocks(
    seed: int, runs: list[tuple[bool, int]], cuts: list[int]
) -> None:
    parts = [noise(count / RATE, seed) * loud for loud, count in runs]
    sound = np.concatenate([np.zeros(0, np.float32), *parts]).astype(np.float32)
    edges = [0, *sorted(min(place, len(sound)) for place in cuts), len(sound)]
    found = pauses(*(sound[a:b] for a, b in itertools.pairwise(edges)))
    assert [start for start, _ in found] == [start for start, _ in pauses(sound)]
    heard = np.zeros(len(sound), bool)
    for start, stretch in found:
        place = round(start * RATE)
        np.testing.assert_array_equal(stretch, sound[place : place + len(stretch)])
        assert not heard[place : place + len(stretch)].any()
        heard[place : place + len(stretch)] = True
        assert len(stretch) <= 4.0 * RATE
    missed = sound[~heard]
    assert len(missed) == 0 or np.abs(missed).max() < 0.5
    assert np.count_nonzero(missed) < 80 * (1 + len(runs))
