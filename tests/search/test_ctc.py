"""CTC prefix scores against the plain recursion and the sum over all paths."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.search.ctc import FLOOR, CTCPrefixScorer
from asr.text.special_labels import BLANK
from tests.search.models import Head, memory_of
from tests.search.oracles import ctc_paths, ctc_recursion, sequences

exact = settings(derandomize=True, deadline=None, max_examples=60)


def follow(scorer, log_probs, labels, pad=0):
    """Sum of increments and ending of `labels`, and the prefix score, as the search adds them."""
    padded = torch.cat([log_probs, torch.full((pad, log_probs.shape[1]), math.nan)])
    state = scorer.start(padded[None], torch.tensor([len(log_probs)]))
    prefix = 0.0
    for label in labels:
        prefix += scorer.score(state, torch.tensor([[label]])).item()
        state = scorer.advance(state, torch.tensor([0]), torch.tensor([label]))
    return prefix, prefix + scorer.finish(state).item()


def posteriors(seed, frames, vocabulary, sharp):
    memory, _ = memory_of(seed, [frames])
    return Head(seed, vocabulary, sharp=sharp)(memory)[0]


@exact
@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(1, 30),
    sharp=st.sampled_from([0.1, 1.0, 10.0, 200.0]),
    labels=st.lists(st.integers(3, 6), max_size=12),
    pad=st.integers(0, 3),
)
def test_equals_the_plain_recursion(seed, frames, sharp, labels, pad):
    log_probs = posteriors(seed, frames, 7, sharp)
    expected = ctc_recursion(log_probs.tolist(), tuple(labels))
    got = follow(CTCPrefixScorer(lambda memory: memory, BLANK), log_probs, labels, pad)
    assert got == pytest.approx(expected, abs=1e-9, rel=1e-12)


@exact
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 5))
def test_equals_the_sum_over_all_paths(seed, frames):
    log_probs = posteriors(seed, frames, 5, 1.0)
    scorer = CTCPrefixScorer(lambda memory: memory, BLANK)
    paths = ctc_paths(log_probs.exp().tolist())
    for labels in sequences(5, frames):
        prefix, whole = follow(scorer, log_probs, labels)
        begins = sum(p for said, p in paths.items() if said[: len(labels)] == labels)
        assert math.exp(whole) == pytest.approx(paths.get(labels, 0.0), rel=1e-9)
        assert math.exp(prefix) == pytest.approx(begins, rel=1e-9)


@exact
@given(seed=st.integers(0, 10_000), sharp=st.sampled_from([1.0, 50.0]))
def test_all_labels_at_once_equal_candidates(seed, sharp):
    vocabulary, lengths = 8, [6, 3, 9]
    memory, lengths = memory_of(seed, lengths)
    scorer = CTCPrefixScorer(Head(seed, vocabulary, sharp=sharp), BLANK)
    everything = torch.arange(vocabulary)
    state = scorer.start(memory, lengths)
    steps = [([0, 0, 1, 1, 2, 2], [3, 4, 3, 5, 6, 7]), ([0, 1, 4, 5], [3, 3, 6, 7])]
    for parents, tokens in steps:  # the second step leaves the second utterance out
        state = scorer.advance(state, torch.tensor(parents), torch.tensor(tokens))
        one_by_one = scorer.score(state, everything.expand(len(parents), -1))
        together = scorer.score(state, None)
        torch.testing.assert_close(together, one_by_one, rtol=1e-12, atol=1e-10)


def test_a_denied_label_costs_the_floor_and_not_infinity():
    log_probs = torch.full((1, 5), -math.inf, dtype=torch.float64)
    log_probs[:, 3] = 0.0
    assert follow(CTCPrefixScorer(lambda memory: memory, BLANK), log_probs, [4]) == (FLOOR, FLOOR)


def test_more_labels_than_frames_are_impossible_and_never_nan():
    log_probs = posteriors(1, 3, 6, 1.0)
    scorer = CTCPrefixScorer(lambda memory: memory, BLANK)
    for labels in [(3, 4, 5, 4), (3, 3, 4), (3, 4, 5, 3, 3, 4)]:
        assert follow(scorer, log_probs, labels) == (-math.inf, -math.inf)


def test_increments_are_never_gains():
    memory, lengths = memory_of(3, [40])
    scorer = CTCPrefixScorer(Head(3, 9, sharp=3.0), BLANK)
    state = scorer.start(memory, lengths)
    for label in [3, 3, 5, 8, 4]:
        assert scorer.score(state, None)[0, 3:].max() <= 1e-9
        assert scorer.finish(state).item() <= 1e-9
        state = scorer.advance(state, torch.tensor([0]), torch.tensor([label]))


def test_a_minute_keeps_its_precision():
    log_probs = posteriors(5, 1500, 6, 20.0)
    labels = tuple(torch.randint(3, 6, (40,), generator=torch.Generator().manual_seed(1)).tolist())
    got = follow(CTCPrefixScorer(lambda memory: memory, BLANK), log_probs, labels)
    assert got == pytest.approx(ctc_recursion(log_probs.tolist(), labels), abs=1e-7)
