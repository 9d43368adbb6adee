"""Consistency regularisation of CTC: two views of an utterance should read alike.

Yao et al. 2024, "CR-CTC: consistency regularization on CTC for improved speech recognition". Each
utterance goes through the encoder twice, under two draws of SpecAugment (and of dropout), with the
same chunk context; each view's CTC posteriors are drawn towards the other's, which stand still.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from asr.data.specaugment import SpecAugmentConfig
from asr.model.attention import within


def consistency_loss(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """Summed divergence of two views' frame posteriors.

    Args:
        log_probs: (2B, M, V) log posteriors, the second view of all utterances behind the first.
        lengths: (2B,) frames of each row, the same in both views.

    Returns:
        the sum over utterances and frames of (KL(sg(b) || a) + KL(sg(a) || b)) / 2, where sg
        stops the gradient.
    """
    first, second = log_probs.float().chunk(2)
    frames = 0.5 * (_divergence(first.detach(), second) + _divergence(second.detach(), first))
    real = within(lengths.chunk(2)[0], frames.shape[1])
    return frames.masked_fill(~real, 0.0).sum()


def _divergence(target: Tensor, predicted: Tensor) -> Tensor:
    """KL(target || predicted) of each frame (B, M), both log posteriors (B, M, V)."""
    return F.kl_div(predicted, target, reduction="none", log_target=True).sum(dim=-1)


def widened(config: SpecAugmentConfig, factor: float) -> SpecAugmentConfig:
    """The same masks over bands, `factor` times as many over time on `factor` times the share."""
    masks, share = round(config.time_masks * factor), config.time_share * factor
    return config.model_copy(update={"time_masks": masks, "time_share": share})
