"""Model folders of several kinds: recognised without opening them, opened by whom they name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from asr.cli.summary import folder_summary
from asr.errors import ModelError
from asr.folders import MODEL_KINDS, ModelKind, check_model_folder, foreign_kind
from asr.model.folder import LoadedModel, load_model_folder, load_speech_model, read_folder_config


def load_renamed(folder: Path, dtype: str) -> LoadedModel:
    """The loader of the kind that these tests register: a model folder by another file name."""
    loaded = load_speech_model(folder / "inner", dtype)
    return LoadedModel(loaded.model, loaded.tokenizer, loaded.config, folder)


@pytest.fixture
def foreign(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without config.yaml, and the kind that recognises it."""
    kind = ModelKind(f"{__name__}:load_renamed", lambda folder: (folder / "foreign.json").is_file())
    monkeypatch.setitem(MODEL_KINDS, "test-foreign", kind)
    folder = tmp_path / "foreign"
    shutil.copytree(tiny_model, folder / "inner")
    (folder / "foreign.json").write_text("{}")
    return folder


def test_a_folder_of_another_format_is_recognised_and_opened(foreign: Path) -> None:
    check_model_folder(foreign)
    loaded = load_model_folder(foreign)
    assert (loaded.folder, loaded.config.name) == (foreign, "tiny")
    with pytest.raises(ModelError, match="in another format"):
        read_folder_config(foreign)
    (foreign / "tokenizer.json").write_text("{}")  # what it has beside does not hide it
    assert folder_summary(foreign)["model"]["name"] == "tiny"


def test_a_folder_may_name_its_kind(foreign: Path) -> None:
    (foreign / "foreign.json").unlink()
    (foreign / "config.yaml").write_text("kind: test-foreign\n")
    assert load_model_folder(foreign).folder == foreign


def test_what_stands_beside_config_yaml_does_not_change_the_kind(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    for name in ("config.json", "model.bin"):
        (folder / name).write_text("{}")
    assert foreign_kind(folder) is None
    assert load_model_folder(folder).config.kind == "asr"


def test_a_folder_that_names_no_kind_is_of_ours(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    values = yaml.safe_load((folder / "config.yaml").read_text())
    assert values.pop("kind") == "asr"
    assert values["model"]["frontend"].pop("type") == "kaldi"  # as folders of before have none
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    config = load_model_folder(folder).config
    assert (config.kind, config.model.frontend.type) == ("asr", "kaldi")


@pytest.mark.parametrize("open_it", [load_model_folder, check_model_folder])
def test_an_unknown_kind_is_met_with_the_known_ones(
    foreign: Path, tmp_path: Path, open_it: object
) -> None:
    (tmp_path / "config.yaml").write_text("kind: wisper\n")
    with pytest.raises(ModelError, match="kind 'wisper' are not known; known: asr, test-foreign"):
        open_it(tmp_path)


def test_a_model_of_another_kind_is_not_trained_further(foreign: Path) -> None:
    folder = foreign / "inner"
    values = yaml.safe_load((folder / "config.yaml").read_text()) | {"kind": "test-foreign"}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match="'test-foreign' can transcribe but not be trained"):
        load_speech_model(folder)
