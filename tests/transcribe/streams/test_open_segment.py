"""Where labels begin: the best path against all paths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.text.special_labels import BLANK
from asr.transcribe.streams.open_segment import label_frames, settled_labels, whole_words


def begins(path: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The labels of a path, and where each begins."""
    starts = [n for n, one in enumerate(path) if one and (n == 0 or path[n - 1] != one)]
    return [path[n] for n in starts], starts


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1000),
    frames=st.integers(1, 6),
    labels=st.lists(st.integers(1, 2), min_size=1, max_size=3),
)
def test_it_is_the_best_of_all_paths(seed: int, frames: int, labels: list[int]) -> None:
    log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(3), frames))
    best, expected = -np.inf, None
    for path in itertools.product(range(3), repeat=frames):
        said, starts = begins(path)
        score = log_probs[range(frames), path].sum()
        if said == labels and score > best:
            best, expected = score, starts
    found = label_frames(log_probs, labels, BLANK)
    if expected is not None:
        assert found == expected
    else:
        assert len(found) == len(labels)
        assert found == sorted(found)


def test_labels_without_frames_begin_behind_the_last() -> None:
    assert label_frames(np.zeros((0, 3)), [1, 2], BLANK) == [0, 0]
    assert label_frames(np.zeros((3, 3)), [], BLANK) == []


def test_what_begins_at_the_edge_has_not_arrived() -> None:
    assert settled_labels([0, 4, 8], 10, 2) == 2
    assert settled_labels([0, 4, 7], 10, 2) == 3
    assert settled_labels([], 10, 2) == 0
    assert settled_labels([9, 3], 10, 2) == 0


def spelled(labels: Sequence[int]) -> str:
    """Labels below 10 begin a word, tens go on with it."""
    return "".join(f" {n}" if n < 10 else f"-{n}" for n in labels).strip()


def test_whole_words_are_those_behind_which_another_begins() -> None:
    labels = [1, 10, 2, 3, 30, 31]  # "1-10 2 3-30-31"
    assert [whole_words(labels, count, spelled) for count in range(7)] == [0, 0, 2, 3, 3, 3, 3]
    assert whole_words([], 0, spelled) == 0
