"""What encoders and decoders share: dropout, initial weights, rotary positions, log softmax."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """As `nn.Dropout` (Srivastava et al. 2014); on the CPU in steps of 1/256.

    torch draws one float for each element, serially: an eighth of a training step on two cores.
    One byte for each element is enough (measured by tools/benchmark_training.py).
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape, same shape out."""
        if not self.training or not self.p or inputs.device.type != "cpu":
            return super().forward(inputs)
        dropped = round(self.p * 256)  # of 256 values of a byte
        eighth = -(-inputs.numel() // 8)
        drawn = torch.empty(eighth, dtype=torch.int64).random_(-(2**63), None)
        drawn = drawn.view(torch.uint8)[: inputs.numel()].view(inputs.shape)
        return inputs * (drawn >= dropped).to(inputs.dtype).mul_(256 / (256 - dropped))


def initialise(module: nn.Module) -> None:
    """Sets linear layers as Glorot and Bengio (2010), convolutions as He et al. (2015), biases 0.

    So a signal leaves a module at about the level at which it came in. torch's defaults shrink it
    by more than half at each convolution and add random biases, the same in every frame; and
    branches as loud as the stream they are added to average it over time. With them the output of
    a Conformer of 12 layers varied over time by 0.14 of its level at the start; with these it is
    0.58.

    Embeddings and norms are left as they are. For use with `nn.Module.apply`.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@torch.no_grad()
def damp(branch_ends: Sequence[nn.Linear]) -> None:
    """Divides the last layers of all residual branches by the root of their number, so that
    together they are about as loud as the stream (Radford et al. 2019).
    """
    for end in branch_ends:
        end.weight.mul_(len(branch_ends) ** -0.5)


def rotate(heads: Tensor, start: int = 0) -> Tensor:
    """Turns queries or keys (..., T, d) by angles that grow with their position (Su et al. 2021).

    Attention then depends on distances only, so a stream may number the frames of each step from
    zero.

    Args:
        heads: the last dimension d is even.
        start: position of the first of the T frames.
    """
    steps, dim = heads.shape[-2], heads.shape[-1]
    # float32 throughout: bfloat16 cannot tell position 257 from 258
    inverse = 10000.0 ** (-torch.arange(0, dim, 2, device=heads.device).float() / dim)
    angles = torch.arange(start, start + steps, device=heads.device).float()[:, None] * inverse
    cos, sin = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
    left, right = heads[..., : dim // 2], heads[..., dim // 2 :]
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


def log_softmax(logits: Tensor) -> Tensor:
    """Log probabilities over the last dimension, in float32 where the logits are shorter: exact
    enough to be summed, whatever type the weights have.
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    return logits.log_softmax(dim=-1)
