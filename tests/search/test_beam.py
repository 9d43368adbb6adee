"""The search against brute force, greedy search, itself one by one, and itself without stopping."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ConfigError, ModelError
from asr.search import (
    AttentionScorer,
    CTCPrefixScorer,
    SearchConfig,
    WeightedScorer,
    search,
)
from asr.text.special_labels import BLANK, LABELS
from asr.types import Hypothesis
from tests.search import oracles
from tests.search.models import (
    BigramScorer,
    BonusScorer,
    Counting,
    GRUDecoder,
    Head,
    TableDecoder,
    memory_of,
)

exact = settings(derandomize=True, deadline=None, max_examples=30)
seeds = st.integers(0, 10_000)
decoders = st.sampled_from([TableDecoder, GRUDecoder])
VOCABULARY = 6  # three labels
WHOLE = 200  # a beam that holds every hypothesis of up to four of them


def attention(decoder, weight=1.0):
    return WeightedScorer("attention", AttentionScorer(decoder, LABELS), weight)


def ctc(head, weight=1.0):
    return WeightedScorer("ctc", CTCPrefixScorer(head, BLANK), weight)


def joint(seed, vocabulary, decoder=GRUDecoder, weight=0.3, sharp=2.0):
    return [
        attention(decoder(seed, vocabulary), 1 - weight),
        ctc(Head(seed + 1, vocabulary, sharp=sharp), weight),
    ]


def same(got, expected, tolerance=1e-9):
    """Equal tokens, in the same order; equal scores, whole and by name."""
    assert [one.tokens for one in got] == [one.tokens for one in expected]
    for one, other in zip(got, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=tolerance)
        assert one.scores == pytest.approx(other.scores, abs=tolerance)


def best_of_all(scores, most, count=5):
    rated = oracles.brute_force(scores, VOCABULARY, most)
    return [Hypothesis(tokens, total, parts) for total, tokens, parts in rated[:count]]


whole = SearchConfig(beam=WHOLE, nbest=5, pre_beam=10)


@exact
@given(seed=seeds, frames=st.integers(1, 4), decoder=decoders)
def test_attention_alone_equals_brute_force(seed, frames, decoder):
    decoder = decoder(seed, VOCABULARY)
    memory, lengths = memory_of(seed, [frames])
    scores = {"attention": (1.0, oracles.attention_score(decoder, memory[0]))}
    (got,) = search([attention(decoder)], memory, lengths, LABELS, whole)
    same(got, best_of_all(scores, frames))


@exact
@given(seed=seeds, frames=st.integers(1, 4), sharp=st.sampled_from([0.5, 3.0]))
def test_ctc_alone_equals_brute_force(seed, frames, sharp):
    head = Head(seed, VOCABULARY, sharp=sharp)
    memory, lengths = memory_of(seed, [frames])
    scores = {"ctc": (1.0, oracles.ctc_score(head, memory[0]))}
    (got,) = search([ctc(head)], memory, lengths, LABELS, whole)
    same(got, best_of_all(scores, frames))


@exact
@given(seed=seeds, frames=st.integers(1, 4), weight=st.sampled_from([0.1, 0.3, 0.9]))
def test_joint_equals_brute_force(seed, frames, weight):
    scorers = joint(seed, VOCABULARY, weight=weight)
    memory, lengths = memory_of(seed, [frames])
    scores = {
        "attention": (
            1 - weight,
            oracles.attention_score(scorers[0].scorer.decoder, memory[0]),
        ),
        "ctc": (weight, oracles.ctc_score(scorers[1].scorer.log_probs, memory[0])),
    }
    (got,) = search(scorers, memory, lengths, LABELS, whole)
    same(got, best_of_all(scores, frames))


@exact
@given(seed=seeds, frames=st.integers(1, 4))
def test_joint_with_a_bigram_equals_brute_force(seed, frames):
    bigram = BigramScorer(seed + 2, VOCABULARY)
    scorers = [*joint(seed, VOCABULARY), WeightedScorer("bigram", bigram, 0.5)]
    memory, lengths = memory_of(seed, [frames])
    scores = {
        "attention": (0.7, oracles.attention_score(scorers[0].scorer.decoder, memory[0])),
        "ctc": (0.3, oracles.ctc_score(scorers[1].scorer.log_probs, memory[0])),
        "bigram": (0.5, oracles.bigram_score(bigram.table)),
    }
    (got,) = search(scorers, memory, lengths, LABELS, whole)
    same(got, best_of_all(scores, frames))


@exact
@given(seed=seeds, frames=st.integers(1, 4), bonus=st.sampled_from([-0.5, 0.8, 3.0]))
def test_a_bonus_for_each_label_equals_brute_force(seed, frames, bonus):
    decoder = GRUDecoder(seed, VOCABULARY)
    memory, lengths = memory_of(seed, [frames])
    scorers = [attention(decoder), WeightedScorer("bonus", BonusScorer(bonus, VOCABULARY), 0.5)]
    scores = {
        "attention": (1.0, oracles.attention_score(decoder, memory[0])),
        "bonus": (0.5, lambda labels: bonus * len(labels)),
    }
    (got,) = search(scorers, memory, lengths, LABELS, whole)
    same(got, best_of_all(scores, frames))


@exact
@given(
    seed=seeds,
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    beam=st.integers(1, 6),
    nbest=st.integers(1, 6),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    decoder=decoders,
)
def test_a_batch_equals_one_by_one_and_padding_changes_nothing(
    seed, lengths, beam, nbest, weight, decoder
):
    vocabulary = 9
    config = SearchConfig(beam=beam, nbest=min(nbest, beam))
    scorers = joint(seed, vocabulary, decoder, weight)
    memory, counts = memory_of(seed, lengths)
    together = search(scorers, memory, counts, LABELS, config)
    assert len(together) == len(lengths)
    for place, (length, got) in enumerate(zip(lengths, together, strict=True)):
        alone = memory[place : place + 1, :length]
        (expected,) = search(scorers, alone, torch.tensor([length]), LABELS, config)
        same(got, expected)
        padded = torch.nn.functional.pad(alone, (0, 0, 0, 3), value=1e9)
        (expected,) = search(scorers, padded, torch.tensor([length]), LABELS, config)
        same(got, expected)


@exact
@given(
    seed=seeds,
    frames=st.integers(1, 12),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    decoder=decoders,
    most=st.sampled_from([None, 3]),
)
def test_beam_1_equals_greedy_search(seed, frames, weight, decoder, most):
    vocabulary = 9
    memory, lengths = memory_of(seed, [frames])
    scorers = joint(seed, vocabulary, decoder, weight)
    config = SearchConfig(beam=1, pre_beam=vocabulary, max_labels=most)
    ((best,),) = search(scorers, memory, lengths, LABELS, config)
    limit = min(frames, most or frames)
    expected = oracles.greedy([one for one in scorers if one.weight], memory[0], limit)
    assert best.tokens == expected


@exact
@given(
    seed=seeds,
    lengths=st.lists(st.integers(1, 14), min_size=1, max_size=4),
    beam=st.integers(1, 5),
    nbest=st.integers(1, 5),
    bonus=st.sampled_from([0.0, 1.0]),
    weight=st.sampled_from([0.0, 0.3]),
)
def test_stopping_early_loses_nothing(seed, lengths, beam, nbest, bonus, weight):
    vocabulary = 8
    memory, counts = memory_of(seed, lengths)
    config = SearchConfig(beam=beam, nbest=min(nbest, beam), give_up=math.inf)
    scorers = joint(seed, vocabulary, weight=weight)
    scorers.append(WeightedScorer("bonus", BonusScorer(bonus, vocabulary), 1.0))
    endless = Counting(scorers[0].scorer, max_gain=math.inf)
    to_the_end = [WeightedScorer("attention", endless, 1 - weight), *scorers[1:]]
    expected = search(to_the_end, memory, counts, LABELS, config)
    # With CTC a hypothesis may become impossible before it has a label for each frame.
    assert endless.steps == max(lengths) or weight
    for got, other in zip(search(scorers, memory, counts, LABELS, config), expected, strict=True):
        same(got, other)


def test_stopping_early_saves_steps_and_finished_utterances_leave_the_batch():
    memory, lengths = memory_of(3, [30, 2, 30, 1])
    counting = Counting(AttentionScorer(TableDecoder(3, 8), LABELS))
    search(
        [WeightedScorer("attention", counting, 1.0)], memory, lengths, LABELS, SearchConfig(beam=4)
    )
    assert counting.steps < 30
    assert counting.rows < 4 * 4 * counting.steps


def test_the_parts_of_a_score_add_up():
    scorers = [*joint(5, 8), WeightedScorer("bigram", BigramScorer(1, 8), 0.2)]
    memory, lengths = memory_of(5, [7, 9])
    for hypotheses in search(scorers, memory, lengths, LABELS, SearchConfig(beam=4, nbest=4)):
        assert hypotheses == sorted(hypotheses, key=lambda one: -one.score)
        for one in hypotheses:
            assert set(one.scores) == {"attention", "ctc", "bigram"}
            total = 0.7 * one.scores["attention"] + 0.3 * one.scores["ctc"]
            assert one.score == pytest.approx(total + 0.2 * one.scores["bigram"])
            assert min(one.tokens, default=3) >= 3


def test_a_scorer_of_weight_0_is_not_even_started():
    memory, lengths = memory_of(1, [5])
    without = [attention(GRUDecoder(1, 7))]
    unusable = WeightedScorer("ctc", CTCPrefixScorer(None, BLANK), 0.0)
    expected = search(without, memory, lengths, LABELS)
    assert search([*without, unusable], memory, lengths, LABELS) == expected


@pytest.mark.parametrize("most", [None, 2])
def test_no_hypothesis_is_longer_than_its_frames_or_the_limit(most):
    decoder = TableDecoder(2, 7)
    decoder.table[:, :, 2] = -100.0  # it never wants to end
    memory, lengths = memory_of(2, [4, 1, 3])
    config = SearchConfig(beam=3, nbest=3, max_labels=most)
    for hypotheses, frames in zip(
        search([attention(decoder)], memory, lengths, LABELS, config), [4, 1, 3], strict=True
    ):
        assert all(len(one.tokens) == min(frames, most or 4) for one in hypotheses)


def test_utterances_without_frames_say_nothing():
    memory, lengths = memory_of(2, [0, 3, 0])
    first, second, third = search(joint(2, 7), memory, lengths, LABELS)
    assert first == third == [Hypothesis((), 0.0, {"attention": 0.0, "ctc": 0.0})]
    assert second[0].score < 0
    assert search(joint(2, 7), memory[:, :0], torch.tensor([0, 0, 0]), LABELS) == [first] * 3
    assert search(joint(2, 7), memory[:0], lengths[:0], LABELS) == []


def test_equal_scores_are_ordered_by_label_and_end_before_they_go_on():
    decoder = TableDecoder(0, 8)
    decoder.table.zero_()
    decoder.shift.zero_()
    memory, lengths = memory_of(0, [2])
    ((best, *rest),) = search(
        [attention(decoder)], memory, lengths, LABELS, SearchConfig(beam=3, nbest=3)
    )
    assert best.tokens == ()
    assert [one.tokens for one in rest] == [(3,), (4,)]


def test_where_nothing_is_possible_the_empty_hypothesis_says_so():
    decoder = TableDecoder(0, 8)
    memory, lengths = memory_of(0, [2, 2])
    decoder.table[:, :, 2] = -math.inf
    expected = Hypothesis((), -math.inf, {"attention": -math.inf})
    assert search([attention(decoder)], memory, lengths, LABELS) == [[expected], [expected]]


def test_forbidden_labels_do_not_appear():
    decoder = TableDecoder(4, 8)
    decoder.table[:, :, 4:] = -math.inf  # label 3 alone is possible: fewer than the beam
    memory, lengths = memory_of(4, [3])
    (hypotheses,) = search(
        [attention(decoder)], memory, lengths, LABELS, SearchConfig(beam=5, nbest=5)
    )
    assert sorted(one.tokens for one in hypotheses) == [(), (3,), (3, 3), (3, 3, 3)]


def test_nan_is_refused_by_name():
    memory, lengths = memory_of(1, [4, 4])
    memory[1, 2] = math.nan
    with pytest.raises(ModelError, match="scores of ctc are NaN"):
        search([ctc(Head(1, 7))], memory, lengths, LABELS)
    with pytest.raises(ModelError, match="attention and ctc"):
        search(joint(1, 7), memory, lengths, LABELS)


def test_wrong_calls_are_named():
    memory, lengths = memory_of(1, [4])
    one = attention(GRUDecoder(1, 7))
    with pytest.raises(ConfigError, match="at least one scorer"):
        search([], memory, lengths, LABELS)
    with pytest.raises(ConfigError, match="different names"):
        search([one, one], memory, lengths, LABELS)
    with pytest.raises(ConfigError, match="weight of scorer 'attention'"):
        search([attention(GRUDecoder(1, 7), -1.0)], memory, lengths, LABELS)
    with pytest.raises(ModelError, match=r"lengths must be in 0..4, got \[5\]"):
        search([one], memory, lengths + 1, LABELS)
    with pytest.raises(ModelError, match=r"memory must be \(B, M, D\)"):
        search([one], memory[0], lengths, LABELS)
    bigram = WeightedScorer("bigram", BigramScorer(1, 8), 1.0)
    with pytest.raises(ModelError, match=r"the same labels.*'attention': 7, 'bigram': 8"):
        search([one, bigram], memory, lengths, LABELS)
