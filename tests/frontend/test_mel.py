from __future__ import annotations

import numpy as np
import pytest
import torch

from asr.frontend import FrontendConfig
from asr.frontend.mel import hz_to_mel, mel_filters


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_filters_equal_kaldis(rate: int) -> None:
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    config = FrontendConfig(sample_rate=rate)
    expected, _ = kaldi.get_mel_banks(
        80, config.fft_size, float(rate), 20.0, 0.0, 100.0, -500.0, 1.0
    )
    found = mel_filters(config)
    torch.testing.assert_close(found[:-1].T.float(), expected, atol=2e-5, rtol=0)
    assert (found[-1] == 0).all()


def test_filters_are_librosas_but_for_the_shape_of_the_sides() -> None:
    """librosa draws the triangles straight over Hz, Kaldi over mel. Edges and centres are the
    same; a side bends between them by the curvature of the mel scale, less than 0.004 of its height
    with filters this narrow, so the bound is 0.005."""
    filters = pytest.importorskip("librosa.filters")
    expected = filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=20, fmax=8000, htk=True, norm=None)
    found = mel_filters(FrontendConfig()).T.numpy()
    assert np.abs(found - expected).max() < 0.005
    # The same bins: they disagree only where a side all but touches zero.
    assert np.all(np.maximum(found, expected)[(found > 0) != (expected > 0)] < 1e-6)


def test_mel_scale_equals_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    hz = torch.linspace(0, 24000, 1000, dtype=torch.float64)
    expected = librosa.hz_to_mel(hz.numpy(), htk=True)
    # librosa writes 2595 log10 where Kaldi has 1127 ln: 2595 / ln(10) is 1126.99.
    np.testing.assert_allclose(hz_to_mel(hz).numpy(), expected, rtol=2e-5)


def test_neighbours_share_every_bin_between_their_centres() -> None:
    filters = mel_filters(FrontendConfig())
    covered = filters.sum(1)
    inner = (filters.argmax(1) > 0) & (filters.argmax(1) < 79) & (covered > 0)
    torch.testing.assert_close(covered[inner], torch.ones_like(covered[inner]))


def test_band_is_kept() -> None:
    filters = mel_filters(FrontendConfig(low_hz=300, high_hz=3400, mels=20))
    hz = torch.arange(257) * 16000 / 512
    outside = (hz <= 300) | (hz >= 3400)
    assert (filters[outside] == 0).all()
    assert (filters[~outside].sum(1) > 0).all()
