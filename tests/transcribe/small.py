"""Small model folders of any parts."""

from __future__ import annotations

from pathlib import Path

import torch

from asr.model import ModelConfig, SpeechModel
from asr.model.folder import save_model_folder
from asr.text import NormalizerConfig, TokenizerConfig, train_tokenizer
from asr.text.special_labels import END
from tests.model import whole_only  # noqa: F401 (registers test-whole-only)

SMALL = {"type": "transformer", "layers": 1, "dim": 16, "heads": 2, "ff": 16}


def saved(folder: Path, **values: object) -> Path:
    """A model folder with random weights that like to write something."""
    tokenizer = train_tokenizer(
        ["abcdefgh and so on"], TokenizerConfig(type="char", size=20), folder / "tokenizer"
    )
    config = ModelConfig.model_validate({"decoder": SMALL, **values})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = SpeechModel(config, tokenizer.size)
    with torch.no_grad():
        assert model.decoder is not None
        model.decoder.to_logits.bias[END] = -3.0
        assert model.ctc is not None
        model.ctc.weight.mul_(8.0)
    save_model_folder(
        folder / "model", model, tokenizer, name="small", normalizer=NormalizerConfig(), card="",
        search={"beam": 2, "ctc_weight": 0.3},
    )  # fmt: skip
    return folder / "model"
