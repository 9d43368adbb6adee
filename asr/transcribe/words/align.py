"""Where labels are said: forced alignment on CTC's posteriors.

The likeliest path of CTC that says given labels (Viterbi over the labels with blanks between
them; Graves et al. 2006), for many utterances at once. It need not have ended: it may stop in the
last label or in the blank behind it, so the same serves a segment that is still being spoken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from asr.text.tokenizer import frames_needed

#: The frames of a label: from the first up to, not including, the second.
Span: TypeAlias = tuple[int, int]


def align(log_probs: np.ndarray, labels: Sequence[int], blank: int) -> list[Span]:
    """Where each of some labels is said.

    Args:
        log_probs: (T, V) log posteriors.
        labels: U of them, no blanks.
        blank: the id of the blank label.

    Returns:
        U spans, one behind the other, with blanks between them. Where the frames have no room for
        so many labels, they share the frames evenly.
    """
    return align_many([log_probs], [labels], blank)[0]


def align_many(
    log_probs: Sequence[np.ndarray], labels: Sequence[Sequence[int]], blank: int
) -> list[list[Span]]:
    """`align` for B utterances: log posteriors (T, V) and labels (U,) of each."""
    rows = [
        row
        for row, tokens in enumerate(labels)
        if tokens and len(log_probs[row]) >= frames_needed(tokens)
    ]
    spans = [
        evenly_spaced(len(frames), len(tokens))
        for frames, tokens in zip(log_probs, labels, strict=True)
    ]
    if rows:
        paths = _viterbi([log_probs[row] for row in rows], [labels[row] for row in rows], blank)
        for row, begins, ends in zip(rows, *paths, strict=True):
            count = len(labels[row])
            spans[row] = list(zip(begins[:count].tolist(), ends[:count].tolist(), strict=True))
    return spans


def evenly_spaced(frames: int, count: int) -> list[Span]:
    """Spans of labels that share some frames."""
    return [(n * frames // count, (n + 1) * frames // count) for n in range(count)]


def _viterbi(
    log_probs: Sequence[np.ndarray], labels: Sequence[Sequence[int]], blank: int
) -> tuple[np.ndarray, np.ndarray]:
    """Begins and ends (B, U) of the labels, each of which has room in its frames."""
    lengths = np.array([len(frames) for frames in log_probs])
    counts = np.array([len(tokens) for tokens in labels])
    batch, frames, places = len(lengths), lengths.max(), 2 * counts.max() + 1
    path = np.full((batch, places), blank)
    emissions = np.zeros((frames, batch, places))
    for row, tokens in enumerate(labels):
        path[row, 1 : 2 * len(tokens) : 2] = tokens
        emissions[: lengths[row], row] = log_probs[row][:, path[row]]
    equal = np.zeros((batch, places), bool)
    equal[:, 3::2] = path[:, 3::2] == path[:, 1:-2:2]
    return best_paths(emissions, lengths, counts, equal)


def best_paths(
    emissions: np.ndarray, lengths: np.ndarray, counts: np.ndarray, separate: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best paths through labels with gaps between them, for B utterances at once.

    Args:
        emissions: (T, B, 2U + 1) scores of each frame: of the gap before the first label, of that
            label, of the gap behind it, and so on.
        lengths: (B,) frames of each. counts: (B,) labels of each, no more than it has frames.
        separate: (B, 2U + 1) True for labels that need a frame in the gap before them.

    Returns:
        begins and ends (B, U + 1) of labels; what stands beyond the labels of a row means nothing.
    """
    frames, batch, places = emissions.shape
    # One may come from two places before: over a gap, but not from gap to gap.
    closed = np.full((batch, places), -np.inf)
    closed[:, 3::2] = np.where(separate[:, 3::2], -np.inf, 0.0)
    came = np.zeros((frames, batch, places), np.int8)
    # Two places of -inf stand before the first, so that all places have three to come from.
    scores = np.full((batch, 2 + places), -np.inf)
    scores[:, 2:4] = emissions[0, :, :2]
    ending: dict[int, list[int]] = {}
    for row, length in enumerate(lengths.tolist()):
        ending.setdefault(length - 1, []).append(row)
    last = scores[:, 2:].copy()
    for frame in range(1, frames):
        stay, step, skip = scores[:, 2:], scores[:, 1:-1], scores[:, :-2] + closed
        best = np.maximum(stay, step)
        came[frame] = np.where(skip > best, 2, step > stay)
        scores[:, 2:] = np.maximum(best, skip) + emissions[frame]
        for row in ending.get(frame, ()):
            last[row] = scores[row, 2:]
    return _traced(came, last, lengths, counts)


def _traced(
    came: np.ndarray, last: np.ndarray, lengths: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Follows the best paths back, from their scores (B, 2U + 1) in their last frames."""
    rows = np.arange(len(lengths))
    place = 2 * counts
    place -= last[rows, place] < last[rows, place - 1]
    begins = np.zeros((len(rows), last.shape[1] // 2 + 1), int)  # the last column is for blanks
    ends = np.zeros_like(begins)
    for frame in range(len(came) - 1, -1, -1):
        here = frame < lengths
        label = np.where(here & (place % 2 == 1), place // 2, -1)
        begins[rows, label] = frame
        ends[rows, label] = np.maximum(ends[rows, label], frame + 1)
        place -= np.where(here, came[frame, rows, place], 0)
    return begins, ends
