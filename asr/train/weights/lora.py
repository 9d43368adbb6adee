"""Low-rank adaptation (Hu et al. 2022): small matrices are trained beside weights that stay."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.model import SpeechModel
from asr.train.optimizer import LoraConfig


class LowRankLinear(nn.Linear):
    """A linear layer with a low-rank change; its own weight and bias keep their names.

    The change is zero at first: `up` is zero, and `down` is drawn as torch draws linear layers.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        with torch.device("meta"):  # the weights are those of `linear`
            super().__init__(linear.in_features, linear.out_features, linear.bias is not None)
        self.weight, self.bias = linear.weight, linear.bias
        self.scale = alpha / rank
        like = linear.weight
        self.down = nn.Parameter(like.new_empty(rank, self.in_features))
        self.up = nn.Parameter(like.new_zeros(self.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        change = F.linear(F.linear(inputs, self.down), self.up)
        return super().forward(inputs) + self.scale * change

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """An ordinary layer that computes the same."""
        with torch.device("meta"):
            linear = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        weight = self.weight + self.scale * (self.up @ self.down)
        linear.weight = nn.Parameter(weight, requires_grad=False)
        linear.bias = self.bias
        return linear


def add_lora(model: SpeechModel, config: LoraConfig) -> None:
    """Gives the chosen layers of `model` a low-rank change; nothing else is trained any more.

    Raises:
        ConfigError: the model has no linear layer of one of the names.
    """
    linears = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)
    }
    known = {name.rpartition(".")[2] for name in linears}
    if missing := [name for name in config.modules if name not in known]:
        raise ConfigError(
            f"training.lora.modules: the model has no linear layer '{missing[0]}'; it has "
            f"{', '.join(sorted(known))}"
        )
    model.requires_grad_(False)
    chosen = [name for name in linears if name.rpartition(".")[2] in config.modules]
    for name in chosen:
        _replace(model, name, LowRankLinear(linears[name], config.rank, config.alpha))


def merged(model: SpeechModel) -> SpeechModel:
    """The model without low-rank layers: itself if it has none, else a copy that computes the same,
    with the changes added to its weights.
    """
    if not any(True for _ in _low_rank(model)):
        return model
    plain = copy.deepcopy(model)
    for name, layer in list(_low_rank(plain)):
        _replace(plain, name, layer.merged())
    return plain


def _low_rank(model: nn.Module) -> Iterator[tuple[str, LowRankLinear]]:
    for name, module in model.named_modules():
        if isinstance(module, LowRankLinear):
            yield name, module


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
