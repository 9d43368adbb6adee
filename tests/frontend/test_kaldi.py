from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asr.errors import AudioError, ConfigError
from asr.frontend import KaldiConfig, KaldiLogMel
from asr.frontend.kaldi import ENERGY_FLOOR, KaldiState
from asr.frontend.protocol import FRAMES_AT_ONCE

CONFIG = KaldiConfig()
MODELS = {rate: KaldiLogMel(KaldiConfig(sample_rate=rate)).eval() for rate in (8000, 16000)}


def speechlike(samples: int, seed: int = 0, batch: int = 1) -> Tensor:
    """Noise with a falling spectrum and a swelling loudness, as 16-bit samples in [-1, 1]."""
    noise = np.random.default_rng(seed).standard_normal((batch, samples + 2))
    smooth = torch.from_numpy(noise[:, 2:] + noise[:, 1:-1] + noise[:, :-2])
    swell = 0.01 + 0.1 * torch.sin(torch.arange(samples) / 4000).abs()
    return ((smooth * swell).clamp(-1, 1) * 32767).round().float() / 32768


def whole(samples: Tensor, rate: int = 16000) -> Tensor:
    lengths = torch.full((samples.size(0),), samples.size(1))
    return MODELS[rate](samples, lengths)[0]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_equals_kaldi(rate: int) -> None:
    """torchaudio follows Kaldi in float32. Where a bin is weak beside its neighbours the rounding
    of either side shows in the log: below 1e-3 at worst, 4e-6 on average here."""
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    samples = speechlike(5 * rate)
    expected = kaldi.fbank(
        samples * 32768, num_mel_bins=80, dither=0.0, sample_frequency=float(rate)
    )
    found = whole(samples, rate)[0]
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert (found - expected).abs().mean() < 1e-5


def test_real_speech_equals_kaldi() -> None:
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    soundfile = pytest.importorskip("soundfile")
    from tests.conftest import SAMPLES

    path = sorted(SAMPLES.glob("*.flac"))[0]
    audio, rate = soundfile.read(path, dtype="float32")
    model = KaldiLogMel(KaldiConfig(sample_rate=rate)).eval()
    samples = torch.from_numpy(audio)[None]
    found = model(samples, torch.tensor([samples.size(1)]))[0][0]
    expected = kaldi.fbank(
        samples * 32768, num_mel_bins=80, dither=0.0, sample_frequency=float(rate)
    )
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


@given(
    cuts=st.lists(st.integers(0, 4000), max_size=30),
    total=st.integers(0, 4000),
    rate=st.sampled_from([8000, 16000]),
)
def test_any_cut_gives_the_same_features(cuts: list[int], total: int, rate: int) -> None:
    samples = speechlike(total, seed=total, batch=2)
    model = MODELS[rate]
    edges = [0, *sorted(min(cut, total) for cut in cuts), total]
    state, parts = model.initial_state(2), []
    for start, end in pairwise(edges):
        part, state = model.step(samples[:, start:end], state, final=False)
        state = pickle.loads(pickle.dumps(state))
        assert state.pending.size(1) < CONFIG.window_samples + CONFIG.hop_samples
        parts.append(part)
    rest, _ = model.step(samples[:, :0], state, final=True)
    torch.testing.assert_close(
        torch.cat([*parts, rest], dim=1), whole(samples, rate), atol=1e-5, rtol=0
    )


def test_one_sample_at_a_time_gives_the_same_features() -> None:
    samples = speechlike(1200)
    model, parts = MODELS[16000], []
    state = model.initial_state(1)
    for i in range(samples.size(1)):
        part, state = model.step(samples[:, i : i + 1], state, final=i == samples.size(1) - 1)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole(samples), atol=1e-5, rtol=0)


def test_state_is_small_and_ends_empty() -> None:
    model = MODELS[16000]
    features, state = model.step(speechlike(16000 * 60), model.initial_state(1), final=False)
    assert state.pending.untyped_storage().nbytes() < 4 * 560
    again, ended = model.step(features[..., 0, :0], state, final=True)
    assert again.shape == (1, 0, 80)
    assert isinstance(ended, KaldiState)
    assert ended.pending.shape == (1, 0)


def test_streams_in_one_batch_do_not_touch_each_other() -> None:
    samples = speechlike(8000, batch=3)
    together = whole(samples)
    for row in range(3):
        torch.testing.assert_close(
            together[row], whole(samples[row : row + 1])[0], atol=1e-5, rtol=0
        )


@given(length=st.integers(0, 3000), padding=st.integers(0, 3000))
def test_padding_changes_nothing(length: int, padding: int) -> None:
    samples = speechlike(length, seed=1)
    other = speechlike(length + padding, seed=2)
    padded = torch.cat([samples, torch.full((1, padding), torch.nan)], dim=1)
    features, lengths = MODELS[16000](
        torch.cat([padded, other]), torch.tensor([length, length + padding])
    )
    frames = int(lengths[0])
    assert frames == max(0, 1 + (length - 400) // 160)
    torch.testing.assert_close(features[:1, :frames], whole(samples), atol=1e-5, rtol=0)
    assert (features[0, frames:] == 0).all()


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2)])
def test_number_of_frames(samples: int, frames: int) -> None:
    features, lengths = MODELS[16000](torch.zeros(1, samples), torch.tensor([samples]))
    assert features.shape == (1, frames, 80)
    assert lengths.tolist() == [frames]


def test_dc_offset_changes_nothing() -> None:
    samples = speechlike(16000)
    torch.testing.assert_close(whole(samples + 0.25), whole(samples), atol=1e-3, rtol=0)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("hz", [100.0, 440.0, 1000.0, 2500.0, 3700.0])
def test_a_tone_lands_in_its_bin(hz: float, rate: int) -> None:
    tone = 0.3 * torch.sin(2 * torch.pi * hz * torch.arange(rate) / rate)[None]
    mel = 1127 * np.log1p(np.array([20.0, rate / 2, hz]) / 700)
    centre = (mel[2] - mel[0]) / (mel[1] - mel[0]) * 81 - 1  # bin i is centred at i + 1 of 81
    loudest = whole(tone, rate)[0].mean(0).argmax().item()
    assert abs(loudest - centre) <= 1


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_constant_samples_give_the_floor(value: float) -> None:
    features = whole(torch.full((1, 4000), value))
    torch.testing.assert_close(features, torch.full_like(features, np.log(ENERGY_FLOOR)))


def test_scale_is_kaldis() -> None:
    samples = speechlike(16000)
    louder = whole(samples * 0.5) - whole(samples)
    torch.testing.assert_close(louder, torch.full_like(louder, 2 * np.log(0.5)), atol=1e-3, rtol=0)


def test_casting_and_autocast_do_not_degrade() -> None:
    samples = speechlike(16000)
    lengths = torch.tensor([16000])
    model = KaldiLogMel(CONFIG).eval()
    expected = model(samples, lengths)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model(samples, lengths)[0], expected)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        found = model.to(dtype)(samples, lengths)[0]
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)


def test_low_matmul_precision_does_not_degrade() -> None:
    """Trainers set it for speed, and it reaches every float32 product on a GPU or a new CPU."""
    samples, before = speechlike(16000), torch.get_float32_matmul_precision()
    expected = whole(samples)
    try:
        torch.set_float32_matmul_precision("medium")
        torch.testing.assert_close(whole(samples), expected, atol=1e-5, rtol=0)
    finally:
        torch.set_float32_matmul_precision(before)


def test_dither_only_in_training() -> None:
    model = KaldiLogMel(KaldiConfig(dither=1.0))
    silence, lengths = torch.zeros(1, 1600), torch.tensor([1600])
    torch.manual_seed(0)
    dithered = model.train()(silence, lengths)[0]
    assert dithered.min() > np.log(ENERGY_FLOOR) + 5
    assert model.eval()(silence, lengths)[0].max() < -15


def test_long_input_is_computed_in_blocks_with_the_same_result() -> None:
    samples = speechlike(160 * 2500)
    features = whole(samples)
    assert features.size(1) > 2 * FRAMES_AT_ONCE
    middle = slice(FRAMES_AT_ONCE - 2, FRAMES_AT_ONCE + 2)
    alone = whole(samples[:, 160 * middle.start : 160 * (middle.stop - 1) + 400])
    torch.testing.assert_close(features[:, middle], alone, atol=1e-5, rtol=0)


def test_nothing_is_stored_with_the_weights() -> None:
    assert KaldiLogMel(CONFIG).state_dict() == {}


@pytest.mark.parametrize(
    "samples",
    [torch.zeros(16000), torch.zeros(1, 1, 16000), torch.zeros(1, 16000, dtype=torch.int16)],
)
def test_wrong_samples_are_refused(samples: Tensor) -> None:
    with pytest.raises(AudioError, match="floating tensor"):
        MODELS[16000](samples, torch.tensor([16000]))
    with pytest.raises(AudioError, match="floating tensor"):
        MODELS[16000].step(samples, MODELS[16000].initial_state(1), final=False)


def test_a_batch_of_streams_keeps_its_size() -> None:
    model = MODELS[16000]
    with pytest.raises(AudioError, match="2 streams but the state has 3"):
        model.step(torch.zeros(2, 160), model.initial_state(3), final=False)


def test_mels_that_hear_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="lower mels or raise window_ms"):
        KaldiLogMel(KaldiConfig(mels=200))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_equals_cpu() -> None:
    samples, lengths = speechlike(48000, batch=2), torch.tensor([48000, 30000])
    expected, frames = MODELS[16000](samples, lengths)
    model = KaldiLogMel(CONFIG).eval().cuda()
    precision = torch.get_float32_matmul_precision()
    try:
        for chosen in ("highest", "medium"):
            torch.set_float32_matmul_precision(chosen)
            found, found_frames = model(samples.cuda(), lengths.cuda())
            torch.testing.assert_close(found.cpu(), expected, atol=2e-3, rtol=0)
            assert (found.cpu() - expected).abs().mean() < 2e-5
            assert torch.equal(found_frames.cpu(), frames)
    finally:
        torch.set_float32_matmul_precision(precision)
