"""Continuing a search from prefixes: hypotheses score as if the search had found them itself."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.model.transformer_decoder import TransformerDecoder, TransformerDecoderConfig
from asr.search import (
    AttentionScorer,
    CTCPrefixScorer,
    SearchConfig,
    SearchResult,
    WeightedScorer,
    continue_search,
    search,
)
from asr.text.special_labels import BLANK, LABELS
from tests.search import oracles
from tests.search.models import BigramScorer, GRUDecoder, Head, memory_of

VOCABULARY = 6  # three labels
exact = settings(derandomize=True, deadline=None, max_examples=25)
seeds = st.integers(0, 10_000)
labels = st.lists(st.integers(3, VOCABULARY - 1), max_size=4)


alternatives = st.integers(0, 3).flatmap(
    lambda count: st.lists(
        st.tuples(*[st.integers(3, VOCABULARY - 1)] * count), min_size=1, max_size=3, unique=True
    )
)


def labels_of(found: SearchResult) -> list[tuple[int, ...]]:
    return [one.tokens for one in found.hypotheses]


def beams_of(found: SearchResult) -> list[list[tuple[int, ...]]]:
    return [sorted(tokens for tokens, _ in beam) for beam in found.beams]


def transformer(seed: int) -> TransformerDecoder:
    torch.manual_seed(seed)
    config = TransformerDecoderConfig(layers=2, dim=8, heads=2, ff=16)
    return TransformerDecoder(config, VOCABULARY, 4).double().eval()


def scorers_of(seed, decoder, head, bigram=False):
    scorers = [
        WeightedScorer("attention", AttentionScorer(decoder, LABELS), 0.7),
        WeightedScorer("ctc", CTCPrefixScorer(head, BLANK), 0.3),
    ]
    if bigram:
        scorers.append(WeightedScorer("bigram", BigramScorer(seed, VOCABULARY), 0.5))
    return scorers


@exact
@given(seed=seeds, frames=st.integers(1, 4), prefix=labels, recurrent=st.booleans())
def test_it_equals_brute_force_over_all_that_begin_so(seed, frames, prefix, recurrent):
    decoder = GRUDecoder(seed, VOCABULARY) if recurrent else transformer(seed)
    head, bigram = Head(seed + 1, VOCABULARY, sharp=2.0), BigramScorer(seed, VOCABULARY)
    memory, lengths = memory_of(seed, [frames])
    scores = {
        "attention": (0.7, oracles.attention_score(decoder, memory[0])),
        "ctc": (0.3, oracles.ctc_score(head, memory[0])),
        "bigram": (0.5, oracles.bigram_score(bigram.table)),
    }
    rated = oracles.brute_force(scores, VOCABULARY, frames)
    expected = [
        (total, tokens, parts)
        for total, tokens, parts in rated
        if tokens[: len(prefix)] == tuple(prefix) and total > -math.inf
    ]
    config = SearchConfig(beam=200, nbest=4, pre_beam=10)
    scorers = scorers_of(seed, decoder, head, True)
    got = continue_search(scorers, memory, lengths, LABELS, config, [[prefix]])[0].hypotheses
    if not expected:
        assert (got[0].tokens, got[0].score) == (tuple(prefix), -math.inf)
        return
    assert [one.tokens for one in got] == [tokens for _, tokens, _ in expected[:4]]
    for one, (total, _, parts) in zip(got, expected, strict=False):
        assert one.score == pytest.approx(total, abs=1e-9)
        assert one.scores == pytest.approx(parts, abs=1e-9)


@exact
@given(
    seed=seeds,
    members=st.lists(st.tuples(st.integers(4, 12), alternatives), min_size=1, max_size=5),
    recurrent=st.booleans(),
)
def test_a_batch_of_unequal_prefixes_equals_one_by_one(seed, members, recurrent):
    decoder = GRUDecoder(seed, VOCABULARY) if recurrent else transformer(seed)
    scorers = scorers_of(seed, decoder, Head(seed + 1, VOCABULARY, sharp=2.0), bigram=True)
    memory, lengths = memory_of(seed, [frames for frames, _ in members])
    config = SearchConfig(beam=3, nbest=2)
    prefix_lists = [prefixes for _, prefixes in members]
    together = continue_search(scorers, memory, lengths, LABELS, config, prefix_lists)
    for row, (frames, prefixes) in enumerate(members):
        [alone] = continue_search(
            scorers,
            memory[row : row + 1, :frames],
            lengths[row : row + 1],
            LABELS,
            config,
            [prefixes],
        )
        assert beams_of(together[row])[: len(alone.beams)] == beams_of(alone)
        assert together[row].prefix_length == len(prefixes[0])
        assert labels_of(together[row]) == labels_of(alone)
        for one, other in zip(together[row].hypotheses, alone.hypotheses, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-6)  # rotary angles are float32


@exact
@given(seed=seeds, frames=st.integers(1, 12))
def test_the_best_hypothesis_is_found_again_from_any_prefix_of_it(seed, frames):
    scorers = scorers_of(seed, transformer(seed), Head(seed + 1, VOCABULARY, sharp=2.0))
    memory, lengths = memory_of(seed, [frames])
    config = SearchConfig(beam=4)
    [[best]] = search(scorers, memory, lengths, LABELS, config)
    [[again]] = [
        continue_search(scorers, memory, lengths, LABELS, config, [[best.tokens]])[0].hypotheses
    ]
    assert again.score >= best.score - 1e-9
    if again.tokens == best.tokens:
        assert again.scores == pytest.approx(best.scores, abs=1e-9)


def test_the_limit_counts_the_prefix():
    scorers = scorers_of(1, transformer(1), Head(2, VOCABULARY))
    memory, lengths = memory_of(1, [10])
    for most in (1, 2, 3):
        config = SearchConfig(beam=3, max_labels=most)
        [best] = continue_search(scorers, memory, lengths, LABELS, config, [[(3, 4)]])[0].hypotheses
        assert best.tokens[:2] == (3, 4)
        assert len(best.tokens) <= max(2, most)


@exact
@given(
    seed=seeds,
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    share=st.floats(0, 1),
    recurrent=st.booleans(),
)
def test_a_search_goes_on_from_its_beams_as_if_it_had_never_stopped(seed, sizes, share, recurrent):
    """Over the same memory; each utterance from another label on, up to the best's last one."""
    decoder = GRUDecoder(seed, VOCABULARY) if recurrent else transformer(seed)
    scorers = scorers_of(seed, decoder, Head(seed + 1, VOCABULARY, sharp=2.0), bigram=True)
    memory, lengths = memory_of(seed, sizes)
    config = SearchConfig(beam=3)
    whole = continue_search(scorers, memory, lengths, LABELS, config, [[()]] * len(sizes))
    prefix_lists = [one.open_after(round(share * len(one.hypotheses[0].tokens))) for one in whole]
    again = continue_search(scorers, memory, lengths, LABELS, config, prefix_lists)
    for one, other in zip(whole, again, strict=True):
        assert labels_of(one) == labels_of(other)
        assert one.hypotheses[0].scores == pytest.approx(other.hypotheses[0].scores, abs=1e-6)
        assert beams_of(one)[other.prefix_length :][: len(other.beams)] == beams_of(other)


def test_several_prefixes_are_better_than_one():
    """The best whole hypothesis need not go on from the best beginning."""
    lost = 0
    for seed in range(40):
        scorers = scorers_of(seed, transformer(seed), Head(seed + 1, VOCABULARY, sharp=2.0))
        memory, lengths = memory_of(seed, [12])
        config = SearchConfig(beam=4)
        [early] = continue_search(scorers, memory[:, :6], torch.tensor([6]), LABELS, config, [[()]])
        several = early.open_after(min(2, len(early.beams) - 1))
        [best] = continue_search(scorers, memory, lengths, LABELS, config, [several])
        [held] = continue_search(scorers, memory, lengths, LABELS, config, [several[:1]])
        lost += best.hypotheses[0].score > held.hypotheses[0].score + 1e-9
    assert lost


@pytest.mark.parametrize(
    "prefix_lists",
    [
        [[(3,)]],
        [[(3,)], [()], [()]],
        [[(3,)], [(4,)]],
        [[(3,), (4, 5)], [()]],
        [[(3,), (3,)], [()]],
        [[], [()]],
    ],
)
def test_wrong_prefixes_are_named(prefix_lists):
    scorers = scorers_of(1, transformer(1), Head(2, VOCABULARY))
    memory, lengths = memory_of(1, [3, 0])
    with pytest.raises(ModelError, match="prefixes for each of 2 utterances"):
        continue_search(scorers, memory, lengths, LABELS, None, prefix_lists)
