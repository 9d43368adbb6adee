"""Everything that decides how a language model is trained, in one strict configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny

from asr.config import Config, Duration
from asr.lm.folder import LMConfig, lm_config
from asr.text import NormalizerConfig
from asr.train.optimizer import Cosine, OptimizerConfig, Schedule, schedule_config
from asr.train.recipe import Precision


class TextConfig(Config):
    """Texts as the recogniser will meet them: utterances.

    One to `join` neighbouring texts make a row, if it has at most `words` words (about 20 s of
    speech); longer texts are cut. Of all different texts the share `held_out` is measured on and
    not trained on, where no dev texts are given. Where `join` is not given, it is 3 for neural
    models and 1 for n-grams.
    """

    join: int | None = Field(default=None, ge=1)
    words: int = Field(default=60, ge=1)
    held_out: float = Field(default=0.005, gt=0, le=0.5)


class LMTrainingConfig(Config):
    """How long a neural model is trained, and how gradients become steps.

    Training ends after `epochs`, or when all calls together have taken `total_time` (seconds, or
    text such as `90m`); the learning rate falls with whichever is further. `batch_labels` count
    padding. `precision` auto is bf16 where the device multiplies it natively, else 32; `threads`
    as in a recogniser's recipe.
    """

    epochs: int = Field(default=5, ge=1)
    total_time: Duration | None = Field(default=None, gt=0)
    batch_labels: int = Field(default=8192, ge=1)
    clip_norm: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)
    precision: Precision = "auto"
    threads: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)
    checkpoint_minutes: float = Field(default=5.0, gt=0)
    validation_steps: int = Field(default=1000, ge=1)
    log_seconds: float = Field(default=30.0, gt=0)


class LMRecipe(Config):
    """A whole training run of a language model."""

    lm: LMConfig = Field(default_factory=lambda: lm_config({"type": "lstm"}))
    normalizer: NormalizerConfig | None = None
    text: TextConfig = TextConfig()
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-3)
    schedule: Annotated[SerializeAsAny[Schedule], BeforeValidator(schedule_config)] = Field(
        default_factory=lambda: Cosine(warmup_steps=200)
    )
    training: LMTrainingConfig = LMTrainingConfig()
