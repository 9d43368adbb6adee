"""Any encoder with any decoder, by configuration alone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from asr.model import FULL_CONTEXT, ChunkContext, ModelConfig, SpeechModel
from asr.search import SearchConfig, continue_search, joint_scorers, search
from asr.text.special_labels import END, LABELS
from asr.types import Hypothesis

SUBSAMPLING = {"channels": 2}
ENCODERS: dict[str, dict[str, Any]] = {
    "conformer": {"layers": 1, "dim": 8, "heads": 2, "ff": 8, "kernel": 3},
    "transformer": {"layers": 1, "dim": 8, "heads": 2, "ff": 8},
    "lstm": {"layers": 2, "dim": 6, "projection": 5},
    "gru": {"layers": 2, "dim": 6, "bidirectional": True, "pyramid": 1},
}
DECODERS: dict[str, dict[str, Any]] = {
    "transformer": {"type": "transformer", "layers": 1, "dim": 8, "heads": 2, "ff": 8},
    **{
        attention: {
            "type": "lstm" if attention in ("none", "dot") else "gru", "dim": 8, "heads": 2,
            "attention": attention, "attention_dim": 4, "filters": 2, "kernel": 3,
        }
        for attention in ("none", "additive", "dot", "general", "location", "multihead")
    },
}  # fmt: skip
PAIRS = list(itertools.product(ENCODERS, DECODERS))
VOCABULARY = 7
SEARCH = SearchConfig(beam=3, nbest=2)


def model_of(encoder: str, decoder: str, ctc: bool = True) -> SpeechModel:
    torch.manual_seed(4)
    config = ModelConfig.model_validate(
        {
            "encoder": {"type": encoder, **ENCODERS[encoder], "subsampling": SUBSAMPLING},
            "decoder": DECODERS[decoder],
            "frontend": {"mels": 8},
            "ctc": ctc,
        }
    )
    model = SpeechModel(config, VOCABULARY).eval()
    assert model.decoder is not None
    with torch.no_grad():
        model.decoder.to_logits.bias[END] = -5.0  # random weights like to end at once
        model.decoder.to_logits.weight.mul_(3.0)  # and to find everything about as likely
    return model


def heard(
    model: SpeechModel, features: torch.Tensor, lengths: list[int], weight: float
) -> list[list[Hypothesis]]:
    with torch.inference_mode():
        memory, counts = model.encode(features, torch.tensor(lengths))
    return search(joint_scorers(model, LABELS, weight), memory, counts, LABELS, SEARCH)


def same(one: list[Hypothesis], other: list[Hypothesis]) -> None:
    assert [best.tokens for best in one] == [best.tokens for best in other]
    for left, right in zip(one, other, strict=True):
        assert left.score == pytest.approx(right.score, abs=1e-4)


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_a_batch_is_searched_as_one_by_one(encoder: str, decoder: str) -> None:
    """Padding and neighbours change nothing, with attention alone and joined with CTC."""
    model = model_of(encoder, decoder)
    features = torch.randn(3, 70, 8, generator=torch.Generator().manual_seed(2))
    lengths = [70, 23, 41]
    for weight in (0.0, 0.4):
        together = heard(model, features, lengths, weight)
        assert any(best.tokens for best, *_ in together)
        for row, length in enumerate(lengths):
            alone = heard(model, features[row : row + 1, :length], [length], weight)
            same(together[row], alone[0])


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_a_stream_says_what_a_file_says(encoder: str, decoder: str) -> None:
    """Memory by steps, then the search; a search that starts behind decided labels scores them."""
    model = model_of(encoder, decoder)
    features = torch.randn(1, 90, 8, generator=torch.Generator().manual_seed(3))
    context = FULL_CONTEXT if encoder == "lstm" else ChunkContext(3, 4)
    with torch.inference_mode():
        whole, lengths = model.encode(features, torch.tensor([90]), context)
        state, parts = model.encoder.initial_state(1, ChunkContext(3, 4)), []
        for place in range(0, 90, 13):
            memory, state = model.encoder.step(
                features[:, place : place + 13], state, place + 13 >= 90
            )
            parts.append(memory)
    stepped = torch.cat(parts, dim=1)
    torch.testing.assert_close(stepped, whole, rtol=0, atol=1e-5)
    expected = search(joint_scorers(model, LABELS, 0.0), whole, lengths, LABELS, SEARCH)[0]
    same(search(joint_scorers(model, LABELS, 0.0), stepped, lengths, LABELS, SEARCH)[0], expected)
    begun = expected[0].tokens
    alone = SearchConfig(beam=3, max_labels=max(len(begun), 1))
    [again] = continue_search(
        joint_scorers(model, LABELS, 0.0), stepped, lengths, LABELS, alone, [[begun]]
    )
    same(again.hypotheses, expected[:1])


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_gradients_reach_every_weight(encoder: str, decoder: str) -> None:
    model = model_of(encoder, decoder).train()
    assert model.decoder is not None
    features = torch.randn(2, 60, 8, generator=torch.Generator().manual_seed(3))
    memory, lengths = model.encode(features, torch.tensor([60, 44]), ChunkContext(4, 4))
    tokens = torch.tensor([[END, 3, 4, 5], [END, 6, 3, 3]])
    said = model.decoder(tokens, memory, lengths)
    loss = (said * torch.randn(said.shape)).sum() + model.ctc_log_probs(memory)[:, :, 3].sum()
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # what does not change a softmax: the same number for all frames
    assert [name for name in without if not name.endswith("to_keys_values.bias")] == []
