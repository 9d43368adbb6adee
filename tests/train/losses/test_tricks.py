"""Scheduled sampling, guided attention and weight noise do what they say."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.errors import ConfigError
from asr.model import ModelConfig, SpeechModel
from asr.text.special_labels import END, LABELS
from asr.train.losses.guided_attention import guided_attention_loss
from asr.train.losses.scheduled_sampling import ScheduledSamplingConfig, with_own_labels
from asr.train.losses.weight_noise import noisy_weights
from asr.train.recipe import Recipe, make_recipe
from asr.train.run import train

DECODERS: dict[str, dict[str, Any]] = {
    "transformer": {"type": "transformer", "layers": 1, "dim": 16, "heads": 2, "ff": 16},
    "lstm": {"type": "lstm", "dim": 12, "attention_dim": 6, "kernel": 3},
}


def model(kind: str) -> SpeechModel:
    torch.manual_seed(1)
    values = {"encoder": {"type": "lstm", "layers": 1, "dim": 8}, "decoder": DECODERS[kind]}
    built = SpeechModel(ModelConfig.model_validate(values), 9)
    assert built.decoder is not None
    with torch.no_grad():
        built.decoder.to_logits.bias[:3] = -9.0  # so that every label is one that can be written
    return built


@pytest.mark.parametrize(
    ("shape", "half"), [("linear", 0.5), ("exponential", 0.909), ("inverse_sigmoid", 0.5)]
)
def test_the_share_of_own_labels_rises_from_0_to_most(shape: Any, half: float) -> None:
    config = ScheduledSamplingConfig(shape=shape, start=100, steps=200, most=0.4)
    shares = [config.share(step) for step in range(0, 400, 10)]
    assert shares[:11] == [0.0] * 11
    assert shares == sorted(shares)
    assert config.share(200) == pytest.approx(0.4 * half, abs=1e-3)
    assert config.share(300) == config.share(10**6) == pytest.approx(0.4)


@pytest.mark.parametrize("kind", DECODERS)
def test_own_labels_are_what_the_decoder_says_behind_those_fed(kind: str) -> None:
    decoder = model(kind).decoder
    assert decoder is not None
    memory, lengths = torch.randn(3, 7, 8), torch.tensor([7, 3, 5])
    inputs = torch.randint(3, 9, (3, 8))
    inputs[:, 0] = END
    assert torch.equal(with_own_labels(decoder, inputs, memory, lengths, LABELS, 0.0), inputs)
    for share in (0.5, 1.0):
        fed = with_own_labels(decoder, inputs, memory, lengths, LABELS, share)
        assert decoder.training
        said = decoder.eval()(fed, memory, lengths).argmax(dim=-1)
        decoder.train()
        own, true = fed[:, 1:] == said[:, :-1], fed[:, 1:] == inputs[:, 1:]
        assert (own | true).all()
        assert own.all() if share == 1.0 else (own & ~true).any() and (true & ~own).any()


def test_an_own_ending_is_not_fed() -> None:
    decoder = model("lstm").decoder
    assert decoder is not None
    with torch.no_grad():
        decoder.to_logits.bias[END] = 99.0
    inputs = torch.tensor([[END, 3, 4, 5]])
    memory, lengths = torch.randn(1, 4, 8), torch.tensor([4])
    assert torch.equal(with_own_labels(decoder, inputs, memory, lengths, LABELS, 1.0), inputs)


def test_guided_attention_pulls_to_the_diagonal() -> None:
    torch.manual_seed(0)
    labels, frames = torch.tensor([6, 4, 0]), torch.tensor([20, 12, 20])
    scores = torch.randn(3, 1, 2, 6, 20, requires_grad=True)
    step = torch.optim.Adam([scores], lr=0.3)
    before = guided_attention_loss(scores.softmax(-1), labels, frames)
    for _ in range(60):
        step.zero_grad()
        guided_attention_loss(scores.softmax(-1), labels, frames).backward()
        assert scores.grad is not None
        assert not scores.grad[2].any()  # a row that is padding
        assert not scores.grad[1, :, :, 4:].any()
        assert not scores.grad[:, :, 1].any()  # the second head is free
        step.step()
    weights = scores.softmax(-1)
    assert guided_attention_loss(weights, labels, frames) < 0.1 * before
    places = (weights[0, 0, 0] @ torch.arange(20.0)).tolist()
    assert places == sorted(places)


def test_noise_is_on_the_weights_within_the_block_only() -> None:
    built = model("lstm")
    before = {name: one.clone() for name, one in built.state_dict().items()}
    assert built.decoder is not None
    with noisy_weights(built, 0.05):
        noise = built.decoder.to_logits.weight.detach() - before["decoder.to_logits.weight"]
        assert float(noise.std()) == pytest.approx(0.05, rel=0.3)
        assert torch.equal(built.decoder.to_logits.bias, before["decoder.to_logits.bias"])
    assert all(torch.equal(one, before[name]) for name, one in built.state_dict().items())


TRICKS = (
    "loss.scheduled_sampling={shape: exponential, steps: 2, most: 0.5}",
    "loss.guided_attention=1",
    "training.weight_noise=0.01",
    "data.short_first=1",
)


def test_a_run_with_all_of_them(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """The first step has no own labels yet, but noise; the log of a run with none differs."""
    logs = []
    for number, overrides in enumerate((TRICKS, TRICKS, TRICKS[-1:])):
        folder = tmp_path / str(number)
        assert train(recipe("training.max_steps=3", *overrides), folder).model is not None
        rows = csv.DictReader((folder / "training" / "log.csv").open())
        logs.append([row["loss"] for row in rows if row["kind"] == "train"])
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_there_is_nothing_to_guide_without_attention() -> None:
    values = {
        "data": {},
        "training": {"epochs": 1},
        "model": {"decoder": {"type": "lstm", "attention": "none"}},
        "loss": {"guided_attention": 1.0},
    }
    with pytest.raises(ConfigError, match="guided_attention needs a decoder with attention"):
        make_recipe(values, (), "test", Path("/"))
