"""The best hypothesis is the best of those that have enough letters, and not too many."""

from __future__ import annotations

import math

import pytest
import torch

from asr.errors import ModelError
from asr.search import AttentionScorer, SearchConfig, WeightedScorer, continue_search, search
from asr.search.speech_limit import SpeechLimit, SpeechLimitedScorer
from asr.text.special_labels import LABELS
from tests.search.models import LoopingDecoder, TableDecoder, memory_of

VOCABULARY = 9
#: Label 3 writes nothing, such as a comma; the others one to five letters.
LETTERS = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
WIDE = SearchConfig(beam=400, nbest=400, max_labels=3)


def limited(
    decoder: TableDecoder | LoopingDecoder, most: list[float], fewest: list[float] | None = None
) -> list[WeightedScorer]:
    attention = AttentionScorer(decoder, LABELS)
    least = torch.tensor(fewest) if fewest else torch.zeros(len(most))
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


@pytest.mark.parametrize("fewest", [1.0, 6.5])
def test_a_hypothesis_has_no_fewer_letters_than_its_utterance(fewest: float) -> None:
    decoder = TableDecoder(3, VOCABULARY)
    memory, lengths = memory_of(2, [9, 6])
    attention = WeightedScorer("attention", AttentionScorer(decoder, LABELS), 1.0)
    every = search([attention], memory, lengths, LABELS, WIDE)
    scorers = limited(decoder, [100.0, 100.0], [fewest, 0.0])
    results = search(scorers, memory, lengths, LABELS, WIDE)
    allowed = [best for best in every[0] if written(best.tokens) >= fewest]
    assert len(allowed) < len(every[0])  # the limit does something
    assert results[0] == allowed
    assert results[1] == every[1]


def test_a_text_that_ends_early_does_not_win_by_being_short() -> None:
    """As log probabilities only add up, the first word alone is likelier than the whole."""
    decoder = TableDecoder(3, VOCABULARY)
    memory, lengths = memory_of(2, [9])
    [[free, *_]] = search(limited(decoder, [100.0]), memory, lengths, LABELS, WIDE)
    fewest = written(free.tokens) + 1.0
    [[longer, *_]] = search(limited(decoder, [100.0], [fewest]), memory, lengths, LABELS, WIDE)
    assert longer.score < free.score
    assert written(longer.tokens) >= fewest


def test_letters_of_a_prefix_count_for_the_fewest() -> None:
    decoder = TableDecoder(3, VOCABULARY)
    memory, lengths = memory_of(2, [9])
    prefix = (4, 8)
    [result] = continue_search(
        limited(decoder, [100.0], [7.0]), memory, lengths, LABELS, WIDE, [[prefix]]
    )
    assert min(written(best.tokens) for best in result.hypotheses) >= 7.0
    assert prefix in {best.tokens[:2] for best in result.hypotheses}


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
