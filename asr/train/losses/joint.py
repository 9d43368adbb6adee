"""The two losses, as sums over labels.

Losses are summed here and divided by the number of labels once per optimizer step, over all
accumulated batches and all processes. A mean per batch would weigh a label by how many others
happen to share its batch; this way accumulating two batches equals one batch of both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.text import BLANK, EOS

IGNORED = -100


def teacher_forcing(tokens: Tensor, token_lengths: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Decoder inputs and targets of labels (B, U): EOS + labels, and labels + EOS.

    Both are (B, U + 1); targets beyond a row's EOS are `IGNORED`, and so are all of the rows
    after the first `rows`, which are padding.
    """
    places = torch.arange(tokens.shape[1] + 1, device=tokens.device)
    lengths = token_lengths.to(tokens.device)[:, None]
    padded = F.pad(tokens, (0, 1), value=EOS)
    targets = padded.masked_fill(places == lengths, EOS).masked_fill(places > lengths, IGNORED)
    targets[rows:] = IGNORED
    inputs = F.pad(tokens, (1, 0), value=EOS).masked_fill(places > lengths, EOS)
    return inputs, targets


def attention_loss(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Summed label-smoothed cross entropy of logits (B, U, V), and the count of right labels."""
    logits = logits.float()
    loss = F.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORED,
        label_smoothing=smoothing,
        reduction="sum",
    )
    right = (logits.detach().argmax(dim=-1) == targets).sum()
    return loss, right


def ctc_loss(
    log_probs: Tensor,
    lengths: Tensor,
    tokens: Tensor,
    token_lengths: Tensor,
    leave_out_impossible: bool,
) -> Tensor:
    """Summed CTC loss (Graves et al. 2006) of log_probs (B, M, V), in float32.

    `leave_out_impossible` gives rows with more labels than frames no loss; without it they make
    the sum infinite, which training treats as a bad batch.
    """
    return F.ctc_loss(
        log_probs.float().transpose(0, 1),
        tokens,
        lengths,
        token_lengths,
        blank=BLANK,
        reduction="sum",
        zero_infinity=leave_out_impossible,
    )
