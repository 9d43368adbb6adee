from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import ManifestError
from asr.evaluate.comparison import Comparison, Pair, compare, mapsswe, segments, side_by_side
from asr.evaluate.error_rate import Scored, score
from asr.evaluate.results import Results
from asr.evaluate.scoring import WhisperNormalizerConfig
from asr.text import NormalizerConfig


def pair(reference: str, first: str, second: str, name: str = "x") -> Pair:
    return Pair(score(name, reference, first, "anna"), score(name, reference, second, "anna"))


def compared(first: list[Scored], second: list[Scored]) -> Comparison:
    return compare(Results(tuple(first)), Results(tuple(second)))


@pytest.mark.parametrize(
    ("reference", "first", "second", "found"),
    [
        ("a b c d e", "a b c d e", "a b c d e", []),
        ("a b c d e", "x b c d e", "a b c d y", [(1, 0), (0, 1)]),  # b c d are right in both
        ("a b c", "x b c", "a b y", [(1, 1)]),  # b alone does not divide
        ("a b c d", "x b c d", "a b c z d", [(1, 0), (0, 1)]),  # b c, then what was inserted
        ("a b", "z a b", "a b z", [(1, 0), (0, 1)]),
        ("a b", "a", "b", [(1, 1)]),
        ("", "x y", "", [(2, 0)]),
    ],
)
def test_segments(reference: str, first: str, second: str, found: list[tuple[int, int]]) -> None:
    assert segments(pair(reference, first, second)) == found


words = st.lists(st.sampled_from("abc"), max_size=10).map(" ".join)


@given(words, words, words)
def test_segments_have_all_errors(reference: str, first: str, second: str) -> None:
    one = pair(reference, first, second)
    found = segments(one)
    assert sum(a for a, _ in found) == one.first.words.errors
    assert sum(b for _, b in found) == one.second.words.errors
    assert all(a or b for a, b in found)


def test_the_statistic_by_hand() -> None:
    """Differences 1, 1, 0, -1 (of equally many utterances): mean 1/4, variance 11/12."""
    pairs = [pair("a", "a", "b")] * 2 + [pair("a", "c", "b"), pair("a", "c", "a")]
    found = mapsswe(pairs)
    z = 0.25 / math.sqrt(11 / 12 / 4)
    assert (found.segments, found.mean) == (4, 0.25)
    assert found.z == pytest.approx(z)
    assert found.p == pytest.approx(2 * (1 - 0.5 * (1 + math.erf(z / math.sqrt(2)))))


def test_nothing_to_test() -> None:
    assert mapsswe([]).p == 1.0
    assert mapsswe([pair("a", "a", "b")]).p == 1.0
    assert mapsswe([pair("a", "b", "c")] * 10).p == 1.0


@pytest.mark.parametrize("count", [2, 10, 5000])
def test_where_all_segments_differ_alike_the_signs_decide(count: int) -> None:
    better = mapsswe([pair("a", "b", "a")] * count)
    worse = mapsswe([pair("a", "a", "b")] * count)
    assert better.p == worse.p == pytest.approx(max(2 * 0.5**count, 1e-300))
    assert better.z == -worse.z < 0
    assert math.erfc(worse.z / math.sqrt(2)) == pytest.approx(worse.p)
    assert worse.significant == (count > 2)


def systems(better: float, count: int = 400, seed: int = 1) -> tuple[list[Scored], list[Scored]]:
    """Two systems that get 30 % of one-word utterances wrong, the second `better` fewer."""
    random = np.random.default_rng(seed)
    sides: tuple[list[Scored], list[Scored]] = [], []
    right, wrong = score("", "a", "a"), score("", "a", "b")
    for number in range(count):
        for side, rate in zip(sides, (0.3, 0.3 - better), strict=True):
            one = wrong if random.random() < rate else right
            side.append(replace(one, id=str(number), speaker=f"s{number % 20}"))
    return sides


def test_a_better_system_is_found_and_an_equal_one_is_not() -> None:
    found = compared(*systems(0.15))
    assert found.test.significant
    assert found.test.mean < 0
    assert found.difference is not None
    assert found.difference.high < 0
    assert found.difference.units == "speakers"
    equal = compared(*systems(0.0))
    assert not equal.test.significant
    assert equal.difference is not None
    assert equal.difference.low < 0 < equal.difference.high


def test_equal_systems_differ_significantly_in_one_of_twenty_cases() -> None:
    hits = sum(compare_test(seed) for seed in range(200))
    assert 2 <= hits <= 20  # 10 expected, standard deviation 3


def compare_test(seed: int) -> bool:
    pairs = [Pair(*both) for both in zip(*systems(0.0, 150, seed), strict=True)]
    return mapsswe(pairs).significant


def test_the_order_of_the_second_does_not_matter() -> None:
    first, second = systems(0.1, 50)
    assert compared(first, second).to_dict() == compared(first, second[::-1]).to_dict()


def test_other_utterances_and_other_references_are_refused() -> None:
    first, second = systems(0.1, 3)
    with pytest.raises(ManifestError, match="1 utterances are in one of the two only, as '2'"):
        compared(first, second[:2])
    with pytest.raises(ManifestError, match="'1' has different references: 'a' and 'c'"):
        compared(first, [second[0], score("1", "c", "c"), second[2]])
    with pytest.raises(ManifestError, match="no utterance to compare by"):
        compared([], [])


def test_what_changed_stands_in_columns() -> None:
    one = pair("the cat sat", "the cat", "a big cat sat")
    columns = side_by_side(one)
    for row, text in ((0, "the cat sat"), (1, "the cat"), (2, "a big cat sat")):
        assert " ".join(c[row] for c in columns if c[row] != "-").lower() == text


def test_results_of_two_languages_are_refused() -> None:
    one = (score("one", "mit", "mit"),)
    english, german = NormalizerConfig(), NormalizerConfig(language="de")
    assert compare(Results(one, german), Results(one, german)).language == "de"
    assert compare(Results(one), Results(one)).language is None
    with pytest.raises(
        ManifestError, match="first results are in the language 'en', the second in 'de'"
    ):
        compare(Results(one, english), Results(one, german))


def test_what_another_system_wrote_is_normalised() -> None:
    model = Results((score("one", "mister smith", "mister smyth"),), NormalizerConfig())
    other = Results((score("one", "Mr. Smith!", "Mr. Smith."),))
    for found, errors in (
        (compare(model, other), (1, 0)),
        (compare(other, model), (0, 1)),
    ):
        assert (found.first.errors, found.second.errors) == errors
        assert found.language == "en"


def test_results_that_were_scored_differently_are_refused() -> None:
    one = (score("one", "i am", "i am"),)
    with pytest.raises(ManifestError, match=r"normalizer: asr and whisper.*same --normalizer"):
        compare(Results(one, NormalizerConfig()), Results(one, WhisperNormalizerConfig()))


def test_settings_that_differ_are_named_where_references_do() -> None:
    plain = Results((score("one", "cafe", "cafe"),), NormalizerConfig(diacritics="fold"))
    marked = Results((score("one", "café", "café"),), NormalizerConfig())
    with pytest.raises(ManifestError, match=r"alike \(here diacritics: fold and keep\)"):
        compare(plain, marked)
