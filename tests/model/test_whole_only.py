"""Encoders that depend on padding are given none; those that cannot stream say so."""

from __future__ import annotations

import pytest
import torch

from asr.errors import ModelError
from asr.model import FULL_CONTEXT, ChunkContext, ModelConfig, SpeechModel
from asr.model.protocols import streaming_encoder
from tests.model import whole_only  # noqa: F401 (registers test-whole-only)


def model_of(**values: object) -> SpeechModel:
    torch.manual_seed(2)
    config = {"encoder": {"type": "test-whole-only"}, "frontend": {"mels": 12}, **values}
    return SpeechModel(ModelConfig.model_validate(config), 7).eval()


def test_rows_of_different_lengths_are_encoded_apart() -> None:
    model = model_of()
    lengths = [90, 33, 90, 5, 64]
    features = torch.randn(5, 90, 12, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        memory, counts = model.encode(features, torch.tensor(lengths))
        tapped, tapped_counts, taps = model.encode_tapped(features, torch.tensor(lengths))
        padded, _ = model.encoder(features, torch.tensor(lengths))
    assert counts.tolist() == tapped_counts.tolist() == [length // 8 for length in lengths]
    assert (torch.equal(memory, tapped), taps) == (True, [])
    for row, length in enumerate(lengths):
        with torch.inference_mode():
            alone, _ = model.encode(features[row, None, :length], torch.tensor([length]))
        # one product of a batch and of a row: sums in another order
        torch.testing.assert_close(memory[row, : length // 8], alone[0], rtol=0, atol=1e-6)
        assert not memory[row, length // 8 :].any()
    assert not torch.allclose(memory[1, :4], padded[1, :4], atol=1e-3)  # the test can fail


def test_gradients_reach_rows_that_are_encoded_apart() -> None:
    model = model_of()
    memory, _ = model.encode(torch.randn(2, 40, 12), torch.tensor([40, 17]))
    memory[1].sum().backward()
    assert model.encoder.to_dim.weight.grad.abs().sum() > 0


def test_chunks_and_streams_are_refused_with_what_to_do() -> None:
    model = model_of()
    with pytest.raises(ModelError, match=r"WholeOnlyEncoder cannot stream.*leave out chunk_ms"):
        streaming_encoder(model, ChunkContext(4, 4))
    with pytest.raises(ModelError, match="WholeOnlyEncoder needs the whole utterance"):
        model.encode(torch.randn(1, 40, 12), torch.tensor([40]), ChunkContext(4, 4))
    model.encoder.check_context(FULL_CONTEXT)


def test_a_front_end_that_needs_the_end_cannot_stream() -> None:
    encoder = {"type": "gru", "layers": 1, "dim": 4}
    model = model_of(encoder=encoder, frontend={"type": "whisper"})
    with pytest.raises(ModelError, match="front end 'whisper' needs the whole recording"):
        streaming_encoder(model, ChunkContext(4, 4))
    model = model_of(encoder=encoder, frontend={"type": "whisper", "maximum": "running"})
    assert streaming_encoder(model, ChunkContext(4, 4)) is model.encoder
    assert "norm.mean" not in model.state_dict()  # whisper's features need no statistics
