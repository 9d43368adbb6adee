"""Exponential moving average of the weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """A slow copy of a module's parameters, in float32 on the same device.

    The decay of step n is min(decay, (1 + n) / (10 + n)), so that the random start is soon
    forgotten. Buffers are not averaged: they are statistics, not weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._module = module
        self._names = [name for name, _ in module.named_parameters()]
        self._slow = [one.detach().clone().float() for one in module.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """Moves the copy towards the module as it is now."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        fast = [one.detach() for one in self._module.parameters()]
        torch._foreach_lerp_(self._slow, fast, 1 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The module has the slow weights inside, and its own again afterwards."""
        own = list(self._module.parameters())
        kept = [one.data for one in own]
        try:
            for one, slow in zip(own, self._slow, strict=True):
                one.data = slow
            yield
        finally:
            for one, fast in zip(own, kept, strict=True):
                one.data = fast

    def state_dict(self) -> dict[str, object]:
        """What `load_state_dict` takes."""
        weights = dict(zip(self._names, self._slow, strict=True))
        return {"steps": self.steps, "weights": weights}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continues an average."""
        weights = state["weights"]
        steps = state["steps"]
        assert isinstance(weights, dict)
        assert isinstance(steps, int)
        self.steps = steps
        for name, slow in zip(self._names, self._slow, strict=True):
            found: Tensor = weights[name]
            slow.copy_(found)
