"""A checkpoint that is written as a Hugging Face folder opens as the same model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from asr.errors import OutputError
from asr.model.folder import load_model_folder
from tests.model.whisper.test_folder import write_folder


@pytest.mark.parametrize("format", ["ctranslate2", "hugging face"])
def test_weights_and_labels_are_the_same(
    tool: Callable[[str], ModuleType], format: str, tmp_path: Path
) -> None:
    source, folder = write_folder(tmp_path / "source", format), tmp_path / "new" / "source"
    said = source / ("config.json" if format == "ctranslate2" else "generation_config.json")
    heads = {"alignment_heads": [[1, 0], [0, 1]]}
    said.write_text(json.dumps(json.loads(said.read_text()) | heads))
    tool("whisper_to_hugging_face").write_hugging_face(source, folder)
    before, after = load_model_folder(source), load_model_folder(folder)
    weights = after.model.state_dict()
    assert weights.keys() == before.model.state_dict().keys()
    for name, tensor in before.model.state_dict().items():
        assert torch.equal(weights[name], tensor), name
    assert after.tokenizer.labels == before.tokenizer.labels
    assert after.tokenizer.prompt_fields == before.tokenizer.prompt_fields
    assert after.config.model == before.config.model
    assert after.config.model.decoder.alignment_heads == ((1, 0), (0, 1))  # type: ignore[union-attr]
    with pytest.raises(OutputError, match="exists already"):
        tool("whisper_to_hugging_face").write_hugging_face(source, folder)


def test_transformers_opens_it(tool: Callable[[str], ModuleType], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra `dev` brings it")
    source, folder = write_folder(tmp_path / "source", "ctranslate2"), tmp_path / "new"
    tool("whisper_to_hugging_face").write_hugging_face(source, folder)
    read = transformers.WhisperForConditionalGeneration.from_pretrained
    model, report = read(folder, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    settings = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    assert model.generation_config.suppress_tokens == settings["suppress_tokens"] != []
