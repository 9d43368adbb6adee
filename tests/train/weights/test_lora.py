"""Low-rank changes of weights: what is trained, and what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asr.errors import ConfigError
from asr.model import SpeechModel
from asr.train.optimizer import LoraConfig
from asr.train.recipe import Recipe
from asr.train.run import train
from asr.train.weights.lora import LowRankLinear, add_lora, merged
from tests.text.test_whisper import SIZE
from tests.train.whisper import MODEL

CONFIG = LoraConfig(rank=4, alpha=8, modules=("to_query", "widen"))
FEATURES, LENGTHS = torch.randn(2, 60, 16, generator=torch.Generator().manual_seed(1)), [60, 40]
LABELS = torch.tensor([[1, 2, 3], [4, 5, 6]])


def model(lora: LoraConfig | None = CONFIG, drawn: bool = True) -> SpeechModel:
    """A small model; `drawn`: the changes are no longer zero."""
    torch.manual_seed(2)
    made = SpeechModel(MODEL, SIZE).eval()
    if lora is not None:
        add_lora(made, lora)
    if drawn:
        for name, weight in made.named_parameters():
            if name.endswith(".up"):
                torch.nn.init.normal_(weight, std=0.1)
    return made


def logits(one: SpeechModel) -> torch.Tensor:
    memory, lengths = one.encode(FEATURES, torch.tensor(LENGTHS))
    assert one.decoder is not None
    logits: torch.Tensor = one.decoder(LABELS, memory, lengths)
    return logits


def test_nothing_is_changed_at_first() -> None:
    assert torch.equal(logits(model(drawn=False)), logits(model(None)))


def test_merged_weights_compute_the_same() -> None:
    changed = model()
    plain = merged(changed)
    assert plain.state_dict().keys() == model(None).state_dict().keys()
    assert not any(isinstance(module, LowRankLinear) for module in plain.modules())
    torch.testing.assert_close(logits(plain), logits(changed), rtol=1e-6, atol=1e-6)
    assert (logits(plain) - logits(model(None))).abs().max() > 0.01
    assert any(isinstance(module, LowRankLinear) for module in changed.modules())  # still there


def test_a_model_without_low_rank_layers_is_merged_already() -> None:
    plain = model(None)
    assert merged(plain) is plain


def test_only_the_small_matrices_are_trained() -> None:
    changed = model()
    logits(changed).sum().backward()
    trained = {name for name, weight in changed.named_parameters() if weight.grad is not None}
    places = [
        *("encoder.layers.0.self_attention.to_query", "encoder.layers.0.widen"),
        *("decoder.layers.0.self_attention.to_query", "decoder.layers.0.widen"),
        "decoder.layers.0.memory_attention.to_query",
    ]
    assert trained == {f"{place}.{name}" for place in places for name in ("down", "up")}


def test_full_rank_can_change_a_weight_to_any_other() -> None:
    """With the rank of the matrix, up and down make up whatever full training would."""
    changed = model(LoraConfig(rank=32, alpha=32, modules=("to_query",)), drawn=False)
    layer = changed.encoder.layers[0].self_attention.to_query  # type: ignore[index,union-attr]
    assert isinstance(layer, LowRankLinear)
    wanted = torch.randn(32, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        layer.up.copy_((wanted - layer.weight) @ layer.down.pinverse())
    error = (layer.merged().weight - wanted).abs().max()
    assert error < 1e-3  # an inverse of a random matrix loses digits


def test_the_change_is_scaled_by_alpha_over_rank() -> None:
    layer = LowRankLinear(torch.nn.Linear(3, 2), rank=1, alpha=5)
    torch.nn.init.ones_(layer.up)
    change = layer.merged().weight - layer.weight
    torch.testing.assert_close(change, 5 * layer.down.expand(2, 3))
    assert layer.down.abs().max() <= math.sqrt(1 / 3) + 1e-6  # as torch draws linear layers


def test_layers_that_are_not_there_are_named() -> None:
    with pytest.raises(ConfigError, match=r"lora\.modules: .* no linear layer 'q_proj'; it has .*"):
        model(LoraConfig(modules=("q_proj",)))


def test_training_beside_no_weights_is_refused(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"training.lora trains beside .* name one \(--init"):
        train(recipe("training.lora={rank: 4}"), tmp_path / "run")
