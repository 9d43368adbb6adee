"""AdamW, schedules of the learning rate by the names that recipes use, and what is trained."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import Field, model_validator
from torch import nn

from asr.config import Config, TypedConfig, parse_typed
from asr.errors import ConfigError


class OptimizerConfig(Config):
    """AdamW (Loshchilov and Hutter 2019).

    Attributes:
        lr: the peak of the learning rate; the schedule multiplies it.
        betas: how slowly the means of gradients and of their squares change.
        eps: keeps small steps finite.
        weight_decay: how strongly weights are pulled to zero; norms, biases and embeddings are not.
        factors: what the learning rate of a part of the model is multiplied by, as `ctc: 10`: new
            weights may learn faster than those that were trained before (Howard and Ruder 2018).
    """

    lr: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    factors: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _betas_in_range(self) -> OptimizerConfig:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {self.betas} must lie in [0, 1)")
        return self


class LoraConfig(Config):
    """The weight W of each chosen linear layer becomes W + (alpha / rank) U D.

    Only U (out, rank) and D (rank, in) are trained: the optimizer's state is small, and less of
    what the model could is lost. They are added to W in the model folder, which is an ordinary one.

    Attributes:
        rank: of the change of each matrix.
        alpha: scales the change; twice the rank is usual.
        modules: names of linear layers, as the last part of their dotted name.
    """

    rank: int = Field(default=32, ge=1)
    alpha: float = Field(default=64.0, gt=0)
    modules: tuple[str, ...] = Field(default=("to_query", "to_keys_values"), min_length=1)


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Fused AdamW; only matrices and kernels are decayed, not norms, biases and embeddings.

    Each group holds, as `factor`, what its learning rate is to be multiplied by.

    Raises:
        ConfigError: `factors` names a part that the model does not have.
    """
    parts = {name.partition(".")[0] for name, _ in model.named_parameters()}
    if unknown := sorted(config.factors.keys() - parts):
        raise ConfigError(
            f"optimizer.factors: the model has no part '{unknown[0]}'; it has: "
            f"{', '.join(sorted(parts))}"
        )
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for factor in (1.0, *sorted({*config.factors.values()} - {1.0})):
        groups[factor, True] = []
        groups[factor, False] = []
    for name, weight in model.named_parameters():
        factor = config.factors.get(name.partition(".")[0], 1.0)
        groups[factor, weight.ndim > 1 and id(weight) not in embeddings].append(weight)
    return torch.optim.AdamW(
        [
            {
                "params": weights,
                "weight_decay": config.weight_decay if decayed else 0.0,
                "factor": factor,
            }
            for (factor, decayed), weights in groups.items()
            if weights
        ],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )


class Schedule(TypedConfig, ABC):
    """What all schedules have: a linear warm-up over `warmup_steps`."""

    warmup_steps: int = Field(
        default=1000, ge=0, description="steps over which the learning rate rises to its peak"
    )

    def factor(self, step: int, progress: float) -> float:
        """What the learning rate is multiplied by.

        Args:
            step: counted from 1.
            progress: the part of the run that is done, 0 to 1.
        """
        if step <= self.warmup_steps:
            return step / self.warmup_steps
        return self.after_warmup(step, progress)

    @abstractmethod
    def after_warmup(self, step: int, progress: float) -> float:
        """The factor once warm-up is over."""


SCHEDULES: dict[str, type[Schedule]] = {}
S = TypeVar("S", bound=type[Schedule])


def register_schedule(name: str) -> Callable[[S], S]:
    """Makes `type: name` in a recipe's schedule build this class."""

    def keep(schedule: S) -> S:
        SCHEDULES[name] = schedule
        return schedule

    return keep


@register_schedule("noam")
class Noam(Schedule):
    """Inverse square root of the step after warm-up (Vaswani et al. 2017); peak is `lr`."""

    type: Literal["noam"] = "noam"

    def after_warmup(self, step: int, progress: float) -> float:
        """1 at the end of warm-up, 1/2 at four times that."""
        return math.sqrt(max(self.warmup_steps, 1) / step)


@register_schedule("cosine")
class Cosine(Schedule):
    """Half a cosine from 1 to `floor` at the end of the run (Loshchilov and Hutter 2017)."""

    type: Literal["cosine"] = "cosine"
    floor: float = Field(
        default=0.01, ge=0, le=1, description="share of the peak that is left at the end"
    )

    def after_warmup(self, step: int, progress: float) -> float:
        """Falls with `progress` alone."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


@register_schedule("wsd")
class WarmupStableDecay(Schedule):
    """Warm-up, constant, then linear to `floor` over the last `decay` part (Hu et al. 2024)."""

    type: Literal["wsd"] = "wsd"
    decay: float = Field(
        default=0.2, gt=0, le=1, description="share of the run in which the learning rate falls"
    )
    floor: float = Field(
        default=0.01, ge=0, le=1, description="share of the peak that is left at the end"
    )

    def after_warmup(self, step: int, progress: float) -> float:
        """1, until `decay` of the run is left."""
        left = max(1 - progress, 0.0)
        return 1.0 if left >= self.decay else self.floor + (1 - self.floor) * left / self.decay


@register_schedule("constant")
class Constant(Schedule):
    """Warm-up, then constant."""

    type: Literal["constant"] = "constant"

    def after_warmup(self, step: int, progress: float) -> float:
        """Always 1."""
        return 1.0


def schedule_config(values: Any) -> Schedule:
    """The schedule that `values` describe; see `parse_typed`."""
    return parse_typed("schedule", SCHEDULES, values, usual="noam")
