"""Weights in 8 bits: half a step of a row's scale is the largest error; damage is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from asr.errors import ModelError
from asr.model import ModelConfig, SpeechModel
from asr.model.folder import load_model_folder, save_model_folder
from asr.model.int8 import SCALES, dequantised, quantised
from asr.text import NormalizerConfig, TokenizerConfig, train_tokenizer

VALUES = {
    "frontend": {"mels": 12},
    "encoder": {"type": "transformer", "layers": 1, "dim": 32, "heads": 2, "ff": 64,
                "subsampling": {"channels": 2}},
    "decoder": {"type": "transformer", "layers": 1, "dim": 32, "heads": 2, "ff": 64},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["abba"], TokenizerConfig(type="char"), tmp_path / "tokenizer")
    model = SpeechModel(ModelConfig.model_validate(VALUES), tokenizer.size)
    model.norm.mean.fill_(-3.25)
    for dtype in ("float32", "int8"):
        save_model_folder(
            tmp_path / dtype, model, tokenizer, name="tiny", normalizer=NormalizerConfig(),
            card="", dtype=dtype,
        )  # fmt: skip
    return tmp_path


def test_an_error_is_at_most_half_a_scale_of_the_row() -> None:
    torch.manual_seed(0)
    rows = torch.randn(5, 7, 3) * torch.tensor([1e-6, 1e-3, 1.0, 1e3, 0.0])[:, None, None]
    stored = quantised({"w": rows, "bias": rows[2, 0]})
    again = dequantised(stored, Path("f"))
    assert stored["w"].dtype == torch.int8
    assert torch.equal(again["bias"], rows[2, 0])
    # half a scale, and a little for the rounding of float32
    bound = stored["w" + SCALES][:, None, None] * 0.5001
    assert bool(((again["w"] - rows).abs() <= bound).all())
    assert torch.equal(again["w"][4], rows[4])


def test_a_folder_in_8_bits_is_smaller_and_computes_almost_the_same(folder: Path) -> None:
    sizes = [(folder / d / "model.safetensors").stat().st_size for d in ("int8", "float32")]
    assert sizes[0] < 0.5 * sizes[1]  # names, scales and vectors are much of so small a model
    small, large = (load_model_folder(folder / d).model for d in ("int8", "float32"))
    assert small.norm.mean[0] == -3.25
    assert all(tensor.dtype == torch.float32 for tensor in small.parameters())
    samples, lengths = torch.randn(1, 4000) * 0.1, torch.tensor([4000])
    with torch.inference_mode():
        memories = [m.encode(*m.features(samples, lengths))[0] for m in (small, large)]
    # memory is normed to about 1; 8 bits have errors of up to 1/254 of a row's largest weight
    assert (memories[0] - memories[1]).abs().max() < 0.1
    assert (memories[0] - memories[1]).abs().max() > 0


@pytest.mark.parametrize("damage", ["missing", "short", "float", "unscaled"])
def test_scales_that_do_not_fit_are_refused(folder: Path, damage: str) -> None:
    stored = load_file(folder / "int8" / "model.safetensors")
    name = next(name for name in stored if name.endswith(SCALES)).removesuffix(SCALES)
    if damage == "missing":
        del stored[name]
    elif damage == "short":
        stored[name + SCALES] = stored[name + SCALES][1:].clone()
    elif damage == "unscaled":
        del stored[name + SCALES]
    else:
        stored[name] = stored[name].float()
    save_file(stored, folder / "damaged.safetensors")
    with pytest.raises(ModelError, match=r"damaged\.safetensors.*(does not fit|has no scales)"):
        dequantised(load_file(folder / "damaged.safetensors"), folder / "damaged.safetensors")
