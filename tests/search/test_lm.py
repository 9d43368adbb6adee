"""Language models in the search: against brute force, one by one, behind prefixes."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.search import SearchConfig, WeightedScorer, all_scorers, continue_search, fitting, search
from asr.search.lm import ILM_FLOOR, InternalLMScorer, LanguageModelScorer, LengthScorer
from asr.text.special_labels import END, LABELS
from tests.lm.made import KINDS, small
from tests.search import oracles
from tests.search.models import Counting, GRUDecoder, Head, memory_of
from tests.search.test_attention import transformer

VOCABULARY = 6  # three labels
exact = settings(derandomize=True, deadline=None, max_examples=8)
seeds = st.integers(0, 10_000)
kinds = st.sampled_from(KINDS)
weights = {"lm_weight": 0.5, "ilm_weight": 0.3, "length_reward": 0.4}


@pytest.fixture(autouse=True, scope="module")
def _without_gradients():
    """As the search runs: caches are written in place."""
    with torch.inference_mode():
        yield


def model_of(seed, decoder=None):
    head = Head(seed + 1, VOCABULARY, sharp=2.0)
    decoder = decoder or GRUDecoder(seed, VOCABULARY)
    return SimpleNamespace(decoder=decoder, ctc=head, ctc_log_probs=head, vocabulary=VOCABULARY)


def lm_score(lm):
    def score(labels):
        if not labels:  # texts are never empty, sounds are: the language model has no say in that
            return 0.0
        tokens = torch.tensor([[END, *labels]])
        said, _ = lm.prime(tokens, torch.tensor([len(labels) + 1]))
        return said[0].gather(1, torch.tensor([*labels, END])[:, None]).double().sum().item()

    return score


def ilm_score(decoder, dim=4):
    def score(labels):
        tokens = torch.tensor([[END, *labels]])
        nothing = torch.zeros(1, 1, dim, dtype=torch.float64)
        logits = decoder(tokens, nothing, torch.tensor([1]))[0]
        chosen = logits.log_softmax(-1).gather(1, torch.tensor([*labels, END])[:, None])
        return -chosen.clamp(min=ILM_FLOOR).sum().item()

    return score


def parts_of(model, lm, memory):
    return {
        "attention": (0.7, oracles.attention_score(model.decoder, memory)),
        "ctc": (0.3, oracles.ctc_score(model.ctc, memory)),
        "lm": (0.5, lm_score(lm)),
        "ilm": (0.3, ilm_score(model.decoder)),
        "length": (0.4, len),
    }


@exact
@given(seed=seeds, frames=st.integers(1, 4), kind=kinds, recurrent=st.booleans())
def test_an_exhaustive_beam_equals_brute_force(seed, frames, kind, recurrent):
    model = model_of(seed, None if recurrent else transformer(VOCABULARY))
    lm = small(kind, seed, VOCABULARY)
    memory, lengths = memory_of(seed, [frames])
    config = SearchConfig(beam=200, nbest=4, pre_beam=10, give_up=math.inf, **weights)
    [got] = search(all_scorers(model, LABELS, config, lm), memory, lengths, LABELS, config)
    expected = oracles.brute_force(parts_of(model, lm, memory[0]), VOCABULARY, frames)
    assert [one.tokens for one in got] == [tokens for _, tokens, _ in expected[:4]]
    for one, (total, _, parts) in zip(got, expected, strict=False):
        assert one.score == pytest.approx(total, abs=1e-5)
        assert one.scores == pytest.approx(parts, abs=1e-5)


@exact
@given(
    seed=seeds,
    members=st.lists(
        st.tuples(
            st.integers(3, 12),
            st.lists(st.tuples(st.integers(3, 5), st.integers(3, 5)), min_size=1, unique=True)
            | st.just([()]),
        ),
        min_size=1,
    ),
    kind=kinds,
)
def test_a_batch_equals_one_by_one_behind_any_prefixes(seed, members, kind):
    model, lm = model_of(seed), small(kind, seed, VOCABULARY)
    memory, lengths = memory_of(seed, [frames for frames, _ in members])
    config = SearchConfig(beam=3, nbest=2, **weights)
    scorers = all_scorers(model, LABELS, config, lm)
    together = continue_search(
        scorers, memory, lengths, LABELS, config, [begun for _, begun in members]
    )
    for row, (frames, begun) in enumerate(members):
        [found] = continue_search(
            scorers, memory[row : row + 1, :frames], lengths[row : row + 1], LABELS, config, [begun]
        )
        alone = found.hypotheses
        assert [one.tokens for one in together[row].hypotheses] == [one.tokens for one in alone]
        for one, other in zip(together[row].hypotheses, alone, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)


@exact
@given(seed=seeds, prefix=st.lists(st.integers(3, 5), max_size=4), kind=kinds)
def test_labels_that_are_given_score_as_those_that_are_found(seed, prefix, kind):
    decoder, lm = GRUDecoder(seed, VOCABULARY), small(kind, seed, VOCABULARY)
    memory, lengths = memory_of(seed, [5])
    tokens, counts = torch.tensor([[*prefix, 0]]), torch.tensor([len(prefix)])
    for scorer in (
        LanguageModelScorer(lm, LABELS),
        InternalLMScorer(decoder, LABELS),
        LengthScorer(VOCABULARY),
    ):
        total, state = 0.0, scorer.start(memory, lengths)
        for label in prefix:
            total += scorer.score(state, torch.tensor([[label]]))[0, 0].item()
            state = scorer.advance(state, torch.tensor([0]), torch.tensor([label]))
        said, behind = scorer.start_with_prefix(memory, lengths, tokens, counts)
        assert said.item() == pytest.approx(total, abs=1e-5)
        torch.testing.assert_close(
            scorer.score(behind, None), scorer.score(state, None), atol=1e-5, rtol=1e-5
        )
        assert scorer.finish(behind).item() == pytest.approx(scorer.finish(state).item(), abs=1e-5)


@exact
@given(seed=seeds, frames=st.integers(1, 12))
def test_giving_up_costs_nothing_where_it_is_never_near(seed, frames):
    model, lm = model_of(seed), small("lstm", seed, VOCABULARY)
    memory, lengths = memory_of(seed, [frames])
    found = []
    for give_up in (30.0, math.inf):
        config = SearchConfig(beam=4, give_up=give_up, **weights)
        found.append(
            search(all_scorers(model, LABELS, config, lm), memory, lengths, LABELS, config)[0][0]
        )
    assert found[0].tokens == found[1].tokens


def test_giving_up_ends_a_search_that_proves_nothing():
    model, lm = model_of(1), small("lstm", 1, VOCABULARY)
    memory, lengths = memory_of(1, [60])
    rows = []
    for give_up in (3.0, math.inf):
        config = SearchConfig(beam=2, give_up=give_up, **weights)
        scorers = all_scorers(model, LABELS, config, lm)
        counted = Counting(scorers[0].scorer)
        scorers[0] = WeightedScorer("attention", counted, scorers[0].weight)
        search(scorers, memory, lengths, LABELS, config)
        rows.append(counted.steps)
    assert rows[0] < rows[1]


def test_a_weight_of_0_removes_a_scorer():
    model, lm = model_of(1), small("lstm", 1, VOCABULARY)

    def names(**changed):
        return [
            one.name for one in all_scorers(model, LABELS, SearchConfig(**weights | changed), lm)
        ]

    assert names() == ["attention", "ctc", "lm", "ilm", "length"]
    assert names(lm_weight=0.0, ilm_weight=0.0, length_reward=0.0) == ["attention", "ctc"]
    assert names(ilm_weight=0.0) == ["attention", "ctc", "lm", "length"]
    # What the decoder knows of the language is taken out only where something comes in its place.
    assert names(lm_weight=0.0) == ["attention", "ctc", "length"]


def test_without_a_language_model_nothing_is_put_in_or_taken_out():
    config = SearchConfig(**weights)
    for decoder, lm, expected in [
        (GRUDecoder(1, 6), None, (0.0, 0.0)),
        (GRUDecoder(1, 6), object(), (0.5, 0.3)),
        (None, object(), (0.5, 0.0)),
    ]:
        model = SimpleNamespace(decoder=decoder, ctc=1)
        got = fitting(config, model, lm)
        assert (got.lm_weight, got.ilm_weight) == expected


def test_a_model_without_a_decoder_has_no_language_of_its_own():
    model = SimpleNamespace(decoder=None, ctc_log_probs=Head(1, 6), vocabulary=6)
    config = SearchConfig(ctc_weight=1.0, ilm_weight=0.1)
    with pytest.raises(ModelError, match="use an ILM weight of 0"):
        all_scorers(model, LABELS, config, small("lstm", 1, 6))
