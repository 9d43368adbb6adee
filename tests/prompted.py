"""A model with prompt fields, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from asr.model import ModelConfig, SpeechModel
from asr.model.folder import save_model_folder
from asr.text import NormalizerConfig
from asr.text.prompts import PromptedTokenizer


def save_prompted_model(
    folder: Path,
    tokenizer: PromptedTokenizer,
    seed: int,
    normalizer: NormalizerConfig | None = None,
    **frontend: Any,
) -> Path:
    """A small model with random weights, whose texts depend on its start sequence."""
    config = ModelConfig.model_validate(
        {
            "frontend": frontend,
            "encoder": {"type": "lstm", "layers": 1, "dim": 16},
            "decoder": {"type": "lstm", "layers": 1, "dim": 16, "dropout": 0.0},
        }
    )
    torch.manual_seed(seed)
    model = SpeechModel(config, tokenizer.size)
    with torch.no_grad():  # random weights must not end at once, and must look at their start
        model.decoder.to_logits.weight.mul_(20)  # type: ignore[operator, union-attr]
        model.decoder.to_logits.bias[tokenizer.labels.end] = -3.0  # type: ignore[index, union-attr]
        model.decoder.embedding.weight[tokenizer.inner.size :].mul_(20)  # type: ignore[index, union-attr]
    save_model_folder(
        folder,
        model,
        tokenizer,
        name="prompted",
        normalizer=normalizer or NormalizerConfig(),
        card="# prompted\n",
        search={"beam": 2, "ctc_weight": 0.0},
    )
    return folder
