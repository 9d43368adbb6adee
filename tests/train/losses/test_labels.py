"""The losses where labels have other numbers than ours."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import asr.train.losses.objective as objective
from asr.data.dataset import Batch
from asr.errors import ModelError
from asr.model import ModelConfig, SpeechModel
from asr.text import Labels
from asr.train.losses.config import LossConfig
from asr.train.losses.joint import IGNORED, teacher_forcing
from asr.train.losses.objective import EncodedBatch, Objective
from asr.train.losses.scheduled_sampling import with_own_labels
from tests.layouts import LAYOUTS, TWO_STARTS, Layouts, without_blank

layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=["one start", "two starts"])
decoders = pytest.mark.parametrize("decoder", ["transformer", "lstm"])
LENGTHS = torch.tensor([3, 1, 0])
EVERYTHING = LossConfig.model_validate(
    {
        "ctc_weight": 0.3,
        "guided_attention": 0.5,
        "scheduled_sampling": {"steps": 1, "most": 0.7},
        "mwer": {"nbest": 3, "beam": 4, "usual_weight": 1.0},
    }
)


def model_of(layout: Layouts, decoder: str) -> SpeechModel:
    torch.manual_seed(1)
    values = {
        "encoder": {"type": "lstm", "layers": 1, "dim": 8},
        "decoder": {"type": decoder, "layers": 1, "dim": 8, "dropout": 0.0},
    }
    if decoder == "transformer":
        values["decoder"] |= {"heads": 2, "ff": 8}  # type: ignore[operator]
    model = SpeechModel(ModelConfig.model_validate(values), layout.vocabulary)
    with torch.no_grad():
        assert model.decoder is not None
        model.decoder.to_logits.weight.mul_(5)  # type: ignore[operator, union-attr]
    return model


def tokens_of(layout: Layouts) -> Tensor:
    first = layout.writable[0]
    return torch.tensor([[first, first + 1, first + 1], [first + 2, 0, 0], [0, 0, 0]])


def tokenizer_of(layout: Layouts, numbers: tuple[int, ...], labels: Labels) -> Any:
    """Label n of the usual layout writes the word n."""

    def decode(tokens: Sequence[int]) -> str:
        return " ".join(str(numbers.index(token)) for token in tokens)

    return SimpleNamespace(labels=labels, decode=decode)


def both(layout: Layouts) -> list[tuple[tuple[int, ...], Labels]]:
    return [(tuple(range(layout.vocabulary)), layout.usual), (layout.numbers, layout.other)]


@layouts
@decoders
def test_other_numbers_change_no_loss_and_no_gradient(layout: Layouts, decoder: str) -> None:
    results, gradients = [], []
    memory = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(2))
    for numbers, labels in both(layout):
        model = model_of(layout, decoder)
        tokens = tokens_of(layout)
        if labels is layout.other:
            layout.move(model)
            tokens = layout.renumbered(tokens)
        heard = memory.clone().requires_grad_()
        words = str(layout.writable[0])
        batch = Batch(
            ids=("a", "b"),
            samples=torch.zeros(3, 1),
            lengths=LENGTHS,
            texts=(f"{words} {words}", words),
            seconds=1.0,
            tokens=tokens,
            token_lengths=LENGTHS,
        )
        encoded = EncodedBatch(heard, torch.tensor([6, 4, 0]), [])
        torch.manual_seed(5)
        losses = Objective(EVERYTHING, tokenizer_of(layout, numbers, labels))(
            model, batch, encoded, step=1
        )
        losses["loss"].backward()
        assert heard.grad is not None
        results.append({name: value.item() for name, value in losses.items()})
        gradients.append(heard.grad)
    assert min(results[0][name] for name in ("attention", "ctc", "list_errors")) > 0
    assert results[1] == pytest.approx(results[0], rel=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)


@layouts
@decoders
def test_own_labels_are_the_same_and_leave_the_start(layout: Layouts, decoder: str) -> None:
    fed = []
    memory, lengths = torch.randn(3, 6, 8), torch.tensor([6, 4, 5])
    for _, labels in both(layout):
        model = model_of(layout, decoder)
        tokens = torch.randint(
            layout.writable[0],
            layout.vocabulary,
            (3, 8),
            generator=torch.Generator().manual_seed(3),
        )
        if labels is layout.other:
            layout.move(model)
            tokens = layout.renumbered(tokens)
        assert model.decoder is not None
        inputs, _ = teacher_forcing(tokens, torch.tensor([8, 8, 8]), 3, labels)
        torch.manual_seed(4)
        fed.append(with_own_labels(model.decoder, inputs, memory, lengths, labels, 0.9))
        start = len(labels.start)
        assert torch.equal(fed[-1][:, :start], inputs[:, :start])
        assert not torch.equal(fed[-1], inputs)
        assert not labels.forbidden & set(fed[-1][:, start:].flatten().tolist())
    assert torch.equal(fed[1], layout.renumbered(fed[0]))


def test_a_start_of_two_labels_is_fed_and_only_its_last_predicts() -> None:
    tokens = torch.tensor([[1, 2, 5], [6, 0, 0], [0, 0, 0]])
    inputs, targets = teacher_forcing(tokens, LENGTHS, 2, TWO_STARTS.other)
    assert inputs.tolist() == [[9, 4, 1, 2, 5], [9, 4, 6, 7, 7], [9, 4, 7, 7, 7]]
    assert targets.tolist() == [
        [IGNORED, 1, 2, 5, 7],
        [IGNORED, 6, 7, IGNORED, IGNORED],
        [IGNORED] * 5,
    ]


def test_the_attention_of_the_start_is_not_guided(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(weights: Tensor, labels: Tensor, frames: Tensor) -> Tensor:
        seen.append((weights, labels))
        return weights.sum()

    monkeypatch.setattr(objective, "guided_attention_loss", spy)
    model = model_of(TWO_STARTS, "transformer")
    tokens = tokens_of(TWO_STARTS)
    memory, frames = torch.randn(3, 6, 8), torch.tensor([6, 4, 0])
    batch = Batch(("a", "b"), torch.zeros(3, 1), LENGTHS, ("", ""), 1.0, tokens, LENGTHS)
    config = LossConfig(guided_attention=1.0)
    tokenizer = tokenizer_of(TWO_STARTS, (), TWO_STARTS.usual)
    Objective(config, tokenizer)(model, batch, EncodedBatch(memory, frames, []), step=1)
    [(weights, labels)] = seen
    assert labels.tolist() == [4, 2, 0]  # the end counts
    inputs, _ = teacher_forcing(tokens, LENGTHS, 2, TWO_STARTS.usual)
    assert model.decoder is not None
    torch.testing.assert_close(weights, model.decoder.attention(inputs, memory, frames)[..., 1:, :])


def test_ctc_without_a_blank_is_refused() -> None:
    model = model_of(TWO_STARTS, "lstm")
    tokens = tokens_of(TWO_STARTS)
    batch = Batch(("a", "b"), torch.zeros(3, 1), LENGTHS, ("", ""), 1.0, tokens, LENGTHS)
    encoded = EncodedBatch(torch.randn(3, 6, 8), torch.tensor([6, 4, 0]), [])
    tokenizer = tokenizer_of(TWO_STARTS, (), without_blank(TWO_STARTS.usual))
    with pytest.raises(ModelError, match="no blank label"):
        Objective(LossConfig(), tokenizer)(model, batch, encoded)
