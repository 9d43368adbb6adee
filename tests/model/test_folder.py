"""Model folders: what goes in comes out; what is damaged or unsafe is refused (D14, D15)."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
import torch
import yaml

from asr.config import parse
from asr.errors import ConfigError, ModelError, OutputError
from asr.model import ModelConfig, SpeechModel
from asr.model.folder import load_model_folder, save_model_folder
from asr.model.weights import read_weights, write_weights
from asr.text import NormalizerConfig, TokenizerConfig, train_tokenizer

VALUES = {
    "frontend": {"mels": 12},
    "encoder": {"type": "conformer", "layers": 1, "dim": 8, "heads": 2, "ff": 8, "kernel": 3,
                "subsampling": {"channels": 2}},
    "decoder": {"type": "transformer", "layers": 1, "dim": 8, "heads": 2, "ff": 8,
                "tie_embedding": True},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["abba"], TokenizerConfig(type="char"), tmp_path / "tokenizer")
    model = SpeechModel(ModelConfig.model_validate(VALUES), tokenizer.size)
    model.norm.mean.fill_(-3.25)
    target = tmp_path / "model"
    save_model_folder(
        target, model, tokenizer, name="tiny", normalizer=NormalizerConfig(), card="# tiny\n",
        search={"beam": 4}, facts={"hours": 0.1},
    )  # fmt: skip
    return target


def test_what_goes_in_comes_out(folder: Path) -> None:
    loaded = load_model_folder(folder)
    assert loaded.config.name == "tiny"
    assert loaded.config.search == {"beam": 4}
    assert loaded.tokenizer.decode(loaded.tokenizer.encode("abba")) == "abba"
    assert not loaded.model.training
    assert loaded.model.norm.mean[0] == -3.25
    samples, lengths = torch.randn(1, 4000) * 0.1, torch.tensor([4000])
    torch.manual_seed(0)
    original = SpeechModel(ModelConfig.model_validate(VALUES), loaded.tokenizer.size).eval()
    original.norm.mean.fill_(-3.25)
    with torch.inference_mode():
        expected = original.encode(*original.features(samples, lengths))[0]
        memory = loaded.model.encode(*loaded.model.features(samples, lengths))[0]
    assert torch.equal(memory, expected)


def test_everyone_may_read_every_file(folder: Path) -> None:
    for path in (folder, *folder.iterdir()):
        assert path.stat().st_mode & 0o044 == 0o044, path


def test_half_precision_is_half_the_size_and_loads_as_float32(folder: Path) -> None:
    loaded = load_model_folder(folder)
    half = folder.with_name("half")
    save_model_folder(
        half, loaded.model, loaded.tokenizer, name="half", normalizer=NormalizerConfig(),
        card="", dtype="float16",
    )  # fmt: skip
    sizes = [(f / "model.safetensors").stat().st_size for f in (half, folder)]
    assert sizes[0] < 0.75 * sizes[1]  # the header is most of so small a file
    again = load_model_folder(half).model
    assert all(tensor.dtype == torch.float32 for tensor in again.state_dict().values())


def test_8_bits_load_as_float32_and_compute_almost_the_same(folder: Path) -> None:
    loaded = load_model_folder(folder)
    small = folder.with_name("small")
    save_model_folder(
        small, loaded.model, loaded.tokenizer, name="small", normalizer=NormalizerConfig(),
        card="", dtype="int8",
    )  # fmt: skip
    again = load_model_folder(small, "stored").model
    assert all(tensor.dtype == torch.float32 for tensor in again.state_dict().values())
    assert again.norm.mean[0] == -3.25
    samples, lengths = torch.randn(1, 4000) * 0.1, torch.tensor([4000])
    with torch.inference_mode():
        memories = [m.encode(*m.features(samples, lengths))[0] for m in (again, loaded.model)]
    # memory is normed to about 1; the error of a weight is up to 1/254 of its row's largest
    assert 0 < (memories[0] - memories[1]).abs().max() < 0.1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_may_stay_in_the_type_that_they_are_stored_in(folder: Path, dtype: str) -> None:
    loaded = load_model_folder(folder)
    half = folder.with_name("half")
    save_model_folder(
        half, loaded.model, loaded.tokenizer, name="half", normalizer=NormalizerConfig(),
        card="", dtype=dtype,
    )  # fmt: skip
    expected, stored = load_model_folder(half).model, load_model_folder(half, "stored").model
    for name, tensor in stored.state_dict().items():  # what normalises features is never rounded
        short = torch.float32 if name.startswith("norm.") else getattr(torch, dtype)
        assert tensor.dtype == short, name
    assert stored.decoder.to_logits.weight is stored.decoder.embedding.weight  # tied as before
    samples, lengths = torch.randn(1, 8000) * 0.1, torch.tensor([8000])
    tokens = torch.tensor([[2, 3, 3]])
    results = []
    for model in (expected, stored):
        with torch.inference_mode():
            memory, counts = model.encode(*model.features(samples, lengths))
            state = model.decoder.initial_state(memory, counts)
            log_probs, _ = model.decoder.step(torch.tensor([2]), state)
            logits, ctc = model.decoder(tokens, memory, counts), model.ctc_log_probs(memory)
        results.append((memory.float(), ctc, log_probs, logits.float()))
    assert results[1][1].dtype == results[1][2].dtype == torch.float32
    for whole, short in zip(*results, strict=True):
        # bfloat16 keeps 8 bits, so an activation of 1 is off by 0.004, through a dozen sums
        torch.testing.assert_close(short, whole, rtol=0, atol=0.1)


def test_a_type_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="'float32' or 'stored', got 'int8'"):
        load_model_folder(folder, "int8")


def stored_as(folder: Path, dtype: torch.dtype) -> None:
    """Rewrites a tensor of the folder in another type."""
    weights = read_weights(folder)
    write_weights(folder, weights | {"ctc.bias": weights["ctc.bias"].to(dtype)})
    values = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(values | {"files": {}}))


@pytest.mark.parametrize("dtype", [torch.int16, torch.int64, torch.bool, torch.float8_e4m3fn])
def test_a_type_that_nothing_computes_in_is_not_kept(folder: Path, dtype: torch.dtype) -> None:
    stored_as(folder, dtype)
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(ModelError, match=rf"with dtype='float32': ctc.bias is {name}$"):
        load_model_folder(folder, "stored")
    assert load_model_folder(folder).model.ctc.bias.dtype == torch.float32


def test_float64_becomes_float32(folder: Path) -> None:
    stored_as(folder, torch.float64)
    bias = load_model_folder(folder, "stored").model.ctc.bias
    assert bias.dtype == torch.float32
    assert torch.equal(bias, load_model_folder(folder).model.ctc.bias)


def test_an_absurd_vocabulary_allocates_nothing(folder: Path) -> None:
    """A table for so many labels would take 32 TB."""
    values = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(values | {"vocabulary": 10**12}))
    with pytest.raises(ModelError, match=r"tokenizer has \d+ tokens, .* with 1000000000000"):
        load_model_folder(folder)


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load_model_folder(folder)


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors", "tokenizer.json"])
def test_a_truncated_file_is_named(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load_model_folder(folder)


def test_one_altered_bit_is_found(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match="altered"):
        load_model_folder(folder)


def test_a_newer_format_asks_for_an_upgrade(folder: Path) -> None:
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values |= {"format_version": 99, "something_new": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match="format version 99 is newer"):
        load_model_folder(folder)


def test_weights_that_do_not_fit_are_all_named(folder: Path) -> None:
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values["model"]["encoder"]["ff"] = 16
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError) as caught:
        load_model_folder(folder)
    assert str(caught.value).count("the model wants") == 6  # widen's and narrow's, before and after


class Trap:
    """Touches a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_pickle_is_refused_and_not_run(tmp_path: Path, as_folder: bool) -> None:
    trap = tmp_path / "model.pt"
    trap.write_bytes(pickle.dumps(Trap(tmp_path / "executed")))
    with pytest.raises(ModelError, match="pickle"):
        load_model_folder(tmp_path if as_folder else trap)
    assert not (tmp_path / "executed").exists()


def test_a_pickle_in_the_place_of_the_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(pickle.dumps(Trap(tmp_path / "executed")))
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values["files"] = {}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match="safetensors"):
        load_model_folder(folder)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("what", ["nothing", "empty"])
def test_what_is_no_model_folder_is_said_to_be_none(tmp_path: Path, what: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no such model folder|not a model folder"):
        load_model_folder(tmp_path / what)


def test_saving_again_replaces_the_whole_folder(folder: Path) -> None:
    loaded = load_model_folder(folder)
    (folder / "left over").write_text("old")
    save_model_folder(
        folder, loaded.model, loaded.tokenizer, name="second", normalizer=NormalizerConfig(),
        card="",
    )  # fmt: skip
    assert load_model_folder(folder).config.name == "second"
    assert not (folder / "left over").exists()
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_a_failed_save_leaves_the_old_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model_folder(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("asr.model.folder.write_weights", full)
    with pytest.raises(OutputError, match="No space left"):
        save_model_folder(
            folder, loaded.model, loaded.tokenizer, name="second", normalizer=NormalizerConfig(),
            card="",
        )  # fmt: skip
    assert load_model_folder(folder).config.name == "tiny"
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("folders._digest", "model.safetensors"), ("folders._why_no_model", "")],
)
def test_files_that_may_not_be_read_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    def refuse(_: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    if not said:
        (folder / "config.yaml").unlink()
    monkeypatch.setattr(f"asr.{name}", refuse)
    with pytest.raises(ModelError, match=rf"{said}: cannot be read \(permission denied\);"):
        load_model_folder(folder)


def test_unknown_names_are_met_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'conformer'"):
        parse(ModelConfig, {"encoder": {"type": "confomer"}}, "recipe.yaml")
    with pytest.raises(
        ConfigError, match=r"recipe.yaml: unknown key 'encoder.layrs', did you mean 'layers'"
    ):
        parse(ModelConfig, {"encoder": {"type": "conformer", "layrs": 3}}, "recipe.yaml")
    with pytest.raises(ConfigError, match="counted 1 to 12"):
        parse(ModelConfig, {"intermediate_ctc": [12]}, "recipe.yaml")
