"""Dropout (Srivastava et al. 2014) that does not rule the cost of training on a CPU.

torch draws one float for each element, serially: an eighth of a training step on two cores. One
byte for each element is enough, at the price of rates in steps of 1/256.
Measured by tools/benchmark_training.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """As `nn.Dropout`; on the CPU the rate is rounded to a multiple of 1/256."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape, same shape out."""
        if not self.training or not self.p or inputs.device.type != "cpu":
            return super().forward(inputs)
        dropped = round(self.p * 256)  # of 256 values of a byte
        eighth = -(-inputs.numel() // 8)
        drawn = torch.empty(eighth, dtype=torch.int64).random_(-(2**63), None)
        drawn = drawn.view(torch.uint8)[: inputs.numel()].view(inputs.shape)
        return inputs * (drawn >= dropped).to(inputs.dtype).mul_(256 / (256 - dropped))
