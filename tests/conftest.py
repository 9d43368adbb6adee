"""What tests of several folders need: a tiny model folder, and sound to feed it."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import settings

settings.register_profile("exact", derandomize=True, deadline=None)
settings.load_profile("exact")

# Where tests run in the background (a CI, `nohup ... &`), SIGINT is ignored, and what is ignored
# is inherited by every process that a test starts. A handler of Python's is not: those get the
# default. Done here, in the process of the tests, so that no test can forget it.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

REPOSITORY = Path(__file__).parents[1]
SAMPLES = REPOSITORY / "samples"
RATE = 16000


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of speech corpora; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("ASR_CORPORA", REPOSITORY.parent / "shared" / "corpora"))
    if not folder.is_dir():
        pytest.skip(f"no corpora at {folder}; set ASR_CORPORA to run this")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights: what it says has no meaning, but is always the same."""
    import torch

    from asr.model import ModelConfig, SpeechModel
    from asr.model.folder import save_model_folder
    from asr.text import NormalizerConfig, TokenizerConfig, train_tokenizer
    from asr.text.special_labels import END

    folder = tmp_path_factory.mktemp("models") / "tiny"
    letters = ["abcdefghijklmnopqrstuvwxyz' and the rest of what people say"]
    tokenizer = train_tokenizer(
        letters, TokenizerConfig(type="char", size=40), tmp_path_factory.mktemp("tokenizer")
    )
    config = ModelConfig.model_validate(
        {
            "encoder": {
                "type": "conformer",
                "layers": 1,
                "dim": 16,
                "heads": 2,
                "ff": 16,
                "kernel": 3,
                "subsampling": {"factor": 8},
            },
            "decoder": {"type": "transformer", "layers": 1, "dim": 16, "heads": 2, "ff": 16},
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = SpeechModel(config, tokenizer.size)
    with torch.no_grad():
        model.decoder.to_logits.bias[END] = -3.0  # random weights like to end at once
    save_model_folder(
        folder,
        model,
        tokenizer,
        name="tiny",
        normalizer=NormalizerConfig(),
        card="# tiny\n\nRandom weights, for tests.\n",
        search={"beam": 2, "ctc_weight": 0.3},
        facts={"hours": 0.5},
    )
    return folder


def with_case(model: Path, folder: Path) -> Path:
    """A copy of a model folder, of a model whose texts keep case, punctuation and digits."""
    shutil.copytree(model, folder)
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["normalizer"] |= {"lowercase": False, "punctuation": False, "numbers": False}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


@pytest.fixture
def any_sound_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models without CTC write text for made sounds too, as tests with random weights need it."""
    monkeypatch.setattr("asr.transcribe.recognizer.Recognizer._speech_detector", None)


@pytest.fixture(scope="session")
def sound() -> np.ndarray:
    """Three seconds of noise that swells and fades like syllables, (N,) float32 at 16 kHz."""
    random = np.random.default_rng(7)
    seconds = np.arange(3 * RATE) / RATE
    loudness = 0.1 * (1 + np.sin(2 * np.pi * 4 * seconds)) * (1 + np.sin(2 * np.pi * seconds))
    return (loudness * random.standard_normal(len(seconds)) * 0.5).clip(-1, 1).astype(np.float32)
