"""Whisper checkpoints as model folders of our own kind: the same model, whatever the format."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.errors import ModelError, OutputError
from asr.model.folder import load_model_folder, load_speech_model, read_folder_config
from asr.model.imported import import_model
from asr.model.weights import write_weights
from asr.search import SearchConfig, all_scorers, search
from tests.model.whisper.checkpoints import (
    ctranslate2_tensors,
    model_bin,
    quantised,
    write_ctranslate2,
)
from tests.model.whisper.test_folder import weights, write_folder


@pytest.mark.parametrize("format", ["ctranslate2", "hugging face", "openai"])
def test_an_imported_model_is_the_same_model(format: str, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "small", format)
    import_model(source, tmp_path / "ours")
    theirs, ours = load_model_folder(source), load_speech_model(tmp_path / "ours")
    assert (ours.config.kind, ours.config.name) == ("asr", "small")
    assert ours.config.model == theirs.config.model
    assert ours.config.search == theirs.config.search
    assert ours.config.normalizer == theirs.config.normalizer
    assert ours.tokenizer.labels == theirs.tokenizer.labels
    assert ours.tokenizer.prompt_fields == theirs.tokenizer.prompt_fields
    expected = theirs.model.state_dict()
    assert ours.model.state_dict().keys() == expected.keys()
    for name, tensor in ours.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("format", ["ctranslate2", "hugging face"])
def test_the_hypotheses_are_the_same(format: str, tmp_path: Path, sound: np.ndarray) -> None:
    source = write_folder(tmp_path / "small", format)
    import_model(source, tmp_path / "ours")
    loaded = [load_model_folder(folder) for folder in (source, tmp_path / "ours")]
    results = []
    for model, labels in ((each.model, each.tokenizer.labels) for each in loaded):
        config = SearchConfig(beam=3, nbest=3, ctc_weight=0.0, lm_weight=0.0)
        samples = torch.from_numpy(sound)[None]
        with torch.inference_mode():
            memory, lengths = model.encode(*model.features(samples, torch.tensor([len(sound)])))
            [best] = search(all_scorers(model, labels, config), memory, lengths, labels, config)
        results.append([(each.tokens, each.score) for each in best])
    assert len(results[0]) == 3
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_keep_their_stored_type(dtype: torch.dtype, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")
    stored = {name: tensor.to(dtype) for name, tensor in ctranslate2_tensors(weights()).items()}
    write_ctranslate2(source, model_bin(stored))
    import_model(source, tmp_path / "ours")
    ours = load_model_folder(tmp_path / "ours", "stored").model.state_dict()
    for name, tensor in weights().items():
        assert ours[name].dtype == dtype
        assert torch.equal(ours[name], tensor.to(dtype)), name


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16])
def test_integers_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")
    write_ctranslate2(source, model_bin(quantised(ctranslate2_tensors(weights()), dtype)))
    import_model(source, tmp_path / "ours")
    ours = load_model_folder(tmp_path / "ours", "stored").model.state_dict()
    expected = load_model_folder(source).model.state_dict()
    assert {tensor.dtype for tensor in ours.values()} == {torch.float32}
    assert all(torch.equal(ours[name], tensor) for name, tensor in expected.items())


def test_nothing_is_left_of_what_cannot_be_imported(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")
    content = (source / "model.bin").read_bytes()
    (source / "model.bin").write_bytes(content[:-100])
    with pytest.raises(ModelError, match=r"model\.bin"):
        import_model(source, tmp_path / "ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small"]


def test_model_folders_are_not_imported(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a model folder already; there is nothing to import"):
        import_model(tiny_model, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_other_formats_are_to_be_imported_first(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")
    with pytest.raises(ModelError, match=r"import it first: asr import .* -o FOLDER"):
        read_folder_config(source)


def test_weights_that_cannot_be_written_are_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):  # safetensors has an error of its own for all of them
        write_weights(tmp_path / "missing", {"weight": torch.zeros(1)})


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")

    def fail(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("asr.model.folder.write_weights", fail)
    with pytest.raises(OutputError, match=r"ours: cannot be written: No space left on device"):
        import_model(source, tmp_path / "out" / "ours")
    assert list((tmp_path / "out").iterdir()) == []
