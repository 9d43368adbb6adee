"""CTC with the decoder's vectors of labels."""

from __future__ import annotations

import pytest
import torch

from asr.errors import ModelError
from asr.model import ModelConfig, SpeechModel
from asr.model.tied_ctc import OWN, TiedCTC

VOCABULARY = 40
WHISPER = {"layers": 2, "dim": 64, "heads": 1, "ff": 128}


def tied(decoder: str = "whisper") -> SpeechModel:
    values = {"type": decoder, **WHISPER}
    config = ModelConfig.model_validate(
        {
            "frontend": {"type": "whisper", "mels": 80, "maximum": "running"},
            "encoder": {"type": "whisper", **WHISPER},
            "decoder": values,
            "ctc": "tied",
        }
    )
    torch.manual_seed(3)
    return SpeechModel(config, VOCABULARY)


def test_log_probs_are_those_of_the_vectors_of_labels() -> None:
    model = tied().eval()
    memory = torch.randn(2, 5, 64)
    log_probs = model.ctc_log_probs(memory)
    assert log_probs.shape == (2, 5, VOCABULARY)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 5))
    assert model.decoder is not None
    with torch.no_grad():  # a label whose vector is another's is as likely as that one
        model.decoder.label_vectors[7] = model.decoder.label_vectors[9]
        assert isinstance(model.ctc, TiedCTC)
        model.ctc.own[7] = model.ctc.own[9]
    log_probs = model.ctc_log_probs(memory)
    torch.testing.assert_close(log_probs[..., 7], log_probs[..., 9])


def test_mean_and_length_of_the_vectors_of_labels_count_for_nothing() -> None:
    torch.manual_seed(3)
    head = TiedCTC(64, 64, VOCABULARY)
    memory, vectors = torch.randn(1, 5, 64), torch.randn(VOCABULARY, 64)
    torch.testing.assert_close(head(memory, vectors), head(memory, 0.1 * vectors + 2.0))


def test_it_learns_without_moving_the_vectors() -> None:
    model = tied()
    model.ctc_log_probs(torch.randn(1, 4, 64))[..., 3].sum().backward()
    assert isinstance(model.ctc, TiedCTC)
    assert all(weight.grad is not None for weight in model.ctc.parameters())
    assert model.decoder is not None
    assert model.decoder.label_vectors.grad is None


def test_it_adds_few_weights() -> None:
    head = TiedCTC(64, 64, VOCABULARY)
    assert sum(weight.numel() for weight in head.parameters()) < 3 * 2 * 64 * 64 + OWN * VOCABULARY


def test_a_decoder_without_such_vectors_is_refused() -> None:
    with pytest.raises(ModelError, match=r"model\.ctc is tied"):
        tied("transformer")
