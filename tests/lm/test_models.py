"""The forms of a language model agree: all labels at once, one by one, behind given labels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.model.states import joined
from asr.text.special_labels import END
from tests.lm.made import KINDS, neural, small

VOCABULARY = 7
some = settings(max_examples=8)
seeds = st.integers(0, 10_000)


@pytest.fixture(autouse=True, scope="module")
def _without_gradients():
    """As the search runs: caches are written in place."""
    with torch.inference_mode():
        yield


def batch(seed: int, rows: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(3, VOCABULARY, (rows, size), generator=generator)
    tokens[:, 0] = END
    return tokens


@some
@given(seed=seeds, kind=st.sampled_from(KINDS), rows=st.integers(1, 3), size=st.integers(1, 9))
def test_steps_give_what_priming_gives(seed, kind, rows, size):
    lm, tokens = small(kind, seed, VOCABULARY), batch(seed, rows, size)
    said, behind = lm.prime(tokens, torch.full((rows,), size))
    state = lm.initial_state(rows)
    for place, column in enumerate(tokens.unbind(1)):
        log_probs, state = lm.step(column, state)
        torch.testing.assert_close(log_probs, said[:, place], atol=1e-6, rtol=1e-6)
        assert log_probs.exp().sum(1) == pytest.approx(1.0, abs=1e-5)
    following = batch(seed + 1, rows, 2)[:, 1]
    one, _ = lm.step(following, state)
    other, _ = lm.step(following, behind)
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


@some
@given(seed=seeds, kind=st.sampled_from(["lstm", "transformer"]), size=st.integers(1, 9))
def test_training_sees_what_steps_see(seed, kind, size):
    lm, tokens = neural(kind, seed, VOCABULARY), batch(seed, 2, size)
    said, _ = lm.prime(tokens, torch.tensor([size, size]))
    torch.testing.assert_close(lm(tokens).log_softmax(-1), said, atol=1e-6, rtol=1e-6)


@some
@given(seed=seeds, kind=st.sampled_from(KINDS), counts=st.lists(st.integers(1, 6), min_size=2))
def test_rows_of_unequal_length_are_primed_as_if_alone(seed, kind, counts):
    lm, tokens = small(kind, seed, VOCABULARY), batch(seed, len(counts), max(counts))
    said, behind = lm.prime(tokens, torch.tensor(counts))
    following = batch(seed + 1, len(counts), 2)[:, 1]
    together, _ = lm.step(following, behind)
    for row, count in enumerate(counts):
        alone, state = lm.prime(tokens[row : row + 1, :count], torch.tensor([count]))
        torch.testing.assert_close(said[row, :count], alone[0], atol=1e-6, rtol=1e-6)
        next_one, _ = lm.step(following[row : row + 1], state)
        torch.testing.assert_close(together[row], next_one[0], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_follow_their_parents(kind):
    lm = small(kind, 5, VOCABULARY)
    _, state = lm.step(torch.tensor([END]), lm.initial_state(1))
    _, state = lm.step(torch.tensor([3, 4, 5]), lm.reorder(state, torch.tensor([0, 0, 0])))
    last = torch.tensor([6, 6, 3])
    log_probs, _ = lm.step(last, lm.reorder(state, torch.tensor([2, 0, 2])))
    for row, labels in enumerate([[END, 5, 6], [END, 3, 6], [END, 5, 3]]):
        said, _ = lm.prime(torch.tensor([labels]), torch.tensor([3]))
        torch.testing.assert_close(log_probs[row], said[0, -1], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ["lstm", "ngram"])
def test_states_of_several_texts_can_be_joined(kind):
    lm = small(kind, 5, VOCABULARY)
    states = [lm.step(torch.tensor([END]), lm.initial_state(1))[1] for _ in range(2)]
    log_probs, _ = lm.step(torch.tensor([3, 4]), joined(states))
    said, _ = lm.prime(torch.tensor([[END, 3], [END, 4]]), torch.tensor([2, 2]))
    torch.testing.assert_close(log_probs, said[:, -1], atol=1e-6, rtol=1e-6)
