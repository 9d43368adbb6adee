"""Texts of a batch with the model as it is in training: the search of transcription, greedily."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from asr.model import SpeechModel
from asr.search import SearchConfig, joint_scorers, search
from asr.text import Tokenizer


def search_settings(model: SpeechModel) -> dict[str, Any]:
    """What the search must be told about a model that lacks one of its two halves."""
    if model.decoder is None:
        return {"ctc_weight": 1.0}
    return {"ctc_weight": 0.0} if model.ctc is None else {}


@torch.inference_mode()
def decode_batch(
    model: SpeechModel, samples: Tensor, lengths: Tensor, tokenizer: Tokenizer
) -> list[str]:
    """What the model hears in samples (B, N) with lengths (B,)."""
    config = SearchConfig(beam=1, **search_settings(model))
    features, lengths = model.features(samples, lengths)
    memory, lengths = model.encode(features, lengths)
    found = search(joint_scorers(model, config.ctc_weight), memory, lengths, config)
    return [tokenizer.decode(one[0].tokens) if one else "" for one in found]
