"""Forced alignment against torchaudio's, which it must not need."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.text.special_labels import BLANK
from asr.transcribe.words.align import align, align_many, best_paths

utterances = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(1, 30), st.lists(st.integers(1, 4), max_size=8)),
    min_size=1,
    max_size=4,
)


def posteriors(seed: int, frames: int, labels: int = 5) -> np.ndarray:
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(labels), frames))


def least(labels: list[int]) -> int:
    return len(labels) + sum(one == other for one, other in itertools.pairwise(labels))


def reference(log_probs: np.ndarray, labels: list[int]) -> list[tuple[int, int]]:
    """The runs of labels on the path that torchaudio finds."""
    functional = pytest.importorskip("torchaudio.functional")
    path, _ = functional.forced_align(
        torch.from_numpy(log_probs)[None], torch.tensor([labels], dtype=torch.int32)
    )
    runs = itertools.groupby(enumerate(path[0].tolist()), key=lambda pair: pair[1])
    places = [[place for place, _ in run] for label, run in runs if label]
    return [(run[0], run[-1] + 1) for run in places]


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=60)
@given(many=utterances)
def test_a_batch_is_aligned_as_torchaudio_aligns_each(
    many: list[tuple[int, int, list[int]]],
) -> None:
    log_probs = [posteriors(seed, frames) for seed, frames, _ in many]
    labels = [said for _, _, said in many]
    found = align_many(log_probs, labels, BLANK)
    for one, said, spans in zip(log_probs, labels, found, strict=True):
        assert spans == align(one, said, BLANK)
        if said and least(said) <= len(one):
            assert spans == reference(one, said)


@given(seed=st.integers(0, 100), frames=st.integers(0, 6), count=st.integers(0, 12))
def test_labels_without_room_share_the_frames(seed: int, frames: int, count: int) -> None:
    spans = align(posteriors(seed, frames), [1] * count, BLANK)
    assert len(spans) == count
    times = [time for span in spans for time in span]
    assert times == sorted(times)
    assert all(0 <= time <= frames for time in times)


def test_nothing_to_align() -> None:
    assert align_many([], [], BLANK) == []
    assert align_many([posteriors(0, 3)], [[]], BLANK) == [[]]


def test_the_blank_may_be_any_label() -> None:
    log_probs, labels = posteriors(3, 12), [1, 2, 2, 4]
    numbers = [3, 0, 4, 1, 2]
    moved = log_probs[:, np.argsort(numbers)]
    assert align(moved, [numbers[label] for label in labels], 3) == align(log_probs, labels, BLANK)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 6), count=st.integers(1, 3))
def test_best_paths_are_those_of_brute_force(seed: int, frames: int, count: int) -> None:
    """Labels with gaps between them that may be empty: every way to cut the frames is tried."""
    if count > frames:
        return
    scores = np.random.default_rng(seed).normal(size=(frames, 1, 2 * count + 1))
    nowhere = np.zeros((1, 2 * count + 1), bool)
    begins, ends = best_paths(scores, np.array([frames]), np.array([count]), nowhere)

    def total(edges: tuple[int, ...]) -> float:
        cuts = (0, *edges, frames)
        return sum(float(scores[cuts[n] : cuts[n + 1], 0, n].sum()) for n in range(2 * count + 1))

    ways = itertools.combinations_with_replacement(range(frames + 1), 2 * count)
    allowed = [
        edges for edges in ways if all(edges[n] < edges[n + 1] for n in range(0, 2 * count, 2))
    ]
    found = tuple(itertools.chain(*zip(begins[0, :count], ends[0, :count], strict=True)))
    assert found == max(allowed, key=total)
