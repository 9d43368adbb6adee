from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.specaugment import SpecAugment, SpecAugmentConfig


def features(batch: int, frames: int, bands: int = 20) -> torch.Tensor:
    return torch.randn(batch, frames, bands, generator=torch.Generator().manual_seed(1)) + 10


def runs(row: torch.Tensor) -> list[int]:
    """Lengths of the runs of True."""
    found, length = [], 0
    for value in [*row.tolist(), False]:
        if value:
            length += 1
        elif length:
            found.append(length)
            length = 0
    return found


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 120), min_size=1, max_size=5),
    st.integers(0, 5),
    st.integers(0, 30),
    st.integers(0, 6),
    st.integers(0, 50),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_masks_keep_their_limits(rows, bands, band_width, times, time_width, share, seed):
    lengths = torch.tensor(rows)
    given_ = features(len(rows), max(rows))
    config = SpecAugmentConfig(
        frequency_masks=bands,
        frequency_width=band_width,
        time_masks=times,
        time_width=time_width,
        time_share=share,
    )
    out = SpecAugment(config)(given_, lengths, torch.Generator().manual_seed(seed))
    changed = out != given_
    for row, length in enumerate(rows):
        assert not changed[row, length:].any(), "beyond a row's length nothing changes"
        whole = changed[row, :length]
        if not length:
            continue
        masked_frames, masked_bands = whole.all(dim=1), whole.all(dim=0)
        if not masked_bands.all():
            assert int(masked_frames.sum()) <= share * length
            assert len(runs(masked_frames)) <= times
        if not masked_frames.all():
            assert int(masked_bands.sum()) <= bands * band_width
            assert len(runs(masked_bands)) <= bands
        assert torch.equal(whole, masked_frames[:, None] | masked_bands[None, :])


def test_masked_values_are_the_mean_of_the_row():
    given_, lengths = features(2, 50), torch.tensor([50, 30])
    config = SpecAugmentConfig(frequency_width=10, time_width=20)
    out = SpecAugment(config)(given_, lengths, torch.Generator().manual_seed(0))
    changed = out != given_
    for row, length in enumerate([50, 30]):
        values = out[row][changed[row]].unique()
        assert len(values) == 1
        assert float(values) == pytest.approx(float(given_[row, :length].mean()), abs=1e-4)


def test_rows_get_masks_of_their_own_and_draws_repeat():
    given_ = features(1, 100, 80).expand(8, -1, -1)
    lengths = torch.full((8,), 100)
    one = SpecAugment()(given_, lengths, torch.Generator().manual_seed(5))
    assert torch.equal(one, SpecAugment()(given_, lengths, torch.Generator().manual_seed(5)))
    assert not torch.equal(one, SpecAugment()(given_, lengths, torch.Generator().manual_seed(6)))
    assert len({tuple((row != given_[0]).flatten().tolist()) for row in one}) == 8


def test_longer_rows_get_more_masks():
    config = SpecAugmentConfig(frequency_masks=0, time_masks=10, time_width=20, time_share=0.2)
    given_ = features(50, 1000, 4)
    lengths = torch.tensor([100] * 25 + [1000] * 25)
    out = SpecAugment(config)(given_, lengths, torch.Generator().manual_seed(0))
    masked = (out != given_).all(dim=2).sum(dim=1).float()
    assert 5 < float(masked[:25].mean()) < 20
    assert 60 < float(masked[25:].mean()) < 140


def test_evaluation_changes_nothing():
    given_ = features(2, 30)
    assert SpecAugment().eval()(given_, torch.tensor([30, 30])) is given_


def test_half_precision_keeps_its_type():
    out = SpecAugment()(features(2, 50).bfloat16(), torch.tensor([50, 40]))
    assert out.dtype == torch.bfloat16
    assert out.isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu():
    draw = torch.Generator("cuda").manual_seed(0)
    out = SpecAugment()(features(2, 50).cuda(), torch.tensor([50, 40]), draw)
    assert (out != features(2, 50).cuda()).any()
