"""Settings that suit adapting a model to a given amount of speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lhotse.cut import Cut

#: Steps for three minutes of speech. They grow with the fourth root of the amount, so that a corpus
#: of minutes is trained on for about twenty epochs and one of hours for a few (measurements are in
#: docs/finetuning.md).
STEPS_FOR_MINUTES = (200, 3.0)
#: The peak learning rate, as a share of the highest one that the model was trained with.
LR_SHARE = 0.25
#: With a corpus to rehearse: the share of the training audio that comes from the old domain.
KEEP_SHARE = 0.3
#: Up to so many hours of audio (115 MB each) are decoded once and kept in memory.
MEMORY_HOURS = 10.0
#: Seconds of audio in a step, at least and at most.
BATCH_SECONDS = (20.0, 60.0)
SPEEDS = (0.95, 1.0, 1.05)
#: The greatest length of utterances in seconds, and of those of the old domain: lower, so that they
#: do not make steps longer.
LONGEST, LONGEST_KEPT = 30, 15

#: Whisper models were trained on far more speech and need fewer steps. A step has so many
#: utterances, as the cost of one depends little on its length. Played at the slowest speed, they
#: must not be longer than the 30 s that the encoder takes.
WHISPER_STEPS_FOR_MINUTES = (100, 3.0)
WHISPER_UTTERANCES, WHISPER_LONGEST = 16, 28
#: The peak learning rate by the width of the model: a fortieth of the one that it was trained with.
#: Low-rank matrices begin at zero and need a far higher one (Hu et al. 2022).
WHISPER_LR = {384: 3.75e-5, 512: 2.5e-5, 768: 1.25e-5, 1024: 6.25e-6, 1280: 4.4e-6}
LORA_LR = 1e-3


@dataclass(frozen=True)
class Amount:
    """How much speech a corpus has: utterances, total seconds, and seconds of the longest one."""

    utterances: int
    seconds: float
    longest: float

    @classmethod
    def of(cls, cuts: Sequence[Cut]) -> Amount:
        """The amount of speech in `cuts`."""
        lengths = [cut.duration for cut in cuts]
        return cls(len(lengths), sum(lengths), max(lengths, default=0.0))


def settings(new: Amount, rehearsed: bool, lr: float) -> dict[str, Any]:
    """The values of a recipe for data, optimisation and the length of the run, without paths.

    Args:
        new: the speech to adapt to.
        rehearsed: whether speech of the old domain is trained on as well.
        lr: the highest learning rate that the model was trained with (`peak_lr`).
    """
    longest = min(math.ceil(new.longest + 0.5), LONGEST)
    longest = max(longest, LONGEST_KEPT) if rehearsed else longest
    batch = min(max(new.seconds / 20, BATCH_SECONDS[0]), BATCH_SECONDS[1])
    batch = max(math.ceil(batch), math.ceil(1.5 * longest / min(SPEEDS)))
    steps = how_many_steps(new.seconds, batch, rehearsed)
    hours = new.seconds / 3600
    return {
        "data": {
            "batch_seconds": batch,
            "max_seconds": longest,
            "buckets": min(max(round(new.seconds / batch / 4), 1), 30),
            "workers": 0,
            "cache": "memory" if hours <= MEMORY_HOURS else "none",
            "augment": {
                "speed": {"factors": list(SPEEDS)},
                "volume": {"probability": 0.5, "gain_db": [-12, 6]},
            },
        },
        "spec_augment": {"frequency_width": 15, "time_width": 20, "time_share": 0.15},
        "optimizer": {"lr": float(f"{LR_SHARE * lr:.2g}")},
        "schedule": {"type": "cosine", "warmup_steps": max(steps // 10, 1)},
        "training": {
            "max_steps": steps,
            # averages over about the last twentieth of the run's steps
            "ema": float(f"{min(max(1 - 20 / steps, 0.5), 0.999):.3g}"),
            "devices": 1,
        },
        "validation": {"steps": max(steps // 8, 1), "decode": 50, "show": 3},
        # the mean of the best snapshots by the held-out loss: later ones may be overfitted
        "checkpoint": {"minutes": 2, "keep": 3, "average": "best"},
        "statistics": 1,  # the model's own are taken over
    }


def whisper_settings(
    new: Amount, rehearsed: bool, lr: float, steps: int | None = None
) -> dict[str, Any]:
    """`settings` for a Whisper model.

    Args:
        new, rehearsed: as for `settings`.
        lr: the peak learning rate: `whisper_lr`, or `LORA_LR`.
        steps: number of steps; None: chosen from the amount.
    """
    values = settings(new, rehearsed, lr)
    longest = min(int(values["data"]["max_seconds"]), WHISPER_LONGEST)
    mean = new.seconds / max(new.utterances, 1)
    batch = math.ceil(max(1.25 * WHISPER_UTTERANCES * mean, 1.5 * longest / min(SPEEDS)))
    pace = WHISPER_STEPS_FOR_MINUTES
    steps = steps or how_many_steps(new.seconds, WHISPER_UTTERANCES * mean, rehearsed, pace)
    values["data"] |= {
        "max_seconds": longest,
        "batch_seconds": batch,
        "batch_utterances": WHISPER_UTTERANCES,
        "buckets": min(max(round(new.utterances / WHISPER_UTTERANCES / 4), 1), 30),
    }
    values["spec_augment"] = {
        "frequency_masks": 0,
        "time_masks": 15,
        "time_width": 10,
        "time_share": 0.05,
    }
    values["optimizer"] = {"lr": lr, "betas": [0.9, 0.98], "weight_decay": 0.0}
    values["schedule"]["warmup_steps"] = max(steps // 4, 1)  # short runs lose most by a steep start
    values["training"] |= {
        "max_steps": steps,
        "clip_norm": 1.0,
        "ema": float(f"{min(max(1 - 20 / steps, 0.5), 0.999):.3g}"),
    }
    values["validation"]["steps"] = max(steps // 4, 1)
    return values


def whisper_lr(dim: int) -> float:
    """The peak learning rate for a Whisper model whose vectors have `dim` values."""
    return WHISPER_LR[min(WHISPER_LR, key=lambda known: abs(known - dim))]


def how_many_steps(
    seconds: float,
    batch_seconds: float,
    rehearsed: bool,
    pace: tuple[int, float] = STEPS_FOR_MINUTES,
) -> int:
    """The number of steps for `seconds` of new speech: at least one epoch.

    Args:
        pace: steps, and the minutes of speech that they are for; see `STEPS_FOR_MINUTES`.
    """
    steps, minutes = pace
    wanted = max(steps * (seconds / 60 / minutes) ** 0.25, seconds / batch_seconds)
    return max(round(wanted / (1 - KEEP_SHARE if rehearsed else 1)), 1)


def repeat_of(keep: Amount, new: Amount) -> float:
    """How often an epoch repeats the old domain, for its share to be `KEEP_SHARE`."""
    wanted = KEEP_SHARE / (1 - KEEP_SHARE) * new.seconds / keep.seconds
    return float(f"{min(max(wanted, 1e-4), 1000.0):.3g}")
