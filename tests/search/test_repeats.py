"""Loops found by counting, against the plain definition."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.search import AttentionScorer, SearchConfig, WeightedScorer, continue_search, search
from asr.search.repeats import MOST_COPIES, RepeatLimited, Repeats, forbid
from asr.text.special_labels import LABELS
from tests.search.models import LoopingDecoder, TableDecoder, memory_of

SEQUENCES = st.lists(st.integers(3, 5), max_size=14)


def rounds_completed(labels: list[int], label: int, n: int) -> int:
    """How many times the last n of `labels` and `label` stand at the end, without the first."""
    said, count = [*labels, label], 0
    part = said[-n:]
    while len(said) >= (count + 2) * n:
        end = len(said) - (count + 1) * n
        if said[end - n : end] != part:
            break
        count += 1
    return count


@given(labels=SEQUENCES, rounds=st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_found_is_what_would_complete_the_rounds(labels: list[int], rounds: list[int]):
    repeats = Repeats(rounds)
    history = repeats.after(torch.tensor([labels]).long(), torch.tensor([len(labels)]))
    said, bad = repeats.completions(history)
    for n, times in enumerate(rounds, 1):
        for label in range(3, 6):
            expected = rounds_completed(labels, label, n) >= times
            assert (bool(bad[0, n - 1]) and int(said[0, n - 1]) == label) == expected


@given(labels=SEQUENCES)
def test_a_history_grows_as_one_that_is_read_at_once(labels: list[int]):
    repeats = Repeats([2, 1, 1])
    history = repeats.start(2, torch.device("cpu"))
    for label in labels:
        history = repeats.extended(history, torch.tensor([1, 0]), torch.tensor([label, 9]))
        history = history[[0, 0]]
    tokens = torch.tensor([[*labels, 0, 0]])
    assert torch.equal(history[:1], repeats.after(tokens, torch.tensor([len(labels)])))


def test_labels_are_denied_among_candidates_and_among_all():
    scores = torch.zeros(1, 6)
    labels, bad = torch.tensor([[4, 5, 4]]), torch.tensor([[True, False, False]])
    assert forbid(scores, None, labels, bad).tolist() == [[0, 0, 0, 0, -torch.inf, 0]]
    candidates = torch.tensor([[5, 3, 4]])
    assert forbid(scores[:, :3], candidates, labels, bad).tolist() == [[0, 0, -torch.inf]]


def test_a_decoder_that_loops_is_cut_after_a_few_rounds():
    for cycle in ([3], [3, 4], [3, 4, 5, 6, 7]):
        memory, lengths = memory_of(1, [60])
        attention = AttentionScorer(LoopingDecoder(cycle, 9), LABELS)
        config = SearchConfig(beam=3)
        [[free]] = search(
            [WeightedScorer("attention", attention, 1.0)], memory, lengths, LABELS, config
        )
        assert len(free.tokens) == 60
        limited = RepeatLimited(attention)
        [[cut]] = search(
            [WeightedScorer("attention", limited, 1.0)], memory, lengths, LABELS, config
        )
        assert len(cycle) * MOST_COPIES <= len(cut.tokens) < len(cycle) * (MOST_COPIES + 1)


def test_what_does_not_loop_is_as_it_was():
    attention = AttentionScorer(TableDecoder(3, 9), LABELS)
    memory, lengths = memory_of(2, [9, 6])
    config = SearchConfig(beam=4, nbest=3)
    for begun in (
        [[()], [()]],
        [[(3, 4)], [(5, 3)]],
    ):  # states of this decoder know one position for all
        plain, limited = (
            continue_search(
                [WeightedScorer("attention", one, 1.0)], memory, lengths, LABELS, config, begun
            )
            for one in (attention, RepeatLimited(attention))
        )
        assert [one.hypotheses for one in plain] == [one.hypotheses for one in limited]
