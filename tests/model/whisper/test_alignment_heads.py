"""Which heads a checkpoint is published with: what it says, or what is known of its sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr.config import parse
from asr.errors import ConfigError, ModelError
from asr.model.folder import load_model_folder
from asr.model.speech_model import SpeechModel
from asr.model.whisper.alignment_heads import PUBLISHED, alignment_heads
from asr.model.whisper.config import WhisperDecoderConfig
from tests.model.whisper.test_folder import write_folder

TINY = WhisperDecoderConfig()


@pytest.mark.parametrize(("sizes", "heads"), PUBLISHED.items())
def test_published_heads_exist(
    sizes: tuple[int, int, int], heads: tuple[tuple[int, int], ...]
) -> None:
    dim, layers, vocabulary = sizes
    values = {"dim": dim, "layers": layers, "heads": dim // 64, "alignment_heads": heads}
    config = parse(WhisperDecoderConfig, values, "test")
    assert config.alignment_heads == heads
    assert alignment_heads(config, vocabulary, None) == heads


def test_what_a_checkpoint_says_comes_first() -> None:
    assert alignment_heads(TINY, 51865, [(1, 2), (3, 4)]) == ((1, 2), (3, 4))
    assert alignment_heads(TINY, 51865, None) == PUBLISHED[384, 4, 51865]
    assert alignment_heads(TINY, 99, None) is None
    # a distilled model with the list of the model that it was made from
    assert alignment_heads(TINY, 51866, [(3, 4), (7, 0)]) is None


@pytest.mark.parametrize("format", ["ctranslate2", "hugging face"])
def test_folders_say_which_heads(format: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", format)
    file = folder / ("config.json" if format == "ctranslate2" else "generation_config.json")
    values = json.loads(file.read_text())

    def loaded() -> WhisperDecoderConfig:
        model = load_model_folder(folder).model
        assert isinstance(model, SpeechModel)
        assert isinstance(model.config.decoder, WhisperDecoderConfig)
        return model.config.decoder

    assert loaded().alignment_heads is None
    file.write_text(json.dumps(values | {"alignment_heads": [[1, 0], [0, 1]]}))
    assert loaded().alignment_heads == ((1, 0), (0, 1))
    for wrong in ([[1]], [[1, "0"]], 3, [1, 0], {"1": 0}):
        file.write_text(json.dumps(values | {"alignment_heads": wrong}))
        with pytest.raises(ModelError, match=r"alignment_heads must be a list of pairs \[layer"):
            loaded()


@pytest.mark.parametrize("heads", [[], [[0, 0], [0, 0]], [[4, 0]], [[0, 6]], [[-1, 0]]])
def test_heads_that_do_not_exist(heads: list[list[int]]) -> None:
    with pytest.raises(ConfigError, match="alignment_heads"):
        parse(WhisperDecoderConfig, {"alignment_heads": heads}, "test")
