"""Whisper's features: equal to the formula, whole or by steps, and honest about what cannot be."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asr.config import parse
from asr.errors import AudioError, ConfigError, ModelError
from asr.frontend import WhisperConfig, WhisperLogMel, frontend_config
from tests.frontend.test_kaldi import speechlike

MODELS = {
    maximum: WhisperLogMel(WhisperConfig(maximum=maximum)) for maximum in ("utterance", "running")
}
RUNNING = MODELS["running"]


def whole(samples: Tensor, maximum: str = "running") -> Tensor:
    return MODELS[maximum](samples, torch.full((len(samples),), samples.size(1)))[0]


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.filterwarnings("ignore:n_fft=400 is too large")
@pytest.mark.parametrize("samples", [16000, 16133, 201])
def test_equals_the_original_formula(mels: int, samples: int) -> None:
    """OpenAI's `log_mel_spectrogram`, written down with librosa's transform and filters in float64.

    Ours takes the transform in float32: an energy near the floor, 80 dB below the loudest, then
    differs by up to 1e-3 of itself, which is 1e-4 after log10 and the division by 4.
    """
    librosa = pytest.importorskip("librosa")
    sound = speechlike(samples).double().numpy()[0]
    spectrum = librosa.stft(sound, n_fft=400, hop_length=160, window="hann", pad_mode="reflect")
    power = np.abs(spectrum[:, :-1]) ** 2
    energies = librosa.filters.mel(sr=16000, n_fft=400, n_mels=mels, dtype=np.float64) @ power
    values = np.log10(np.maximum(energies, 1e-10))
    expected = (np.maximum(values, values.max() - 8.0) + 4.0) / 4.0
    model = WhisperLogMel(WhisperConfig(mels=mels))
    features, lengths = model(torch.from_numpy(sound)[None].float(), torch.tensor([samples]))
    assert lengths.tolist() == [samples // 160]
    np.testing.assert_allclose(features[0].numpy(), expected.T, atol=1e-4)


@given(
    cuts=st.lists(st.integers(0, 4000), max_size=30),
    total=st.one_of(st.integers(0, 4000), st.sampled_from([200, 201, 319, 320, 360, 400])),
)
def test_any_cut_gives_the_same_features(cuts: list[int], total: int) -> None:
    samples = speechlike(total, seed=total, batch=2)
    edges = [0, *sorted(min(cut, total) for cut in cuts), total]
    state, parts = RUNNING.initial_state(2), []
    for start, end in pairwise(edges):
        part, state = RUNNING.step(samples[:, start:end], state, final=False)
        state = pickle.loads(pickle.dumps(state))
        assert state.pending.size(1) < 400 + 160
        parts.append(part)
    rest, ended = RUNNING.step(samples[:, :0], state, final=True)
    assert ended.pending.shape == (2, 0)
    torch.testing.assert_close(torch.cat([*parts, rest], dim=1), whole(samples), atol=1e-5, rtol=0)


def test_one_sample_at_a_time_gives_the_same_features() -> None:
    samples, parts, state = speechlike(1200), [], RUNNING.initial_state(1)
    for i in range(samples.size(1)):
        part, state = RUNNING.step(samples[:, i : i + 1], state, final=i == samples.size(1) - 1)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole(samples), atol=1e-5, rtol=0)


@pytest.mark.parametrize("frames", [1, 2, 3, 10])
def test_the_samples_needed_are_enough_and_no_more(frames: int) -> None:
    needed = RUNNING.samples_needed(frames)
    features, _ = RUNNING.step(speechlike(needed), RUNNING.initial_state(1), final=False)
    assert features.size(1) == frames
    features, _ = RUNNING.step(speechlike(needed - 1), RUNNING.initial_state(1), final=False)
    assert features.size(1) == frames - 1
    assert RUNNING.samples_needed(0) == 0


@pytest.mark.parametrize("maximum", MODELS)
@given(length=st.integers(0, 3000), padding=st.integers(0, 3000))
def test_padding_changes_nothing(maximum: str, length: int, padding: int) -> None:
    padded = torch.full((2, length + padding), torch.nan)
    padded[0, :length] = speechlike(length, seed=1)
    padded[1] = speechlike(length + padding, seed=2) * 10  # louder: its maximum is its own
    lengths = torch.tensor([length, length + padding])
    features, frames = MODELS[maximum](padded, lengths)
    assert frames.tolist() == [n // 160 if n > 200 else 0 for n in lengths.tolist()]
    alone = whole(padded[:1, :length], maximum)
    torch.testing.assert_close(features[:1, : alone.size(1)], alone, atol=1e-5, rtol=0)
    assert (features[0, alone.size(1) :] == 0).all()


def test_the_running_maximum_looks_back_only() -> None:
    quiet, loud = speechlike(16000) * 1e-4, speechlike(16000, seed=3)
    features = whole(torch.cat([quiet, loud], dim=1))
    alone = whole(torch.cat([quiet, torch.zeros_like(loud)], dim=1))
    assert torch.equal(features[:, :98], alone[:, :98])
    # 80 dB are 8 decades, and a quarter of that after scaling; digital silence would be -1.5
    limited = whole(torch.cat([quiet, loud], dim=1), "utterance")
    assert limited[:, :98].min() == pytest.approx(float(limited.max()) - 2, abs=1e-6)
    assert features[:, :98].min() < limited.min() - 0.1


def test_the_maximum_of_the_utterance_cannot_be_stepped() -> None:
    with pytest.raises(ModelError, match=r"needs the whole recording .*maximum: running"):
        MODELS["utterance"].initial_state(1)
    RUNNING.check_streaming()


def test_short_utterances_are_padded_with_silence() -> None:
    """As if the samples had zeros behind them; what really stands there changes nothing."""
    padding, plain = WhisperLogMel(WhisperConfig(pad_seconds=0.5)), MODELS["utterance"]
    samples, lengths = speechlike(12000).repeat(4, 1), torch.tensor([12000, 3001, 150, 0])
    features, frames = padding(samples, lengths)
    assert frames.tolist() == padding.frames(lengths).tolist() == [75, 50, 50, 0]
    for row, length in enumerate(lengths.tolist()):
        silent = torch.zeros(1, max(length, 8000 if length else 0))
        silent[:, :length] = samples[row, :length]
        expected, _ = plain(silent, torch.tensor([silent.size(1)]))
        torch.testing.assert_close(features[row : row + 1, : expected.size(1)], expected)
    alone, frames = padding(samples[1:2, :3001], lengths[1:2])
    assert frames.tolist() == [50]
    torch.testing.assert_close(alone, features[1:2, :50])
    assert padding(torch.zeros(1, 0), torch.tensor([0]))[0].shape == (1, 0, 80)


def test_a_stream_cannot_be_padded() -> None:
    with pytest.raises(ModelError, match="pad_seconds"):
        WhisperLogMel(WhisperConfig(maximum="running", pad_seconds=1)).initial_state(1)


def test_casting_and_autocast_do_not_degrade() -> None:
    samples, lengths = speechlike(16000), torch.tensor([16000])
    model = WhisperLogMel(WhisperConfig())
    expected = model(samples, lengths)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model(samples, lengths)[0], expected)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert torch.equal(model.to(dtype)(samples, lengths)[0], expected)


def test_wrong_samples_are_refused() -> None:
    with pytest.raises(AudioError, match="floating tensor"):
        RUNNING(torch.zeros(1, 16000, dtype=torch.int16), torch.tensor([16000]))
    with pytest.raises(AudioError, match="2 streams but the state has 3"):
        RUNNING.step(torch.zeros(2, 160), RUNNING.initial_state(3), final=False)


def test_front_ends_are_chosen_by_type() -> None:
    assert frontend_config({}).type == "kaldi"
    config = frontend_config({"type": "whisper", "mels": 128})
    assert config == WhisperConfig(mels=128)
    with pytest.raises(ConfigError, match="did you mean 'whisper'"):
        frontend_config({"type": "wisper"})
    with pytest.raises(ConfigError, match="sample_rate"):
        parse(WhisperConfig, {"sample_rate": 8000}, "model.yaml")
