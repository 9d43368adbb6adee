"""Whisper's weights in every format give one set of tensors; damaged files one clear error."""

from __future__ import annotations

import json
import pickle
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.model.whisper.checkpoint import WhisperCheckpoint
from asr.model.whisper.decoder import WhisperDecoder
from asr.model.whisper.encoder import WhisperEncoder
from asr.model.whisper.files import read_ctranslate2, read_hugging_face, read_openai
from tests.model.whisper import checkpoints
from tests.model.whisper.checkpoints import (
    ctranslate2_tensors,
    example_weights,
    hugging_face_tensors,
    model_bin,
    openai_tensors,
    quantised,
    write_ctranslate2,
    write_hugging_face,
    write_openai,
)


def assert_is_example(checkpoint: WhisperCheckpoint, exact: bool = True) -> None:
    assert checkpoint.mels == checkpoints.MELS
    assert checkpoint.vocabulary == checkpoints.VOCABULARY
    for half, sizes in (("encoder", checkpoint.encoder), ("decoder", checkpoint.decoder)):
        assert sizes.layers == checkpoints.LAYERS[half]
        assert (sizes.dim, sizes.heads, sizes.ff) == (8, 2, 12)
    assert checkpoint.encoder.positions == checkpoints.FRAMES
    assert checkpoint.decoder.positions == checkpoints.LABELS
    expected = example_weights()
    assert checkpoint.weights.keys() == expected.keys()
    for name, tensor in checkpoint.weights.items():
        if exact:
            assert torch.equal(tensor.float(), expected[name].to(tensor.dtype).float()), name
        else:  # 8 bits: half a step of the greatest of a row
            torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0.5 / 127)


def test_the_modules_have_these_tensors() -> None:
    checkpoint = read_example_modules()
    assert checkpoint == {name: tuple(shape) for name, shape in checkpoints.shapes().items()}


def read_example_modules() -> dict[str, tuple[int, ...]]:
    from asr.model.whisper.config import WhisperDecoderConfig, WhisperEncoderConfig

    sizes = {"dim": 8, "heads": 2, "ff": 12}
    encoder = WhisperEncoder(WhisperEncoderConfig(layers=1, positions=10, **sizes), 8, 0.01)
    decoder = WhisperDecoder(WhisperDecoderConfig(layers=2, positions=6, **sizes), 13, 8)
    modules = {"encoder": encoder, "decoder": decoder}
    return {
        f"{half}.{name}": tuple(tensor.shape)
        for half, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_ctranslate2(version: int, tmp_path: Path) -> None:
    content = model_bin(ctranslate2_tensors(example_weights()), version)
    assert_is_example(read_ctranslate2(write_ctranslate2(tmp_path, content)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_ctranslate2_keeps_the_stored_type(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {n: t.to(dtype) for n, t in ctranslate2_tensors(example_weights()).items()}
    checkpoint = read_ctranslate2(write_ctranslate2(tmp_path, model_bin(tensors)))
    assert {tensor.dtype for tensor in checkpoint.weights.values()} == {dtype}
    assert_is_example(checkpoint)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16])
@pytest.mark.parametrize("others", [torch.float32, torch.float16])
def test_ctranslate2_quantised(dtype: torch.dtype, others: torch.dtype, tmp_path: Path) -> None:
    tensors = {
        name: tensor.to(others) if tensor.dtype == torch.float32 and "scale" not in name else tensor
        for name, tensor in quantised(ctranslate2_tensors(example_weights()), dtype).items()
    }
    checkpoint = read_ctranslate2(write_ctranslate2(tmp_path, model_bin(tensors)))
    assert {tensor.dtype for tensor in checkpoint.weights.values()} == {torch.float32}
    assert_is_example(checkpoint, exact=False)


@pytest.mark.parametrize("pickle", [False, True])
@pytest.mark.parametrize("shards", [0, 3])
def test_hugging_face(shards: int, pickle: bool, tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, shards=shards, pickle=pickle)
    assert_is_example(read_hugging_face(folder))


def test_hugging_face_keeps_the_stored_type(tmp_path: Path) -> None:
    tensors = {n: t.half() for n, t in hugging_face_tensors(example_weights()).items()}
    checkpoint = read_hugging_face(write_hugging_face(tmp_path, tensors))
    assert {tensor.dtype for tensor in checkpoint.weights.values()} == {torch.float16}


def test_hugging_face_without_the_prefix_and_with_the_tied_projection(tmp_path: Path) -> None:
    tensors = hugging_face_tensors(example_weights())
    tensors["proj_out.weight"] = tensors["model.decoder.embed_tokens.weight"].clone()
    assert_is_example(read_hugging_face(write_hugging_face(tmp_path / "a", tensors)))
    bare = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    assert_is_example(read_hugging_face(write_hugging_face(tmp_path / "b", bare)))
    tensors["proj_out.weight"][0] += 1
    with pytest.raises(ModelError, match=r"proj_out.weight differs"):
        read_hugging_face(write_hugging_face(tmp_path / "c", tensors))


def test_openai(tmp_path: Path) -> None:
    assert_is_example(read_openai(write_openai(tmp_path / "tiny.pt")))


def test_types_that_are_mixed_become_one_that_holds_all(tmp_path: Path) -> None:
    tensors = hugging_face_tensors(example_weights())
    mixed = {n: t if "norm" in n else t.half() for n, t in tensors.items()}
    checkpoint = read_hugging_face(write_hugging_face(tmp_path, mixed))
    assert {tensor.dtype for tensor in checkpoint.weights.values()} == {torch.float32}


def readers(tmp_path: Path) -> dict:  # type: ignore[type-arg]
    """Of each format: the tensors by its names, and what writes some and reads them."""
    weights = example_weights()
    return {
        "ctranslate2": (
            ctranslate2_tensors(weights),
            lambda some: read_ctranslate2(write_ctranslate2(tmp_path / "c", model_bin(some))),
        ),
        "hugging face": (
            hugging_face_tensors(weights),
            lambda some: read_hugging_face(write_hugging_face(tmp_path / "h", some)),
        ),
        "openai": (
            openai_tensors(weights),
            lambda some: read_openai(write_openai(tmp_path / "o.pt", some)),
        ),
    }


@pytest.mark.parametrize("format", ["ctranslate2", "hugging face", "openai"])
def test_every_tensor_is_accounted_for(format: str, tmp_path: Path) -> None:
    tensors, read = readers(tmp_path)[format]
    for name in tensors:
        some = {other: tensor for other, tensor in tensors.items() if other != name}
        if format == "ctranslate2" and name == "decoder/embeddings/weight":
            message = "alias"  # of a variable that is not there
        else:
            message = f"{name.removeprefix('model.')} is missing"
        with pytest.raises(ModelError, match=message):
            read(some)
    with pytest.raises(ModelError, match="1 tensors are no part of a Whisper model: extra"):
        read({**tensors, "extra": torch.zeros(2, 2)})


@pytest.mark.parametrize("format", ["ctranslate2", "hugging face", "openai"])
def test_every_shape_is_checked(format: str, tmp_path: Path) -> None:
    tensors, read = readers(tmp_path)[format]
    for number, (name, tensor) in enumerate(tensors.items()):
        wrong = (tensor[..., :-1].clone(), tensor[None].clone(), tensor[:0], tensor.sum())
        with pytest.raises(ModelError):
            read({**tensors, name: wrong[number % 4]})


def test_tensors_of_whole_numbers(tmp_path: Path) -> None:
    tensors = hugging_face_tensors(example_weights())
    tensors["model.encoder.conv1.bias"] = torch.zeros(8, dtype=torch.int64)
    with pytest.raises(ModelError, match="floating-point numbers should be"):
        read_hugging_face(write_hugging_face(tmp_path, tensors))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; copy it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "only a pointer of Git LFS"),
        (b"\6\0\0", "damaged or cut off"),
        (struct.pack("<I", 7), "newer than this program understands"),
        (b"PK\3\4" + bytes(100), "damaged, or not a CTranslate2 model"),
        (model_bin({}, spec="TransformerSpec"), "another kind"),
        (model_bin(ctranslate2_tensors(example_weights())) + b"\0", "1 bytes too many"),
        (model_bin({"w": torch.ones(2, 2, dtype=torch.int8)}, aliases=()), "no scale that fits"),
        (
            model_bin({"w": torch.ones(2, 2, dtype=torch.int8), "w_scale": torch.zeros(2)}, 6),
            "unknown alias",
        ),
    ],
)  # fmt: skip
def test_files_that_are_no_model_bin(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        read_ctranslate2(write_ctranslate2(tmp_path, content))


def test_sizes_that_lie_allocate_nothing(tmp_path: Path) -> None:
    """Four gigabytes that the file has not: refused before there is room for them."""
    head = struct.pack("<IH", 6, 12) + b"WhisperSpec\0" + struct.pack("<II", 3, 1)
    name = struct.pack("<H", 2) + b"w\0" + struct.pack("<B2I", 2, 1 << 15, 1 << 15)
    content = head + name + struct.pack("<BI", 0, 1 << 32 - 1) + bytes(50)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"cut off|its shape is"):
            read_ctranslate2(write_ctranslate2(tmp_path, content))
        exact = head + name + struct.pack("<BI", 1, 1 << 30) + bytes(50)
        with pytest.raises(ModelError, match="1073741824 bytes should follow where 50 are left"):
            read_ctranslate2(write_ctranslate2(tmp_path, exact))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_files_give_one_clear_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut off anywhere, or with other bytes anywhere: a ModelError, or weights of these sizes."""
    folder = tmp_path_factory.getbasetemp() / "damaged"
    format = data.draw(st.sampled_from(["ctranslate2", "hugging face", "openai", "pickle"]))
    if format == "ctranslate2":
        path, read = write_ctranslate2(folder) / "model.bin", lambda: read_ctranslate2(folder)
    elif format == "openai":
        path = write_openai(folder.parent / "damaged.pt")
        read = lambda: read_openai(path)  # noqa: E731
    else:
        for old in folder.glob("*"):
            old.unlink()
        write_hugging_face(folder, pickle=format == "pickle")
        path = folder / ("pytorch_model.bin" if format == "pickle" else "model.safetensors")
        read = lambda: read_hugging_face(folder)  # noqa: E731
    content = bytearray(path.read_bytes())
    if cut := data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            # mostly in the header, and where a zip file has its own
            places = st.integers(0, 3000) | st.integers(len(content) - 3000, len(content) - 1)
            content[min(data.draw(places), len(content) - 1)] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        checkpoint = read()
    except ModelError as error:
        message = str(error)
    else:
        message = f"{path}: opened"
        assert not cut
        assert sum(tensor.numel() for tensor in checkpoint.weights.values()) < 10_000
    assert message.startswith((str(path), str(folder)))
    assert "\n" not in message


def test_a_pickle_that_runs_something_is_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple:  # type: ignore[type-arg]
            return (print, ("ran",))

    torch.save({"dims": Harm(), "model_state_dict": {}}, tmp_path / "harm.pt")
    with pytest.raises(ModelError, match="cannot be read as weights of torch"):
        read_openai(tmp_path / "harm.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"dims": {}}))
    with pytest.raises(ModelError, match=r"a pickle in the format of torch before 1\.6"):
        read_openai(tmp_path / "old.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; copy it again"),
        (b"hello", "no file of torch.save, or damaged; copy it again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "only a pointer of Git LFS"),
        (b"PK\3\4" + bytes(100), "damaged or cut off: its end is missing; copy it again"),
    ],
)
def test_files_that_are_no_file_of_torch(content: bytes, message: str, tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path / "folder", pickle=True)
    for path in (tmp_path / "tiny.pt", folder / "pytorch_model.bin"):
        path.write_bytes(content)
    with pytest.raises(ModelError, match=f"tiny.pt: {message}"):
        read_openai(tmp_path / "tiny.pt")
    with pytest.raises(ModelError, match=f"pytorch_model.bin: {message}"):
        read_hugging_face(folder)


def test_safetensors_that_are_cut_off(tmp_path: Path) -> None:
    path = write_hugging_face(tmp_path) / "model.safetensors"
    content = path.read_bytes()
    for part, message in ((content[:-10], "damaged or cut off"), (b"", "is empty")):
        path.write_bytes(part)
        with pytest.raises(ModelError, match=rf"model\.safetensors: {message}.*copy it again"):
            read_hugging_face(tmp_path)


def test_tensors_larger_than_the_file(tmp_path: Path) -> None:
    """A storage whose size in the pickle is a lie."""
    path = write_openai(tmp_path / "tiny.pt")
    content = path.read_bytes()
    place = content.index(b"cpu")  # behind it in the pickle: how many numbers the storage has
    size = content.index(b"K\xc0", place)  # 192 numbers, the first convolution
    path.write_bytes(content[: size + 1] + b"\xff" + content[size + 2 :])
    try:
        checkpoint = read_openai(path)
    except ModelError:
        return
    assert_is_example(checkpoint)


def test_indexes_that_do_not_fit(tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, shards=2)
    index = folder / "model.safetensors.index.json"
    values = json.loads(index.read_text())
    name = next(iter(values["weight_map"]))
    for change, message in [
        ({name: "../model-0.safetensors"}, "is not the name of a file beside it"),
        ({name: "model-1.safetensors"}, "is not as model.safetensors.index.json has it"),
        (dict.fromkeys(values["weight_map"], "model-9.safetensors"), "model-9.safetensors"),
        ({name: 3}, "'weight_map' is missing or damaged"),
    ]:
        changed = {"weight_map": {**values["weight_map"], **change}}
        index.write_text(json.dumps(changed))
        with pytest.raises(ModelError, match=message):
            read_hugging_face(folder)
    index.write_text("[" * 100_000)
    with pytest.raises(ModelError, match="not JSON"):
        read_hugging_face(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "wav2vec2"}, "model_type is 'wav2vec2', not 'whisper'"),
        ({"encoder_attention_heads": 3}, "dim 8 must be a multiple of heads 3"),
        ({"decoder_attention_heads": "2"}, "must be a number of at least 1, got '2'"),
        ({"scale_embedding": True}, "not supported"),
        ({"activation_function": "relu"}, "not supported"),
    ],
)
def test_configurations_that_do_not_fit(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = write_hugging_face(tmp_path)
    (folder / "config.json").write_text(json.dumps(checkpoints.CONFIG | change))
    with pytest.raises(ModelError, match=message):
        read_hugging_face(folder)


def test_heads_are_as_wide_as_in_every_whisper(tmp_path: Path) -> None:
    """Any number of heads that divides the width fits the shapes of the weights."""
    sizes = {checkpoints.DIM: 384, 2 * checkpoints.DIM: 2 * 384}
    weights = {
        name: torch.zeros([sizes.get(size, size) for size in shape])
        for name, shape in checkpoints.shapes().items()
    }
    folder = write_hugging_face(tmp_path, hugging_face_tensors(weights))

    def read(heads: int) -> WhisperCheckpoint:
        counts = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), heads)
        (folder / "config.json").write_text(json.dumps(checkpoints.CONFIG | counts))
        return read_hugging_face(folder)

    assert read(6).decoder.heads == 6
    with pytest.raises(ModelError, match=r"encoder is 384 wide .* have 8 heads; .* makes 6:"):
        read(8)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(checkpoints.CONFIG))
    with pytest.raises(ModelError, match=r"model.safetensors or pytorch_model.bin.* is missing"):
        read_hugging_face(tmp_path)
