"""AdamW over the right parameters."""

from __future__ import annotations

import torch
from pydantic import Field, model_validator
from torch import nn

from asr.config import Config


class OptimizerConfig(Config):
    """AdamW (Loshchilov and Hutter 2019).

    Attributes:
        lr: the peak of the learning rate; the schedule multiplies it.
        betas: how slowly the means of gradients and of their squares change.
        eps: keeps small steps finite.
        weight_decay: how strongly weights are pulled to zero; norms, biases and embeddings are not.
    """

    lr: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)

    @model_validator(mode="after")
    def _betas_in_range(self) -> OptimizerConfig:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {self.betas} must lie in [0, 1)")
        return self


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Fused AdamW; only matrices and kernels are decayed, not norms, biases and embeddings."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for one in model.parameters():
        (decayed if one.ndim > 1 and id(one) not in embeddings else kept).append(one)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )
