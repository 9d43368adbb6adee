from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.text.special_labels import BLANK, LABELS
from asr.text.tokenizer import frames_needed
from asr.train.losses.joint import IGNORED, attention_loss, ctc_loss, teacher_forcing


def test_teacher_forcing_shifts_by_one_and_ignores_padding() -> None:
    tokens = torch.tensor([[5, 6, 7], [8, 0, 0], [0, 0, 0]])
    inputs, targets = teacher_forcing(tokens, torch.tensor([3, 1, 0]), rows=2, labels=LABELS)
    assert inputs.tolist() == [[2, 5, 6, 7], [2, 8, 2, 2], [2, 2, 2, 2]]
    assert targets[0].tolist() == [5, 6, 7, 2]
    assert targets[1].tolist() == [8, 2, IGNORED, IGNORED]
    assert targets[2].tolist() == [IGNORED] * 4


def test_an_empty_text_is_its_end_alone() -> None:
    inputs, targets = teacher_forcing(
        torch.zeros(1, 0, dtype=torch.long), torch.tensor([0]), 1, labels=LABELS
    )
    assert (inputs.tolist(), targets.tolist()) == ([[2]], [[2]])


def test_padding_beyond_what_the_decoder_takes_is_cut_off() -> None:
    """Labels are not: a decoder refuses too many."""
    tokens, lengths = torch.tensor([[5, 6, 7, 0, 0], [8, 0, 0, 0, 0]]), torch.tensor([3, 1])
    inputs, targets = teacher_forcing(tokens, lengths, 2, labels=LABELS, most=4)
    assert inputs.tolist() == [[2, 5, 6, 7], [2, 8, 2, 2]]
    assert targets.tolist() == [[5, 6, 7, 2], [8, 2, IGNORED, IGNORED]]
    too_many, _ = teacher_forcing(tokens, lengths, 2, labels=LABELS, most=3)
    assert too_many.shape == (2, 4)
    wide, _ = teacher_forcing(tokens, lengths, 2, labels=LABELS, most=6)
    assert wide.shape == (2, 6)


def test_smoothed_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]]])
    targets = torch.tensor([[1, IGNORED]])
    loss, right = attention_loss(logits, targets, smoothing=0.1)
    logs = logits[0, 0].log_softmax(-1)
    expected = -(0.9 * logs[1] + 0.1 * logs.mean())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert right.item() == 1


def test_ctc_is_the_sum_over_all_alignments() -> None:
    log_probs = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    total = 0.0
    for path in torch.cartesian_prod(*[torch.arange(3)] * 3):
        labels = [int(one) for one in torch.unique_consecutive(path) if one != 0]
        if labels == [1, 2]:
            total += math.exp(sum(log_probs[0, t, one].item() for t, one in enumerate(path)))
    loss = ctc_loss(
        log_probs, torch.tensor([3]), torch.tensor([[1, 2]]), torch.tensor([2]), BLANK, False
    )
    assert loss.item() == pytest.approx(-math.log(total), rel=1e-5)


def test_more_labels_than_frames_is_infinite_unless_left_out() -> None:
    log_probs = torch.zeros(1, 2, 4).log_softmax(-1)
    call = (log_probs, torch.tensor([2]), torch.tensor([[1, 2, 3]]), torch.tensor([3]), BLANK)
    assert math.isinf(ctc_loss(*call, leave_out_impossible=False).item())
    assert ctc_loss(*call, leave_out_impossible=True).item() == 0


@given(st.lists(st.integers(1, 3), max_size=6))
def test_frames_needed_is_where_ctc_becomes_finite(tokens: list[int]) -> None:
    needed = frames_needed(tokens)
    for frames, possible in ((needed, True), (needed - 1, False)):
        if frames > 0:
            loss = ctc_loss(
                torch.zeros(1, frames, 4).log_softmax(-1),
                torch.tensor([frames]),
                torch.tensor([tokens], dtype=torch.long),
                torch.tensor([len(tokens)]),
                BLANK,
                False,
            )
            assert math.isfinite(loss.item()) == possible
