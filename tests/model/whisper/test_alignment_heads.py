"""Which heads labels are aligned by: what checkpoints say, what is published, and the default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from asr.config import parse
from asr.errors import ConfigError, ModelError
from asr.model.folder import load_model_folder
from asr.model.speech_model import SpeechModel
from asr.model.whisper.alignment_heads import PUBLISHED, alignment_heads
from asr.model.whisper.config import WhisperDecoderConfig
from asr.model.whisper.decoder import WhisperDecoder
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


@pytest.mark.parametrize("heads", [None, ((0, 1),), ((2, 1), (0, 0), (2, 0))])
def test_weights_are_those_of_the_heads(heads: tuple[tuple[int, int], ...] | None) -> None:
    torch.manual_seed(3)
    sizes = {"layers": 3, "dim": 8, "heads": 2, "ff": 8, "positions": 7}
    config = WhisperDecoderConfig.model_validate({**sizes, "alignment_heads": heads})
    decoder = WhisperDecoder(config, 11, 8).eval()
    tokens, memory, lengths = torch.randint(11, (2, 5)), torch.randn(2, 9, 8), torch.tensor([9, 4])
    with torch.inference_mode():
        logits, weights = decoder.forward_attended(tokens, memory, lengths)
        torch.testing.assert_close(logits, decoder(tokens, memory, lengths), rtol=0, atol=1e-5)
        every = decoder.attention(tokens, memory, lengths)
    expected = sorted(heads or [(layer, head) for layer in (1, 2) for head in (0, 1)])
    chosen = torch.stack([every[:, layer, head] for layer, head in expected], dim=1)
    if heads == ((2, 1), (0, 0), (2, 0)):  # within a layer they come as they are listed
        chosen = chosen[:, [0, 2, 1]]
    torch.testing.assert_close(weights, chosen, rtol=0, atol=1e-6)
