"""A scorer that other scorers use too."""

from __future__ import annotations

import torch

from asr.search.attention import AttentionScorer
from asr.search.shared import SharedScorer
from asr.text.special_labels import LABELS
from tests.search.models import Counting, TableDecoder, memory_of


def test_the_same_call_is_computed_once() -> None:
    counting = Counting(AttentionScorer(TableDecoder(1, 9), LABELS))
    shared = SharedScorer(counting)
    memory, lengths = memory_of(1, [4, 6])
    state = shared.start(memory, lengths)
    assert shared.start(memory, lengths) is state
    parents, labels = torch.tensor([0, 0, 1]), torch.tensor([3, 4, 5])
    after = shared.advance(state, parents, labels)
    assert shared.advance(state, parents, labels) is after
    assert counting.steps == 1
    equal = shared.advance(state, parents, labels.clone())  # equal, but other tensors
    assert equal is not after
    assert torch.equal(shared.score(equal, None), shared.score(after, None))
    tokens, counts = torch.tensor([[3, 4], [5, 6]]), torch.tensor([2, 2])
    first = shared.start_with_prefix(memory, lengths, tokens, counts)
    assert shared.start_with_prefix(memory, lengths, tokens, counts) is first
