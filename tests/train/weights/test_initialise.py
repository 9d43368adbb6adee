"""Starting from the weights of another model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from asr.config import parse
from asr.errors import AsrError, TrainingError
from asr.model import ChunkContext, ModelConfig, SpeechModel
from asr.model.folder import load_model_folder
from asr.train.recipe import Recipe, load_recipe
from asr.train.run import Start, train
from asr.train.weights.initialise import _deepen, _misplaced
from tests.train.conftest import RECIPE, write_corpus

Load = Callable[..., Recipe]


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to start from."""
    values = json.loads(json.dumps(RECIPE))
    values["data"]["train"] = str(corpus / "train" / "manifest.jsonl")
    values["training"]["max_steps"] = 2
    folder = tmp_path_factory.mktemp("init")
    (folder / "r.yaml").write_text(json.dumps(values))
    outcome = train(load_recipe(folder / "r.yaml"), folder / "run")
    assert outcome.model is not None
    return outcome.model


def test_the_same_architecture(
    recipe: Load, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gentle = ("training.max_steps=1", "optimizer.lr=1.0e-9", "training.ema=0")
    outcome = train(recipe(*gentle), tmp_path / "run", Start(init=model))
    told = capsys.readouterr().err.splitlines()
    [line] = [line for line in told if line.startswith("initialised from")]
    assert re.fullmatch(r".*: (\d+) of \1 tensors loaded", line)
    assert not [line for line in told if line.startswith("  ") and "new" in line]
    assert outcome.model is not None
    ours, theirs = (load_model_folder(one).model for one in (outcome.model, model))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_every_mismatch_is_named(
    recipe: Load, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ("model.decoder.layers=2", "model.decoder.ff=32", "training.max_steps=1")
    with pytest.raises(TrainingError) as caught:
        train(recipe(*other), tmp_path / "run", Start(init=model))
    told = str(caught.value)
    assert "new: decoder.layers.1 (22 tensors)" in told
    assert "(64, 32) there and (32, 32) here: decoder.layers.0.widen.weight" in told
    assert "--init-partial" in told
    train(recipe(*other), tmp_path / "run", Start(init=model, init_partial=True))
    assert "  new: decoder.layers.1 (22 tensors)\n" in capsys.readouterr().err
    listed = (tmp_path / "run" / "training" / "initialised.txt").read_text().splitlines()
    assert "decoder.layers.1.ff_norm.weight: new" in listed
    assert "encoder.layers.1.norm.weight: loaded" in listed


def test_an_encoder_with_more_layers_goes_on_from_one_with_fewer(
    recipe: Load, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gentle = ("training.max_steps=1", "optimizer.lr=1.0e-9", "training.ema=0")
    outcome = train(recipe("model.encoder.layers=5", *gentle), tmp_path / "run", Start(init=model))
    told = capsys.readouterr().err
    assert "here: encoder.layers.1,3-4 (32 tensors each) are new, copies of those before" in told
    assert "intermediate_ctc" not in told
    listed = (tmp_path / "run" / "training" / "initialised.txt").read_text().splitlines()
    layers = [line for line in listed if line.endswith("ff_after.widen.bias: loaded")]
    assert len(layers) == 2
    for layer, of in ((1, 0), (3, 2), (4, 2)):
        assert f"encoder.layers.{layer}.norm.weight: copy of encoder.layers.{of}" in listed
    count = len([line for line in listed if line.endswith(": loaded")])
    assert f": {count} of {len(listed)} tensors loaded\n" in told
    assert outcome.model is not None
    before, after = (load_model_folder(one).model.encoder for one in (model, outcome.model))
    features, lengths = torch.randn(1, 120, 40), torch.tensor([120])
    with torch.no_grad():
        expected, found = before(features, lengths)[0], after(features, lengths)[0]
    # the step was no step; what differs is the epsilon of norms of what is normed already
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("layers", "there", "here", "said"),
    [
        (5, [1], [1], ["model.intermediate_ctc [1] there is [2] here; the recipe says [1]"]),
        (5, [1], [2], []),
        (5, [], [1], ["model.intermediate_ctc [1]: what layers there gave on is at [2] here"]),
        (5, [], [2], []),
        (5, [1], [], []),
        (2, [1], [1], []),
    ],
)
def test_where_ctc_inside_a_deeper_encoder_belongs_is_told(
    layers: int, there: list[int], here: list[int], said: list[str]
) -> None:
    def made(layers: int, taps: list[int]) -> SpeechModel:
        encoder = {**RECIPE["model"]["encoder"], "layers": layers}
        values = {**RECIPE["model"], "encoder": encoder, "intermediate_ctc": tuple(taps)}
        return SpeechModel(parse(ModelConfig, values, "test"), 7).eval()

    theirs, own = made(2, there), made(layers, here)
    context, sound = ChunkContext(), (torch.randn(1, 120, 40), torch.tensor([120]))
    with torch.no_grad():
        before = theirs.encoder.forward_tapped(*sound, context, (1,))[2]
        copies = _deepen(theirs, own)
        assert _misplaced(theirs, own, copies) == said
        after = theirs.encoder.forward_tapped(*sound, context, (2 if copies else 1,))[2]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-3)  # the number is right


def test_another_tokenizer(recipe: Load, tmp_path: Path, model: Path) -> None:
    manifest = write_corpus(tmp_path / "other", 3, seed=8, texts=["xb", "ax cb", "bx"])
    with pytest.raises(TrainingError, match="the tokenizers differ: 7 labels there, 8 here"):
        train(recipe(f"data.train={manifest}"), tmp_path / "run", Start(init=model))


@pytest.mark.parametrize(
    ("texts", "same"), [(["ad", "da db", "bad"], "6 of 7"), (["xb", "ax cb", "bx"], "7 of 8")]
)
def test_rows_of_labels_that_are_spelled_the_same_are_taken_over(
    recipe: Load,
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    texts: list[str],
    same: str,
) -> None:
    """As many labels as the model has, but another one; and one more, in between."""
    manifest = write_corpus(tmp_path / "other", 3, seed=8, texts=texts)
    gentle = ("training.max_steps=1", "optimizer.lr=1.0e-9", "training.ema=0")
    other = (f"data.train={manifest}", *gentle)
    outcome = train(recipe(*other), tmp_path / "run", Start(init=model, init_partial=True))
    told = capsys.readouterr().err
    assert outcome.model is not None
    ours, theirs = load_model_folder(outcome.model), load_model_folder(model)
    assert f"labels spelled the same: {same}" in told
    labels = "ctc (2 tensors), decoder.embedding, decoder.to_logits (2 tensors)"
    assert f"  other labels: {labels}\n" in told
    their_ids = {theirs.tokenizer.piece(i): i for i in range(theirs.tokenizer.size)}
    for token in range(ours.tokenizer.size):
        if (other_id := their_ids.get(ours.tokenizer.piece(token))) is None:
            continue
        for one, two in zip(_rows(ours.model), _rows(theirs.model), strict=True):
            assert torch.allclose(one[token], two[other_id], atol=1e-6)


def test_the_recipe_need_not_repeat_the_model(
    recipe_file: Path, tmp_path: Path, model: Path
) -> None:
    values = yaml.safe_load(recipe_file.read_text())
    for name in ("model", "tokenizer"):
        del values[name]
    recipe_file.write_text(yaml.safe_dump(values))
    like = load_recipe(recipe_file, ["model.encoder.dropout=0.3"], model)
    assert like.model.decoder == load_model_folder(model).config.model.decoder
    assert like.model.encoder.dropout == 0.3  # type: ignore[attr-defined]
    assert like.tokenizer == model
    outcome = train(like, tmp_path / "run", Start(init=model))
    assert outcome.model is not None


def test_a_run_that_goes_on_says_that_it_is_not_used(
    recipe: Load, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe("training.max_steps=1"), tmp_path / "run")
    train(recipe("training.max_steps=2"), tmp_path / "run", Start(init=model))
    assert "is not used: the run goes on from its own weights" in capsys.readouterr().err


def test_no_model_there(recipe: Load, tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="no such model folder"):
        train(recipe(), tmp_path / "run", Start(init=tmp_path / "nothing"))


def _rows(model: SpeechModel) -> list[Tensor]:
    decoder: Any = model.decoder
    assert model.ctc is not None
    tensors = [model.ctc.weight, model.ctc.bias, decoder.embedding.weight, decoder.to_logits.weight]
    return [one.detach() for one in tensors]
