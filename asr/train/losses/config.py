"""What a recipe says about the losses."""

from __future__ import annotations

from pydantic import Field

from asr.config import Config
from asr.train.losses.mwer import MwerConfig
from asr.train.losses.scheduled_sampling import ScheduledSamplingConfig


class LossConfig(Config):
    """loss = ctc_weight x CTC + (1 - ctc_weight) x cross entropy, both per label.

    Attributes:
        intermediate_weight: moves that part of the CTC loss to the mean of the intermediate CTC
            losses (Lee and Watanabe 2021).
        label_smoothing: of the cross entropy.
        consistency_weight: adds so many times the divergence of two views of each utterance to
            the CTC loss (Yao et al. 2024, who use 0.2; see `asr.train.losses.consistency`). A batch
            takes twice the memory and time: halve `data.batch_seconds` where that is too much.
        consistency_masking: multiplies number and share of the time masks of `spec_augment` for
            views. The usual share of 0.3 becomes the 0.375 of the paper.
        scheduled_sampling: the decoder is fed some of its own labels (`ScheduledSamplingConfig`).
        guided_attention: weight of a loss on attention off the diagonal (Tachibana et al. 2018).
        mwer: for fine-tuning: the expected number of word errors is minimised, see `MwerConfig`.
        leave_out_too_long: utterances with more labels than frames are left out of the CTC loss
            instead of refused.
    """

    ctc_weight: float = Field(default=0.3, ge=0, le=1)
    intermediate_weight: float = Field(default=0.3, ge=0, lt=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    consistency_weight: float = Field(default=0.0, ge=0)
    consistency_masking: float = Field(default=1.25, ge=1)
    scheduled_sampling: ScheduledSamplingConfig | None = None
    guided_attention: float = Field(default=0.0, ge=0)
    mwer: MwerConfig | None = None
    leave_out_too_long: bool = False
