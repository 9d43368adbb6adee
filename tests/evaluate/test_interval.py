from __future__ import annotations

import numpy as np
import pytest

from asr.evaluate.error_rate import Counts
from asr.evaluate.interval import difference_interval, rate_interval


def counts(errors: list[int], words: int = 10) -> list[Counts]:
    return [Counts(substitutions=one, length=words) for one in errors]


def test_the_interval_of_many_equal_utterances_is_the_binomial_one() -> None:
    """1000 one-word utterances, 300 of them wrong: 0.3 +- 1.96 sqrt(0.3 x 0.7 / 1000)."""
    found = rate_interval(counts([1] * 300 + [0] * 700, words=1), [None] * 1000)
    assert found is not None
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    # 2000 draws: the standard error of the 2.5 % quantile is about 0.04 of `half`; four of them
    assert found.low == pytest.approx(0.3 - half, abs=0.16 * half)
    assert found.high == pytest.approx(0.3 + half, abs=0.16 * half)
    assert found.units == "utterances"


def test_speakers_make_it_wider_than_their_utterances_would() -> None:
    """Errors that come speaker by speaker say less than as many independent utterances."""
    errors = [8] * 50 + [0] * 150
    speakers = [str(place // 50) for place in range(200)]
    by_speaker = rate_interval(counts(errors), speakers)
    alone = rate_interval(counts(errors), [None] * 200)
    assert by_speaker is not None
    assert alone is not None
    assert (by_speaker.units, alone.units) == ("speakers", "utterances")
    assert by_speaker.high - by_speaker.low > 3 * (alone.high - alone.low)


def test_one_speaker_alone_is_drawn_by_utterance() -> None:
    found = rate_interval(counts([0, 1, 2]), ["anna"] * 3)
    assert found is not None
    assert found.units == "utterances"


def test_nothing_to_draw_from() -> None:
    assert rate_interval([], []) is None
    assert rate_interval(counts([3]), ["anna"]) is None
    assert rate_interval([Counts(insertions=1)] * 5, [None] * 5) is None


def test_the_same_seed_gives_the_same_interval() -> None:
    given = counts([0, 3, 1, 9, 2])
    assert rate_interval(given, [None] * 5) == rate_interval(given, [None] * 5)


def test_a_difference_is_clear_where_the_rates_overlap() -> None:
    """One system makes one error less in every third utterance, in hard and easy ones alike."""
    base = counts([8, 8, 8, 1, 1, 1] * 20)
    better = counts([7, 8, 8, 0, 1, 1] * 20)
    nobody = [None] * len(base)
    found = difference_interval(better, base, nobody)
    assert found is not None
    # 40 of 120 utterances, 1 of 10 words each
    half = 1.96 * np.sqrt(1 / 3 * 2 / 3 / 120) / 10
    assert found.low == pytest.approx(-1 / 30 - half, abs=0.16 * half)
    assert found.high == pytest.approx(-1 / 30 + half, abs=0.16 * half)
    one, other = rate_interval(base, nobody), rate_interval(better, nobody)
    assert one is not None
    assert other is not None
    assert other.high > one.low
    same = difference_interval(base, base, nobody)
    assert same is not None
    assert (same.low, same.high) == (0, 0)


def test_pairs_must_be_of_the_same_utterances() -> None:
    with pytest.raises(ValueError, match="shorter"):
        difference_interval(counts([1, 2]), counts([1]), [None] * 2)
