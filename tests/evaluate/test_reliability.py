from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.config import parse
from asr.errors import ConfigError, ManifestError
from asr.evaluate.calibration import calibrate, halved
from asr.evaluate.error_rate import Scored, score
from asr.evaluate.reliability import reliability, reliability_of
from asr.transcribe.words.confidence import ConfidenceMap, fit_map
from asr.types import Word


def test_a_calibrated_forecast_has_no_error() -> None:
    sure = [0.25] * 400 + [0.75] * 400
    right = ([True] + [False] * 3) * 100 + ([True] * 3 + [False]) * 100
    found = reliability(sure, right)
    assert found is not None
    assert found.ece == pytest.approx(0.0)
    assert [(one.words, one.right) for one in found.bins] == [(400, 0.25), (400, 0.75)]


def test_by_hand() -> None:
    """Two bins: 3 words at 0.9 with 1/3 right, 1 word at 0.1 that is right."""
    found = reliability([0.9, 0.9, 0.9, 0.1], [True, False, False, True])
    assert found is not None
    assert found.ece == pytest.approx(0.75 * (0.9 - 1 / 3) + 0.25 * 0.9)
    assert found.auc == pytest.approx((0.5 + 0.5 + 0 + 0) / 4)
    assert reliability([], []) is None


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.booleans()), min_size=1))
def test_auc_counts_pairs(words: list[tuple[float, bool]]) -> None:
    found = reliability([sure for sure, _ in words], [right for _, right in words])
    assert found is not None
    pairs = [
        1.0 if one > other else 0.5 if one == other else 0.0
        for (one, right), (other, hit) in itertools.product(words, words)
        if right and not hit
    ]
    assert found.auc == (pytest.approx(np.mean(pairs)) if pairs else None)
    assert 0 <= found.ece <= 1
    assert sum(one.words for one in found.bins) == len(words)


def evidence(random: np.random.Generator) -> dict[str, float]:
    """Of a word without decoder or language model."""
    ctc = float(-random.exponential(1.0))
    names = ("ctc", "ctc_sum", "ctc_least", "ctc_before", "ctc_after", "ctc_segment")
    return {**dict.fromkeys(names, ctc), "seconds": 0.3, "characters": 4.0, "level": -3.0}


def speech(speakers: int, words: int, seed: int = 0) -> list[Scored]:
    """Utterances whose words are right with a probability that their evidence tells."""
    random = np.random.default_rng(seed)
    found = []
    for speaker, number in itertools.product(range(speakers), range(words // 10)):
        heard, said = [], []
        for place in range(10):
            known = evidence(random)
            right = random.random() < 1 / (1 + np.exp(-(2 + 1.5 * known["ctc"])))
            heard.append(Word(f"w{place}", place, place + 0.3, None, known))
            said.append(f"w{place}" if right else "other")
        text = " ".join(word.text for word in heard)
        name = f"s{speaker}"
        found.append(score(f"{name}-{number}", " ".join(said), text, name, 10.0, tuple(heard)))
    return found


def test_a_fitted_map_is_calibrated_on_other_speakers() -> None:
    found = calibrate(speech(20, 200))
    assert found.groups == "speakers"
    assert found.judged.ece < 0.04  # of 2000 words in 15 bins: half of it is chance
    assert 1500 < found.judged.words < 2500
    assert found.fitted + found.judged.words == 4000
    assert found.map.facts["ece"] == pytest.approx(found.judged.ece, abs=1e-4)


def test_the_map_is_the_likeliest() -> None:
    """Moving any weight makes the words that it was fitted on less likely."""
    words = [
        (word.evidence, edit.kind == "hit")
        for one in speech(2, 300)
        for word, edit in zip(one.hypothesis_words, one.edits, strict=True)
    ]
    # one feature: with several that say the same, the pull towards 0 decides
    some = [({"seconds": 1.0, "characters": 1, "level": one["ctc"]}, hit) for one, hit in words]
    found = fit_map([one for one, _ in some], [hit for _, hit in some])
    assert found is not None

    def unlikely(change: float, bias: float) -> float:
        weights = {**found.weights, "level": found.weights["level"] + change}
        moved = ConfidenceMap(bias=found.bias + bias, weights=weights)
        return -sum(np.log(moved(one) if hit else 1 - moved(one)) for one, hit in some)

    best = unlikely(0, 0)
    for change, bias in ((0.1, 0), (-0.1, 0), (0, 0.1), (0, -0.1)):
        assert unlikely(change, bias) > best
    assert found.weights["level"] == pytest.approx(1.5, abs=0.3)


def test_no_speaker_is_in_both_halves() -> None:
    given = speech(7, 50)
    first, second = halved(given)
    assert {one.speaker for one in first}.isdisjoint({one.speaker for one in second})
    assert len(first) + len(second) == len(given)
    assert halved(list(reversed(given)))[0] != []
    assert {one.id for one in halved(list(reversed(given)))[0]} == {one.id for one in first}


def test_too_little_speech_is_told() -> None:
    with pytest.raises(ManifestError, match="too few words to fit confidence"):
        calibrate(speech(2, 50))


def test_a_map_without_its_evidence_tells_nothing() -> None:
    found = ConfidenceMap(bias=0.0, weights={"lm": 1.0})
    assert found({"ctc": 0.0}) is None
    assert found({"lm": 0.0}) == 0.5
    assert fit_map([{"seconds": 1.0, "characters": 2, "level": 0.0}], [True]) is None


def test_a_map_of_unknown_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such features: cc"):
        parse(ConfidenceMap, {"bias": 0.0, "weights": {"cc": 1.0}}, "x")


def test_confidence_that_is_not_known_is_in_no_figure() -> None:
    assert reliability_of(speech(1, 50)) is None
