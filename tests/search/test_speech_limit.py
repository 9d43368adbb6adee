"""The best hypothesis is the best of those that have enough letters, and not too many."""

from __future__ import annotations

import math

import pytest
import torch

from asr.errors import ModelError
from asr.search import AttentionScorer, SearchConfig, WeightedScorer, continue_search, search
from asr.search.speech_limit import MISSING_LETTER, SpeechLimit, SpeechLimitedScorer
from asr.text.special_labels import LABELS
from tests.search.models import LoopingDecoder, TableDecoder, memory_of

VOCABULARY = 9
#: Label 3 writes nothing, such as a comma; the others one to five letters.
LETTERS = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
WIDE = SearchConfig(beam=400, nbest=400, max_labels=3)


def limited(
    decoder: TableDecoder | LoopingDecoder, most: list[float], expected: list[float] | None = None
) -> list[WeightedScorer]:
    attention = AttentionScorer(decoder, LABELS)
    least = torch.tensor(expected) if expected else torch.zeros(len(most))
    scorer = SpeechLimitedScorer(
        attention, SpeechLimit(least, torch.tensor(most), LETTERS, LETTERS)
    )
    return [WeightedScorer("attention", scorer, 1.0)]


def written(tokens: tuple[int, ...]) -> float:
    return float(LETTERS[list(tokens)].sum())


@pytest.mark.parametrize("most", [0.0, 3.0, 7.5])
def test_a_hypothesis_has_no_more_letters_than_its_utterance(most: float) -> None:
    decoder = TableDecoder(3, VOCABULARY)
    memory, lengths = memory_of(2, [9, 6])
    attention = WeightedScorer("attention", AttentionScorer(decoder, LABELS), 1.0)
    every = search([attention], memory, lengths, LABELS, WIDE)
    results = search(limited(decoder, [most, 100.0]), memory, lengths, LABELS, WIDE)
    allowed = [one for one in every[0] if written(one.tokens) <= most]
    assert len(allowed) < len(every[0])  # the limit does something
    assert results[0] == allowed
    assert results[1] == every[1]


@pytest.mark.parametrize("expected", [1.0, 6.5])
def test_an_end_loses_for_each_letter_that_is_missing(expected: float) -> None:
    decoder = TableDecoder(3, VOCABULARY)
    memory, lengths = memory_of(2, [9, 6])
    attention = WeightedScorer("attention", AttentionScorer(decoder, LABELS), 1.0)
    every = search([attention], memory, lengths, LABELS, WIDE)
    scorers = limited(decoder, [100.0, 100.0], [expected, 0.0])
    results = search(scorers, memory, lengths, LABELS, WIDE)
    lost = {
        best.tokens: MISSING_LETTER * max(0.0, expected - written(best.tokens)) for best in every[0]
    }
    assert max(lost.values()) > 0
    scores = {best.tokens: best.score for best in every[0]}
    for best in results[0]:
        assert best.score == pytest.approx(scores[best.tokens] - lost[best.tokens])
    ranks = [best.score for best in results[0]]
    assert ranks == sorted(ranks, reverse=True)
    assert results[1] == every[1]


def test_letters_of_a_prefix_are_not_missing() -> None:
    decoder = TableDecoder(3, VOCABULARY)
    memory, lengths = memory_of(2, [9])
    prefix = (4, 8)  # six letters
    expected = limited(decoder, [100.0], [6.0])
    [result] = continue_search(expected, memory, lengths, LABELS, WIDE, [[prefix]])
    [free] = continue_search(limited(decoder, [100.0]), memory, lengths, LABELS, WIDE, [[prefix]])
    assert result.hypotheses == free.hypotheses


def test_letters_of_a_prefix_count() -> None:
    decoder = TableDecoder(3, VOCABULARY)
    memory, lengths = memory_of(2, [9])
    [result] = continue_search(
        limited(decoder, [6.0]), memory, lengths, LABELS, WIDE, [[(4, 8), (3, 5)]]
    )
    assert {one.tokens[:2] for one in result.hypotheses} == {(4, 8), (3, 5)}
    assert max(written(one.tokens) for one in result.hypotheses) == 6.0


def test_a_decoder_that_only_runs_on_has_no_hypothesis() -> None:
    memory, lengths = memory_of(1, [60])
    scorers = limited(LoopingDecoder([4, 5], VOCABULARY), [20.0])
    [[denied]] = search(scorers, memory, lengths, LABELS, SearchConfig(beam=1))
    assert (denied.tokens, denied.score) == ((), -math.inf)


def test_each_utterance_has_its_limit() -> None:
    memory, lengths = memory_of(1, [6, 6])
    with pytest.raises(ModelError, match="2 utterances has limits for 1"):
        search(limited(TableDecoder(3, VOCABULARY), [4.0]), memory, lengths, LABELS, WIDE)
