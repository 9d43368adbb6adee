"""Counting, smoothing and pruning against the formulas, one number at a time."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ManifestError, ModelError
from asr.lm.counts import count
from asr.lm.kneser_ney import estimate, kneser_ney, tree
from asr.lm.ngram import NGram
from asr.lm.perplexity import perplexity
from asr.lm.pruning import pruned
from asr.text import Labels
from asr.text.special_labels import BLANK, END, LABELS
from tests.layouts import LAYOUTS, without_blank
from tests.lm.made import ngram, of_text, texts_of

VOCABULARY = 6
some = settings(max_examples=8)
seeds = st.integers(0, 10_000)
START = "start"  # the oracle tells the start of a text from its end


class Oracle:
    """Modified Kneser-Ney as Chen and Goodman (1998) write it."""

    def __init__(self, texts: list[np.ndarray], order: int) -> None:
        lines = [[START, *text.tolist(), END] for text in texts]
        raw: dict[int, Counter] = {}
        for n in range(1, order + 1):
            grams = (tuple(line[i : i + n]) for line in lines for i in range(len(line) - n + 1))
            raw[n] = Counter(gram for gram in grams if gram != (START,))
        self.counts = {order: raw[order]}
        for n in range(1, order):
            before = Counter(gram[1:] for gram in raw[n + 1])
            self.counts[n] = Counter(
                {gram: before[gram] or times for gram, times in raw[n].items()}
            )
        self.discounts = {n: self._discounts(found) for n, found in self.counts.items()}

    def _discounts(self, found: Counter) -> list[float]:
        times = Counter(found.values())
        if not (times[1] and times[2] and times[3]):
            return [0, 0.5, 1.0, 1.5]
        y = times[1] / (times[1] + 2 * times[2])
        told = [k - (k + 1) * y * times[k + 1] / times[k] for k in (1, 2, 3)]
        usual = [0.5, 1.0, 1.5]
        pairs = enumerate(zip(told, usual, strict=True), start=1)
        return [0, *(one if 0 <= one <= k else other for k, (one, other) in pairs)]

    def prob(self, history: tuple, word: int) -> float:
        n = len(history) + 1
        lower = self.prob(history[1:], word) if history else 1 / (VOCABULARY - 1)
        after = {gram: c for gram, c in self.counts[n].items() if gram[:-1] == history}
        total = sum(after.values())
        if not total:
            return lower
        taken = {gram: self.discounts[n][min(c, 3)] for gram, c in after.items()}
        gram = (*history, word)
        own = after.get(gram, 0) - taken.get(gram, 0)
        return own / total + sum(taken.values()) / total * lower


@some
@given(seed=seeds, order=st.integers(1, 4), text=st.lists(st.integers(3, VOCABULARY - 1)))
def test_it_equals_the_formulas_of_kneser_and_ney(seed, order, text):
    texts = texts_of(seed, VOCABULARY, count=25)
    lm, oracle = estimate(texts, VOCABULARY, LABELS, order), Oracle(texts, order)
    history: list = [START]
    for word, said in zip([*text, END], of_text(lm, text), strict=True):
        context = tuple(history[1 - order :]) if order > 1 else ()
        assert said == pytest.approx(math.log(oracle.prob(context, word)), abs=2e-5)
        history.append(word)


@some
@given(seed=seeds, order=st.integers(1, 5), prune=st.sampled_from([0.0, 1e-4, 1e-2]))
def test_what_comes_next_adds_up_to_1_behind_every_history(seed, order, prune):
    lm = ngram(seed, VOCABULARY, order, prune)
    state = lm.initial_state(1)
    rows, state = lm.step(torch.tensor([END]), state)
    for label in texts_of(seed + 1, VOCABULARY, count=1, longest=12)[0]:
        assert rows.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
        every = torch.arange(VOCABULARY)
        torch.testing.assert_close(lm.log_prob(state.expand(VOCABULARY), every), rows[0])
        rows, state = lm.step(torch.tensor([int(label)]), state)


def test_texts_are_counted_with_their_start_and_end():
    texts = [np.array([3, 4, 3]), np.array([3])]
    singles, pairs, triples = count(texts, 5, 3, END)
    assert singles.counts.tolist() == [0, 0, 2, 3, 1]  # the start is no event
    found = dict(zip(zip(pairs.parents, pairs.words, strict=True), pairs.counts, strict=True))
    assert found == {(END, 3): 2, (3, 4): 1, (4, 3): 1, (3, END): 2}
    assert singles.adjusted.tolist() == [0, 0, 1, 2, 1]  # how many labels stand before each
    assert triples.counts.sum() == 4


def test_what_a_pruned_ngram_costs_is_what_was_foreseen():
    """The relative entropy between the model and the one without a single n-gram, in full."""
    levels = count(texts_of(3, VOCABULARY), VOCABULARY, 2, END)
    estimates = kneser_ney(levels, BLANK)
    everything = [np.ones(len(level.words), dtype=bool) for level in levels]
    whole = tree(levels, estimates, everything, VOCABULARY, BLANK)
    costs = []
    for place in range(len(levels[1].words)):
        without = [everything[0], everything[1].copy()]
        without[1][place] = False
        less = tree(levels, estimates, without, VOCABULARY, BLANK)
        context = int(levels[1].parents[place])
        rows, _ = whole.step(torch.tensor([context]), whole.initial_state(1))
        other, _ = less.step(torch.tensor([context]), less.initial_state(1))
        rows, other = rows[0, 1:].double(), other[0, 1:].double()
        share = levels[0].counts[context] / levels[0].counts.sum()
        costs.append(share * (rows.exp() * (rows - other)).sum().item())
    for threshold in np.quantile(costs, [0.2, 0.5, 0.8]):
        kept = pruned(levels, estimates, float(threshold))[1]
        clear = np.abs(np.array(costs) - threshold) > 1e-6
        assert (kept == (np.array(costs) >= threshold))[clear].all()


def test_pruning_takes_little_and_keeps_every_beginning():
    texts = texts_of(1, 9, count=300)
    whole, less = estimate(texts, 9, LABELS, 4), estimate(texts, 9, LABELS, 4, 3e-4)
    assert len(less.parents) < 0.8 * len(whole.parents)
    unseen = texts_of(2, 9, count=300)
    words = sum(map(len, unseen))
    assert (
        perplexity(less, unseen, words, END).nats < 1.1 * perplexity(whole, unseen, words, END).nats
    )


def test_nothing_to_count_is_told():
    with pytest.raises(ManifestError, match="no text"):
        estimate([], VOCABULARY, LABELS, 3)


def test_a_tree_out_of_order_is_refused():
    lm = ngram(1, VOCABULARY)
    parts = (lm.parents, lm.words, lm.log_probs[1:], lm.backoffs[1:])
    NGram(VOCABULARY, *parts)
    with pytest.raises(ModelError, match="damaged"):
        NGram(VOCABULARY, *(part.flip(0) for part in parts))


def test_perplexity_counts_ends():
    texts = [np.array([3, 4]), np.array([5])]
    lm = ngram(1, VOCABULARY)
    nats = -sum(sum(of_text(lm, text.tolist())) for text in texts)
    measured = perplexity(lm, texts, 2, END)
    assert measured.nats == pytest.approx(nats, rel=1e-5)
    assert measured.per_label == pytest.approx(math.exp(nats / 5), rel=1e-5)
    assert measured.per_word == pytest.approx(math.exp(nats / 4), rel=1e-5)
    assert math.isnan(perplexity(lm, [], 0, END).per_word)


def test_an_unseen_label_is_possible():
    lm = ngram(1, 20)  # texts have labels 3 to 19; 1 never occurs
    rows, _ = lm.step(torch.tensor([END]), lm.initial_state(1))
    assert (rows[0, 1:] > -30).all()
    assert min(of_text(lm, [1, 1])) > -30


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_numbers_change_nothing(layout):
    """The blank, which no text holds, may be any label."""
    texts = texts_of(4, layout.vocabulary)
    renumbered = [layout.renumbered(torch.from_numpy(text)).numpy() for text in texts]
    lm = estimate(texts, layout.vocabulary, layout.usual, 3, 1e-4)
    other = estimate(renumbered, layout.vocabulary, layout.other, 3, 1e-4)
    tokens = torch.tensor([[layout.usual.end, *texts[0].tolist()]])
    counts = torch.tensor([tokens.shape[1]])
    rows, state = lm.prime(tokens, counts)
    rows_again, state_again = other.prime(layout.renumbered(tokens), counts)
    torch.testing.assert_close(rows_again, layout.moved(rows, 2))
    every = torch.arange(layout.vocabulary)
    torch.testing.assert_close(
        other.log_prob(state_again.expand(len(every)), layout.renumbered(every)),
        lm.log_prob(state.expand(len(every)), every),
    )
    words = sum(map(len, texts))
    measured = perplexity(other, renumbered, words, layout.other.end)
    assert measured.nats == pytest.approx(perplexity(lm, texts, words, layout.usual.end).nats)


def test_without_a_blank_every_label_is_possible():
    texts = texts_of(5, 7)
    lm = estimate(texts, 7, without_blank(LABELS), 3)
    rows, state = lm.step(torch.tensor([END]), lm.initial_state(1))
    assert rows.isfinite().all()
    assert rows.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    every = torch.arange(7)
    torch.testing.assert_close(lm.log_prob(state.expand(7), every), rows[0])
    # the same as if the labels stood behind a blank
    shifted = Labels(blank=0, unknown=None, end=END + 1, start=(END + 1,))
    other = estimate([text + 1 for text in texts], 8, shifted, 3)
    again, _ = other.step(torch.tensor([END + 1]), other.initial_state(1))
    torch.testing.assert_close(again[:, 1:], rows)
