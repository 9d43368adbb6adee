"""Texts of a batch with the model as it is in training: greedy, for a look at progress."""

from __future__ import annotations

import torch
from torch import Tensor

from asr.model import SpeechModel
from asr.model.protocols import BLANK, EOS
from asr.text import Tokenizer


def decode_batch(
    model: SpeechModel, samples: Tensor, lengths: Tensor, tokenizer: Tokenizer
) -> list[str]:
    """What the model hears in samples (B, N) with lengths (B,)."""
    features, lengths = model.features(samples, lengths)
    memory, lengths = model.encode(features, lengths)
    if model.ctc is None:
        return [tokenizer.decode(row) for row in _decoder_greedy(model, memory, lengths)]
    best = model.ctc_log_probs(memory).argmax(dim=-1).cpu()
    rows = (row[:size] for row, size in zip(best, lengths.tolist(), strict=True))
    return [tokenizer.decode(_collapsed(row)) for row in rows]


def _collapsed(labels: Tensor) -> list[int]:
    return [int(label) for label in torch.unique_consecutive(labels) if label != BLANK]


def _decoder_greedy(model: SpeechModel, memory: Tensor, lengths: Tensor) -> list[list[int]]:
    assert model.decoder is not None
    state = model.decoder.initial_state(memory, lengths)
    last = torch.full((len(memory),), EOS, device=memory.device)
    found = []
    for _ in range(memory.shape[1]):
        log_probs, state = model.decoder.step(last, state)
        last = log_probs.argmax(dim=-1)
        found.append(last)
        if bool((torch.stack(found) == EOS).any(dim=0).all()):
            break
    rows = torch.stack(found, dim=1).tolist()
    return [row[: row.index(EOS)] if EOS in row else row for row in rows]
