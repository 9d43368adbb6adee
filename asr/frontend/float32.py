"""Tables that must not be rounded, however the model around them is cast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Float32Buffers(nn.Module):
    """A module whose buffers follow the model to its device, but never to a shorter type.

    `model.to(torch.bfloat16)` would leave 8 bits of a mel filter or of a mean of 15.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, exact in before.items():
            moved = self._buffers[name]
            if exact is not None and moved is not None and moved.dtype != torch.float32:
                self._buffers[name] = exact.to(moved.device)
        return self
