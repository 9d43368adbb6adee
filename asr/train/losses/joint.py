"""The two losses, as sums over labels.

Losses are summed here and divided by the number of labels once per optimizer step, over all
accumulated batches and all processes. A mean per batch would weigh a label by how many others
happen to share its batch; this way accumulating two batches equals one batch of both.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.data.dataset import Batch
from asr.data.prompts import NO_TARGET
from asr.text import Labels

IGNORED = NO_TARGET


def teacher_forcing(
    tokens: Tensor,
    token_lengths: Tensor,
    rows: int,
    labels: Labels,
    starts: Tensor | None = None,
    most: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Decoder inputs and targets of tokens (B, U): start + tokens, and tokens + end.

    With a start of S labels both are (B, S + U): position S - 1 predicts the first token. Targets
    before it and beyond a row's end are `IGNORED`, and so are all of the rows after the first
    `rows`, which are padding. Rows of `starts` (B, S) are the starts of each; None: all have that
    of `labels`. `most` is how many labels the decoder takes (`Decoder.max_labels`): padding of the
    tokens that goes beyond it is cut off.
    """
    if starts is None:
        starts = torch.tensor([labels.start], dtype=tokens.dtype, device=tokens.device)
    if most is not None and starts.shape[1] + tokens.shape[1] > most:
        tokens = tokens[:, : max(most - starts.shape[1], int(token_lengths.max()))]
    places = torch.arange(tokens.shape[1] + 1, device=tokens.device)
    lengths = token_lengths.to(tokens.device)[:, None]
    padded = F.pad(tokens, (0, 1), value=labels.end)
    targets = padded.masked_fill(places == lengths, labels.end)
    targets = targets.masked_fill(places > lengths, IGNORED)
    targets[rows:] = IGNORED
    targets = F.pad(targets, (starts.shape[1] - 1, 0), value=IGNORED)
    inputs = tokens.masked_fill(places[:-1] >= lengths, labels.end)
    return torch.cat((starts.expand(len(tokens), -1), inputs), dim=1), targets


def rows_by_start(batch: Batch, labels: Labels) -> list[tuple[Labels, list[int]]]:
    """The utterances of a batch by their start sequence, with `labels` that have this start."""
    utterances = range(len(batch.ids))
    if batch.starts is None:
        return [(labels, list(utterances))]
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, start in zip(utterances, batch.starts.tolist(), strict=False):
        rows.setdefault(tuple(start), []).append(row)
    return [(replace(labels, start=start), places) for start, places in rows.items()]


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
    blank: int,
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
        blank=blank,
        reduction="sum",
        zero_infinity=leave_out_impossible,
    )
