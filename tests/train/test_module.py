"""A step: gradients of all its batches, divided by all their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from asr.data.dataset import Batch
from asr.train.data import RunData
from asr.train.module import SpeechTraining
from asr.train.optimizer import OptimizerConfig, build_optimizer
from asr.train.recipe import Recipe
from asr.train.weights.ema import Ema

PLAIN = ("model.encoder.dropout=0", "model.decoder.dropout=0", "spec_augment=null")


@pytest.fixture
def build(recipe: Callable[..., Recipe], tmp_path: Path) -> Callable[..., SpeechTraining]:
    """A module as it is in `fit`, without a trainer."""

    def make(*overrides: str) -> SpeechTraining:
        loaded = recipe(*PLAIN, *overrides)
        data = RunData(loaded, tmp_path / "prepared")
        data.prepare_data()
        data.setup()
        module = SpeechTraining(loaded, data)
        fake: Any = SimpleNamespace(global_rank=0, world_size=1, is_last_batch=False)
        fake.strategy = SimpleNamespace(backward=lambda loss, *_, **__: loss.backward())
        module._trainer = fake
        module.configure_model()
        module.model.train()
        optimizer = module.configure_optimizers()
        module.optimizers = lambda *_, **__: optimizer  # type: ignore[method-assign,assignment]
        return module

    return make


@pytest.fixture
def batch(build: Callable[..., SpeechTraining]) -> Batch:
    """The batch of most rows, without padding rows."""
    data = build().data
    found = max(data.dev_batches(data.corpora.train), key=lambda one: len(one.ids))
    assert len(found.ids) > 3
    return rows(found, slice(0, len(found.ids)))


def rows(batch: Batch, which: slice) -> Batch:
    """Some rows of a batch."""
    assert batch.tokens is not None
    assert batch.token_lengths is not None
    return replace(
        batch,
        ids=batch.ids[which],
        samples=batch.samples[which],
        lengths=batch.lengths[which],
        texts=batch.texts[which],
        tokens=batch.tokens[which],
        token_lengths=batch.token_lengths[which],
    )


def stepped(module: SpeechTraining, batches: list[Batch]) -> dict[str, Tensor]:
    for index, batch in enumerate(batches):
        module.trainer.is_last_batch = index == len(batches) - 1
        module.training_step(batch, index)
    assert module.result is not None
    assert module.result.applied
    return {name: one.detach().clone() for name, one in module.model.named_parameters()}


def test_accumulating_parts_is_one_step_over_the_whole(
    build: Callable[..., SpeechTraining], batch: Batch
) -> None:
    whole = stepped(build("training.accumulate=2"), [batch])
    halves = [rows(batch, slice(0, 2)), rows(batch, slice(2, None))]
    parts = stepped(build("training.accumulate=2"), halves)
    for name in whole:
        assert torch.allclose(whole[name], parts[name], atol=2e-5), name


def test_padding_rows_change_nothing(build: Callable[..., SpeechTraining], batch: Batch) -> None:
    def more(tensor: Tensor | None) -> Tensor:
        assert tensor is not None
        return torch.cat((tensor, torch.zeros_like(tensor[:2])))

    padded = replace(
        batch,
        samples=more(batch.samples),
        lengths=more(batch.lengths),
        tokens=more(batch.tokens),
        token_lengths=more(batch.token_lengths),
    )
    plain, more_rows = stepped(build(), [batch]), stepped(build(), [padded])
    for name in plain:
        assert torch.allclose(plain[name], more_rows[name], atol=2e-5), name


def test_gradients_are_clipped_to_the_norm(
    build: Callable[..., SpeechTraining], batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = build("training.clip_norm=0.01")
    seen: list[float] = []
    optimizer: Any = module.optimizers()
    monkeypatch.setattr(
        optimizer,
        "step",
        lambda: seen.append(
            float(torch.stack([p.grad.norm() for p in module.model.parameters()]).norm())
        ),
    )
    module.training_step(batch, 0)
    assert module.result is not None
    assert module.result.grad_norm > 0.01
    assert seen[0] == pytest.approx(0.01, rel=1e-3)


def test_a_batch_draws_the_same_whatever_was_drawn_before(
    build: Callable[..., SpeechTraining], batch: Batch
) -> None:
    random = ("model.encoder.dropout=0.3", "spec_augment={frequency_masks: 2}")
    module = build(*random, "training.accumulate=9")
    sums = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module.training_step(batch, 0)
        sums.append(module._gathered[-1][1])
    module.training_step(replace(batch, index=batch.index + 1), 0)
    assert torch.equal(sums[0], sums[1])
    assert not torch.equal(sums[0], module._gathered[-1][1])


def test_a_step_ends_with_its_last_batch_and_with_the_epoch(
    build: Callable[..., SpeechTraining], batch: Batch
) -> None:
    module = build("training.accumulate=2")
    assert not module.completes_step(ahead=1)
    module.training_step(batch, 0)
    assert module.result is None
    assert module.completes_step(ahead=1)
    module.training_step(batch, 1)
    assert module.result is not None
    module.trainer.is_last_batch = True
    assert module.completes_step(ahead=1)
    module.training_step(batch, 2)
    assert module.run.step == 2


def test_the_average_follows_slowly_and_swaps_both_ways() -> None:
    module = torch.nn.Linear(2, 2)
    ema = Ema(module, decay=0.9)
    start = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1.0)
    ema.update()
    decay = 2 / 11
    with ema.swapped_in():
        assert torch.allclose(module.weight, start + 1 - decay)
    assert torch.allclose(module.weight, start + 1)
    again = Ema(module, decay=0.9)
    again.load_state_dict(ema.state_dict())
    assert again.steps == 1
    with again.swapped_in():
        assert torch.allclose(module.weight, start + 1 - decay)


def test_only_matrices_are_decayed() -> None:
    parts = (torch.nn.Embedding(3, 2), torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
    module = torch.nn.Sequential(*parts)
    decayed, kept = build_optimizer(module, OptimizerConfig()).param_groups
    assert [one.shape for one in decayed["params"]] == [(2, 2)]
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.01, 0.0)
    assert len(kept["params"]) == 4
