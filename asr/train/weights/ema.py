"""Exponential moving average of the weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from asr.train.weights.sharding import full_tensor, local, part_of


class Ema:
    """A slow copy of a module's parameters, in float32 on the same device; of weights that are
    divided among processes, of this process' parts.

    The decay of step n is min(decay, (1 + n) / (10 + n)), so that the random start is soon
    forgotten. Buffers are not averaged: they are statistics, not weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._module = module
        self._names = [name for name, _ in module.named_parameters()]
        self._slow = [local(weight).detach().clone().float() for weight in module.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """Moves the copy towards the module as it is now."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        fast = [local(weight).detach() for weight in self._module.parameters()]
        torch._foreach_lerp_(self._slow, fast, 1 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The module has the slow weights inside, and its own again afterwards; not for weights
        that are divided.
        """
        own = list(self._module.parameters())
        kept = [weight.data for weight in own]
        try:
            for weight, slow in zip(own, self._slow, strict=True):
                weight.data = slow
            yield
        finally:
            for weight, fast in zip(own, kept, strict=True):
                weight.data = fast

    def weights(self) -> dict[str, Tensor]:
        """The slow weights by name. Where they are divided, all processes must call this."""
        own = self._module.parameters()
        parts = zip(self._names, self._slow, own, strict=True)
        return {name: full_tensor(slow, weight) for name, slow, weight in parts}

    def state_dict(self) -> dict[str, object]:
        """What `load_state_dict` takes; as `weights`."""
        return {"steps": self.steps, "weights": self.weights()}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continues an average."""
        weights = state["weights"]
        steps = state["steps"]
        assert isinstance(weights, dict)
        assert isinstance(steps, int)
        self.steps = steps
        own = self._module.parameters()
        for name, slow, weight in zip(self._names, self._slow, own, strict=True):
            slow.copy_(part_of(weights[name], weight))
