"""Slow and plain forms of what the search computes: they are what it must equal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from asr.model.protocols import Decoder
from asr.search import WeightedScorer
from asr.search.ctc import FLOOR
from asr.text import Labels
from asr.text.special_labels import END, LABELS

Score = Callable[[tuple[int, ...]], float]


def log_add(*logs: float) -> float:
    top = max(logs)
    if top == -math.inf:
        return top
    return top + math.log(sum(math.exp(log - top) for log in logs))


def ctc_recursion(
    log_probs: list[list[float]], labels: tuple[int, ...], blank: int = LABELS.ctc_blank
) -> tuple[float, float]:
    """Log probability of beginning with `labels`, and of saying them and nothing more.

    The recursion over prefixes and frames as it is written in the books, one number at a time.
    """
    frames = [[max(value, FLOOR) for value in frame] for frame in log_probs]
    label_end = [-math.inf] * (len(frames) + 1)
    blank_end = [0.0, *itertools.accumulate(frame[blank] for frame in frames)]
    prefix, last = 0.0, None
    for label in labels:
        new_label, new_blank = [-math.inf], [-math.inf]
        prefix = -math.inf
        for t, frame in enumerate(frames, start=1):
            before = (
                blank_end[t - 1] if label == last else log_add(label_end[t - 1], blank_end[t - 1])
            )
            prefix = log_add(prefix, before + frame[label])
            new_label.append(log_add(new_label[t - 1], before) + frame[label])
            new_blank.append(log_add(new_blank[t - 1], new_label[t - 1]) + frame[blank])
        label_end, blank_end, last = new_label, new_blank, label
    return prefix, log_add(label_end[-1], blank_end[-1])


def ctc_paths(probs: list[list[float]]) -> dict[tuple[int, ...], float]:
    """Probability of every label sequence, by adding up all V^T paths."""
    total: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(len(probs[0])), repeat=len(probs)):
        labels = tuple(label for label, _ in itertools.groupby(path) if label != LABELS.blank)
        chance = math.prod(frame[label] for frame, label in zip(probs, path, strict=True))
        total[labels] = total.get(labels, 0.0) + chance
    return total


def sequences(vocabulary: int, most: int, special: Labels = LABELS) -> Iterator[tuple[int, ...]]:
    """All label sequences of at most `most` labels."""
    allowed = [label for label in range(vocabulary) if label not in special.forbidden]
    for length in range(most + 1):
        yield from itertools.product(allowed, repeat=length)


def attention_score(decoder: Decoder, memory: Tensor, special: Labels = LABELS) -> Score:
    """Log probability of labels and the end by teacher forcing; memory is (M, D)."""

    def score(labels: tuple[int, ...]) -> float:
        tokens = torch.tensor([[*special.start, *labels]])
        logits = decoder(tokens, memory[None], torch.tensor([len(memory)]))
        logits = logits[:, len(special.start) - 1 :]
        chosen = torch.tensor([[*labels, special.end]])[:, :, None]
        return logits.log_softmax(-1).gather(2, chosen).sum().item()

    return score


def ctc_score(head: Callable[[Tensor], Tensor], memory: Tensor, special: Labels = LABELS) -> Score:
    log_probs = head(memory[None])[0].tolist()
    return lambda labels: ctc_recursion(log_probs, labels, special.ctc_blank)[1]


def bigram_score(table: Tensor, end: int = END) -> Score:
    return lambda labels: sum(
        table[before, after].item() for before, after in itertools.pairwise([end, *labels, end])
    )


def brute_force(
    scores: dict[str, tuple[float, Score]], vocabulary: int, most: int, special: Labels = LABELS
) -> list[tuple[float, tuple[int, ...], dict[str, float]]]:
    """Every sequence with its weighted sum and its parts, best first."""
    rated = []
    for labels in sequences(vocabulary, most, special):
        parts = {name: score(labels) for name, (_, score) in scores.items()}
        total = sum(scores[name][0] * part for name, part in parts.items())
        rated.append((total, labels, parts))
    return sorted(rated, key=lambda one: -one[0])


def greedy(scorers: list[WeightedScorer], memory: Tensor, most: int) -> tuple[int, ...]:
    """Takes the best label until ending is better; every scorer scores every label."""
    states = [one.scorer.start(memory[None], torch.tensor([len(memory)])) for one in scorers]
    labels: list[int] = []
    while len(labels) < most:
        pairs = list(zip(scorers, states, strict=True))
        total = sum(one.weight * one.scorer.score(state, None)[0] for one, state in pairs)
        end = sum(one.weight * one.scorer.finish(state)[0] for one, state in pairs)
        best = int(total[END + 1 :].argmax()) + END + 1
        if end >= total[best]:
            break
        labels.append(best)
        row, token = torch.tensor([0]), torch.tensor([best])
        states = [one.scorer.advance(state, row, token) for one, state in pairs]
    return tuple(labels)
