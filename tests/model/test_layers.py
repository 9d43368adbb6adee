"""Our dropout keeps the mean, drops the stated share, and is off where torch's is."""

from __future__ import annotations

import pytest
import torch

from asr.model.layers import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("shape", [(3, 7, 1001), (4096,)])
def test_share_and_mean(rate: float, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    out = Dropout(rate)(torch.ones(shape))
    share = (out == 0).float().mean().item()
    # rates are rounded to 1/256; 5 standard deviations of a share of n draws
    slack = 1 / 512 + 5 * (rate * (1 - rate) / out.numel()) ** 0.5
    assert abs(share - rate) < slack
    kept = out[out != 0]
    assert torch.equal(kept, torch.full_like(kept, 256 / (256 - round(rate * 256))))


def test_reproducible_by_seed_and_off_in_eval() -> None:
    layer, ones = Dropout(0.3), torch.ones(50)
    torch.manual_seed(7)
    first = layer(ones)
    torch.manual_seed(7)
    assert torch.equal(layer(ones), first)
    assert torch.equal(layer.eval()(ones), ones)


def test_gradient_is_the_mask() -> None:
    torch.manual_seed(0)
    inputs = torch.ones(64, requires_grad=True)
    out = Dropout(0.5)(inputs)
    out.sum().backward()
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, out.detach())
