"""The language model folder: what is saved is loaded, what is damaged is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from asr.errors import ModelError
from asr.lm import check_same_labels, load_lm_folder, save_lm_folder
from asr.lm.folder import LMFolderConfig, lm_config
from asr.text.characters import CharacterTokenizer
from asr.text.special_labels import END
from tests.lm.made import KINDS, SMALL, small

TOKENIZER = CharacterTokenizer(["a", "b", "c", "d"])


def save(folder: Path, kind: str) -> torch.nn.Module:
    lm = small(kind, 1, TOKENIZER.size).float()
    config = LMFolderConfig(
        name="tiny", vocabulary=TOKENIZER.size, lm=lm_config(SMALL[kind]), search={"lm_weight": 0.4}
    )
    save_lm_folder(folder, lm, TOKENIZER, config)
    return lm


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_loaded_to_16_bits(tmp_path: Path, kind: str):
    lm = save(tmp_path / "lm", kind)
    loaded = load_lm_folder(tmp_path / "lm")
    assert (loaded.config.lm.type, loaded.config.search) == (kind, {"lm_weight": 0.4})
    tokens = torch.tensor([[END, 3, 4, 6]])
    one, _ = lm.prime(tokens, torch.tensor([4]))
    other, _ = loaded.lm.prime(tokens, torch.tensor([4]))
    assert other.dtype == torch.float32
    torch.testing.assert_close(one, other, atol=0.05, rtol=0.01)


def test_what_is_damaged_is_named(tmp_path: Path):
    save(tmp_path / "run" / "lm", "lstm")
    folder = tmp_path / "run" / "lm"
    with pytest.raises(ModelError, match=r"no such language model folder"):
        load_lm_folder(tmp_path / "none")
    with pytest.raises(ModelError, match=r"did you mean .*run/lm\?"):
        load_lm_folder(tmp_path / "run")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="truncated or altered"):
        load_lm_folder(folder)
    weights.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_lm_folder(folder)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("format_version: 1", "format_version: 9"))
    with pytest.raises(ModelError, match="newer than this program"):
        load_lm_folder(folder)


def test_a_recogniser_is_no_language_model(tiny_model: Path):
    with pytest.raises(ModelError, match="no language model folder; train one with"):
        load_lm_folder(tiny_model)


def test_other_labels_are_refused():
    check_same_labels(TOKENIZER, CharacterTokenizer(["a", "b", "c", "d"]), "one", "other")
    with pytest.raises(ModelError, match=r"one has 7 labels, other has 6"):
        check_same_labels(TOKENIZER, CharacterTokenizer(["a", "b", "c"]), "one", "other")
    with pytest.raises(ModelError, match=r"label 5 is 'c' in one and 'x' in other"):
        check_same_labels(TOKENIZER, CharacterTokenizer(["a", "b", "x", "d"]), "one", "other")
