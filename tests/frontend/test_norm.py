from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import TrainingError
from asr.frontend import FeatureStatistics, GlobalNorm


def features_of(seed: int, frames: int, mels: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, mels, generator=generator) * 3 + 15


@given(counts=st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=4), max_size=5))
def test_statistics_are_those_of_all_frames(counts: list[list[int]]) -> None:
    statistics, frames = FeatureStatistics(4), []
    for i, row_lengths in enumerate(counts):
        batch = torch.full((len(row_lengths), 20, 4), torch.nan)  # padding must not be read
        for row, length in enumerate(row_lengths):
            batch[row, :length] = features_of(100 * i + row, length)
            frames.append(batch[row, :length])
        statistics.update(batch, torch.tensor(row_lengths))
    total = sum(map(len, frames))
    assert statistics.frames == total
    if total < 2:
        return
    together = torch.cat(frames).double()
    mean, inverse_std = statistics.finish(minimum_std=1e-3)
    torch.testing.assert_close(mean.double(), together.mean(0), atol=1e-5, rtol=1e-6)
    expected = together.std(0, correction=0).clamp(min=1e-3).reciprocal()
    torch.testing.assert_close(inverse_std.double(), expected, atol=0, rtol=1e-4)


def test_normalised_features_have_mean_0_and_deviation_1() -> None:
    features = features_of(0, 1000)[None]
    statistics = FeatureStatistics(4)
    statistics.update(features, torch.tensor([1000]))
    norm = GlobalNorm(4)
    norm.set(*statistics.finish())
    normalised = norm(features)
    torch.testing.assert_close(normalised.mean((0, 1)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std((0, 1), correction=0), torch.ones(4))


def test_a_bin_that_never_varies_stays_bounded() -> None:
    statistics = FeatureStatistics(2)
    statistics.update(torch.full((1, 10, 2), -15.9), torch.tensor([10]))
    mean, inverse_std = statistics.finish()
    torch.testing.assert_close(mean, torch.full((2,), -15.9))
    torch.testing.assert_close(inverse_std, torch.full((2,), 10.0))


def test_no_sound_at_all_is_an_error() -> None:
    statistics = FeatureStatistics(2)
    statistics.update(torch.zeros(1, 0, 2), torch.tensor([0]))
    with pytest.raises(TrainingError, match="no frame"):
        statistics.finish()


def test_fresh_norm_changes_nothing() -> None:
    features = features_of(0, 10)[None]
    assert torch.equal(GlobalNorm(4)(features), features)


def test_statistics_travel_with_the_weights_and_are_not_rounded() -> None:
    norm = GlobalNorm(4)
    norm.set(features_of(1, 1)[0], features_of(2, 1)[0])
    other = GlobalNorm(4)
    other.load_state_dict(norm.state_dict())
    features = features_of(0, 10)[None]
    expected = norm(features)
    assert set(norm.state_dict()) == {"mean", "inverse_std"}
    assert torch.equal(other.to(torch.bfloat16)(features), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(norm(features), expected)
