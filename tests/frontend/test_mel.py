from __future__ import annotations

import numpy as np
import pytest
import torch

from asr.frontend.mel import hz_to_mel, kaldi_filters, slaney_filters


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_filters_equal_kaldis(rate: int) -> None:
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    size = 2048 if rate == 48000 else rate // 1000 * 32
    expected, _ = kaldi.get_mel_banks(80, size, float(rate), 20.0, 0.0, 100.0, -500.0, 1.0)
    filters = kaldi_filters(rate, size, 80, 20.0, rate / 2)
    torch.testing.assert_close(filters[:-1].T.float(), expected, atol=2e-5, rtol=0)
    assert (filters[-1] == 0).all()


@pytest.mark.parametrize("mels", [80, 128])
def test_slaney_filters_equal_librosas(mels: int) -> None:
    """librosa computes in float64 and rounds to float32 at the end: the bound is that rounding
    (half a unit in the last place of the largest weight, 0.026)."""
    filters = pytest.importorskip("librosa.filters")
    expected = filters.mel(sr=16000, n_fft=400, n_mels=mels)
    np.testing.assert_allclose(slaney_filters(16000, 400, mels).T.numpy(), expected, atol=2e-9)
    exact = filters.mel(sr=16000, n_fft=400, n_mels=mels, dtype=np.float64)
    np.testing.assert_allclose(slaney_filters(16000, 400, mels).T.numpy(), exact, atol=1e-15)


def test_filters_are_librosas_but_for_the_shape_of_the_sides() -> None:
    """librosa draws the triangles straight over Hz, Kaldi over mel. Edges and centres are the
    same; a side bends between them by the curvature of the mel scale, less than 0.004 of its height
    with filters this narrow, so the bound is 0.005."""
    filters = pytest.importorskip("librosa.filters")
    expected = filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=20, fmax=8000, htk=True, norm=None)
    ours = kaldi_filters(16000, 512, 80, 20.0, 8000.0).T.numpy()
    assert np.abs(ours - expected).max() < 0.005
    # The same bins: they disagree only where a side all but touches zero.
    assert np.all(np.maximum(ours, expected)[(ours > 0) != (expected > 0)] < 1e-6)


def test_mel_scale_equals_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    hz = torch.linspace(0, 24000, 1000, dtype=torch.float64)
    expected = librosa.hz_to_mel(hz.numpy(), htk=True)
    # librosa writes 2595 log10 where Kaldi has 1127 ln: 2595 / ln(10) is 1126.99.
    np.testing.assert_allclose(hz_to_mel(hz).numpy(), expected, rtol=2e-5)


def test_neighbours_share_every_bin_between_their_centres() -> None:
    filters = kaldi_filters(16000, 512, 80, 20.0, 8000.0)
    covered = filters.sum(1)
    inner = (filters.argmax(1) > 0) & (filters.argmax(1) < 79) & (covered > 0)
    torch.testing.assert_close(covered[inner], torch.ones_like(covered[inner]))


def test_band_is_kept() -> None:
    filters = kaldi_filters(16000, 512, 20, 300.0, 3400.0)
    hz = torch.arange(257) * 16000 / 512
    outside = (hz <= 300) | (hz >= 3400)
    assert (filters[outside] == 0).all()
    assert (filters[~outside].sum(1) > 0).all()
