"""Settings that suit adapting a model to a given amount of speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lhotse.cut import Cut

#: Steps for three minutes of speech; they grow with the fourth root of the amount, so that minutes
#: are heard twenty times and hours a few times (docs/finetuning.md has what was measured).
STEPS_FOR_MINUTES = (200, 3.0)
#: The peak of the learning rate, as a part of that which the model was first trained with.
LR_SHARE = 0.25
#: Of what is heard, the part that comes from the model's old domain where that is rehearsed.
KEEP_SHARE = 0.3
#: Up to so many hours (115 MB each) are decoded once and kept in memory.
MEMORY_HOURS = 10.0
#: Seconds of audio in a step, at least and at most.
BATCH_SECONDS = (20.0, 60.0)
SPEEDS = (0.95, 1.0, 1.05)
#: Utterances are at most so long, in seconds; those of the old domain make no step longer for it.
LONGEST, LONGEST_KEPT = 30, 15

#: Whisper models, which know far more than ours: fewer steps, small ones, of so many utterances
#: (what an utterance costs depends little on its length), and a little less than 30 s at the
#: slowest speed, which is what their encoder takes.
WHISPER_STEPS_FOR_MINUTES = (100, 3.0)
WHISPER_UTTERANCES, WHISPER_LONGEST = 16, 28
#: The peak of the learning rate by the width of the model: a fortieth of that which it was trained
#: with. Low-rank matrices begin at zero and take far larger ones (Hu et al. 2022).
WHISPER_LR = {384: 3.75e-5, 512: 2.5e-5, 768: 1.25e-5, 1024: 6.25e-6, 1280: 4.4e-6}
LORA_LR = 1e-3


@dataclass(frozen=True)
class Amount:
    """How much speech there is: seconds in all, and of the longest utterance."""

    utterances: int
    seconds: float
    longest: float

    @classmethod
    def of(cls, cuts: Sequence[Cut]) -> Amount:
        """What `cuts` hold."""
        lengths = [cut.duration for cut in cuts]
        return cls(len(lengths), sum(lengths), max(lengths, default=0.0))


def settings(new: Amount, rehearsed: bool, lr: float) -> dict[str, Any]:
    """What a recipe says about data, optimisation and its own length; nothing about paths.

    Args:
        new: what is adapted to. rehearsed: whether some of the old domain is heard as well.
        lr: the peak learning rate that the model was first trained with.
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
            # the average looks back over a twentieth of the run
            "ema": float(f"{min(max(1 - 20 / steps, 0.5), 0.999):.3g}"),
            "devices": 1,
        },
        "validation": {"steps": max(steps // 8, 1), "decode": 50, "show": 3},
        # the best of the run's snapshots, by the loss on what is held out: no later than needed
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
        steps: how many are wanted; None: what suits the amount.
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
    """Steps that suit `seconds` of new speech; each of them is heard once at least.

    Args:
        pace: steps for so many minutes.
    """
    steps, minutes = pace
    wanted = max(steps * (seconds / 60 / minutes) ** 0.25, seconds / batch_seconds)
    return max(round(wanted / (1 - KEEP_SHARE if rehearsed else 1)), 1)


def repeat_of(keep: Amount, new: Amount) -> float:
    """How often the old domain is heard an epoch, for its part to be `KEEP_SHARE`."""
    wanted = KEEP_SHARE / (1 - KEEP_SHARE) * new.seconds / keep.seconds
    return float(f"{min(max(wanted, 1e-4), 1000.0):.3g}")
