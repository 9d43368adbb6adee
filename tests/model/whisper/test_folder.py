"""Whisper checkpoints in their own formats open as models, and transcribe."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.errors import ModelError
from asr.folders import check_model_folder
from asr.frontend.whisper import WhisperConfig, WhisperLogMel
from asr.model.folder import load_model_folder, load_speech_model
from asr.model.speech_model import SpeechModel
from asr.model.whisper.folder import TAIL
from asr.search import AttentionScorer
from asr.transcribe.recognizer import Recognizer, load_model
from tests.model.whisper import checkpoints
from tests.model.whisper.checkpoints import (
    ctranslate2_tensors,
    example_weights,
    hugging_face_tensors,
    model_bin,
    openai_tensors,
    write_ctranslate2,
    write_hugging_face,
    write_openai,
)
from tests.text.test_whisper import END, NO_STAMPS, SIZE, START, content

SECONDS_30 = 1500


def weights(vocabulary: int = SIZE, frames: int = SECONDS_30) -> dict[str, torch.Tensor]:
    """The small model with labels for the small tokenizer, and positions for 30 s."""
    tensors = example_weights()
    generator = torch.Generator().manual_seed(4)  # sines repeat, and equal scores are ties
    for name, rows in (("decoder.embedding.weight", vocabulary), ("encoder.positions", frames)):
        tensors[name] = torch.randn(rows, checkpoints.DIM, generator=generator)
    return tensors


def write_folder(folder: Path, format: str, tokenizer: bool = True) -> Path:
    """A small checkpoint in some format; returns what -m names."""
    folder.mkdir(exist_ok=True)
    if tokenizer:
        (folder / "tokenizer.json").write_text(content(), encoding="utf-8")
    if format == "openai":
        return write_openai(folder / "small.pt", openai_tensors(weights()))
    suppress, first = [5, START, NO_STAMPS], [32, END]
    if format == "hugging face":
        values = {"suppress_tokens": suppress, "begin_suppress_tokens": first}
        (folder / "generation_config.json").write_text(
            json.dumps(values | {"is_multilingual": True})
        )
        return write_hugging_face(folder, hugging_face_tensors(weights()))
    values = {"suppress_ids": suppress, "suppress_ids_begin": first}
    write_ctranslate2(folder, model_bin(ctranslate2_tensors(weights())))
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("format", ["ctranslate2", "hugging face"])
def test_folders(format: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "small", format)
    check_model_folder(folder)
    loaded = load_model_folder(folder)
    assert (loaded.config.kind, loaded.config.name) == ("whisper", "small")
    labels = loaded.tokenizer.labels
    assert labels.never_first == (32, END)
    assert 5 in labels.never
    if format == "hugging face":  # it says that it is multilingual: English then
        assert loaded.tokenizer.labels.start[1:3] == (START + 1, START + 5)
    else:
        assert loaded.tokenizer.labels.start == (START, NO_STAMPS)
    for name, tensor in weights().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
    with pytest.raises(ModelError, match="a model in another format"):
        load_speech_model(folder)


def test_a_file_of_openai(tmp_path: Path) -> None:
    path = write_folder(tmp_path, "openai")
    check_model_folder(path)
    loaded = load_model_folder(path)
    assert loaded.config.name == "small"
    assert loaded.tokenizer.labels.never_first == (32, END)
    assert ord("#") in loaded.tokenizer.labels.never
    assert ord("a") not in loaded.tokenizer.labels.never


def test_weights_may_keep_their_stored_type(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "ctranslate2")
    halves = {name: t.half() for name, t in ctranslate2_tensors(weights()).items()}
    write_ctranslate2(folder, model_bin(halves))
    model = load_model_folder(folder, "stored").model
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float16}
    assert {t.dtype for t in load_model_folder(folder).model.parameters()} == {torch.float32}


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a", "ctranslate2", tokenizer=False)
    with pytest.raises(ModelError, match=r"tokenizer.json: is missing; copy tokenizer.json"):
        load_model_folder(path)
    (path / "tokenizer.json").write_text(content()[:-2])
    with pytest.raises(ModelError, match=r"tokenizer.json: not a byte-level BPE tokenizer"):
        load_model_folder(path)
    (path / "tokenizer.json").write_text(content())
    (path / "config.json").write_text(json.dumps({"suppress_ids": ["a"]}))
    with pytest.raises(ModelError, match=r"config.json: suppress_ids must be a list of label ids"):
        load_model_folder(path)
    (path / "config.json").write_text(json.dumps({"is_multilingual": "yes"}))
    with pytest.raises(ModelError, match=r"config.json: is_multilingual must be true or false"):
        load_model_folder(path)
    other = tmp_path / "b"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="model_type is 'bert', not 'whisper'"):
        load_model_folder(other)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ModelError, match="pickle"):
        load_model_folder(tmp_path / "c")
    write_folder(tmp_path / "d", "hugging face")
    write_ctranslate2(tmp_path / "d")
    with pytest.raises(ModelError, match=r"holds two models, model.bin .* and model.safetensors"):
        load_model_folder(tmp_path / "d")


@pytest.mark.parametrize(
    ("format", "file", "content", "message"),
    [
        ("hugging face", "config.json", None, "config.json: is missing; copy it from the same"),
        ("hugging face", "config.json", b"", "config.json: not JSON, or damaged; copy it again"),
        ("hugging face", "config.json", b'{"model_t', "config.json: not JSON, or damaged"),
        ("hugging face", "config.json", b"{}", "config.json: names no 'model_type', as Hugging"),
        ("hugging face", "model.safetensors", None, "no weights: model.safetensors or pytorch_m"),
        ("ctranslate2", "config.json", b"{", "config.json: not JSON, or damaged; copy it again"),
        ("ctranslate2", "model.bin", None, "config.json: names no 'model_type', .* no model.bin"),
        ("ctranslate2", "model.bin", b"", "model.bin: is empty; copy it again"),
        ("ctranslate2", "model.bin", b"a" * 999, "model.bin: damaged, or not a CTranslate2 model"),
        ("openai", "small.pt", b"", "small.pt: is empty; copy it again"),
        ("openai", "small.pt", b"hello", "small.pt: no file of torch.save, or damaged"),
    ],
)
def test_damaged_checkpoints_are_met_as_what_they_look_like(
    format: str, file: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = write_folder(tmp_path / "model", format)
    damaged = tmp_path / "model" / file
    damaged.unlink() if content is None else damaged.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_model_folder(path)


def test_a_path_beside_the_model_is_met_with_the_right_one(tmp_path: Path) -> None:
    file = write_folder(tmp_path / "a", "openai")
    with pytest.raises(ModelError, match=f"is named itself: -m {file}$"):
        check_model_folder(file.parent)
    folder = write_folder(tmp_path / "b", "hugging face")
    with pytest.raises(ModelError, match=f"name the folder that it is in: {folder}$"):
        check_model_folder(folder / "model.safetensors")
    for name in ("config.json", "generation_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match=r"config.yaml is missing, or config.json if it is a Hug"):
        check_model_folder(folder)


def test_utterances_are_encoded_with_silence_of_their_own(tmp_path: Path) -> None:
    model = load_model_folder(write_folder(tmp_path, "ctranslate2")).model
    samples = torch.sin(torch.arange(3 * 16000) * 0.05).view(3, -1)
    lengths = torch.tensor([16000, 9000, 0])
    with torch.inference_mode():
        features, frames = model.features(samples, lengths)
        assert frames.tolist() == [100, 56, 0]
        memory, counts = model.encode(features, frames)
        assert counts.tolist() == [50 + TAIL, 28 + TAIL, 0]
        alone, _ = model.encode(*model.features(samples[1:2, :9000], lengths[1:2]))
        # what digital silence has as features is encoded behind those of the sound
        longer = 56 + 2 * TAIL
        silence = float(features[1, :56].max()) - 2.0
        zeros = torch.nn.functional.pad(
            features[1:2, :56], (0, 0, 0, longer - 56), value=max(silence, -1.5)
        )
        model.encoder.tail = 0
        expected, _ = model.encoder(zeros, torch.tensor([longer]))
    torch.testing.assert_close(memory[1:2, : counts[1]], alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(alone, expected, rtol=0, atol=1e-5)


def test_silence_ends_where_the_window_ends(tmp_path: Path) -> None:
    encoder = load_model_folder(write_folder(tmp_path, "ctranslate2")).model.encoder
    lengths = torch.tensor([1, 2 * SECONDS_30 - 101, 2 * SECONDS_30 - 1, 2 * SECONDS_30])
    features = torch.zeros(4, 2 * SECONDS_30, checkpoints.MELS)
    with torch.inference_mode():
        memory, counts = encoder(features, lengths)
    assert counts.tolist() == [1 + TAIL, SECONDS_30, SECONDS_30, SECONDS_30]
    assert memory.shape[1] == SECONDS_30


def test_the_first_label(tmp_path: Path) -> None:
    """The labels that no text begins with have probability 0 there, and only there."""
    loaded = load_model_folder(write_folder(tmp_path, "ctranslate2"))
    assert isinstance(loaded.model, SpeechModel)
    assert loaded.model.decoder is not None
    scorer = AttentionScorer(loaded.model.decoder, loaded.tokenizer.labels)
    memory, lengths = torch.randn(2, 5, checkpoints.DIM), torch.tensor([5, 5])
    with torch.inference_mode():
        state = scorer.start(memory, lengths)
        scores = scorer.score(state, None)
        assert scores[:, [32, END]].eq(-torch.inf).all()
        assert scores[:, [33, START]].isfinite().all()
        assert scorer.finish(state).eq(-torch.inf).all()
        state = scorer.advance(state, torch.tensor([0, 1]), torch.tensor([65, 66]))
        assert scorer.score(state, None).isfinite().all()
        assert scorer.finish(state).isfinite().all()


@pytest.mark.usefixtures("any_sound_is_speech")
def test_transcribing(tmp_path: Path, sound: np.ndarray) -> None:
    """From sound to text and back; random weights say nothing that has a meaning."""
    recognizer = load_model(write_folder(tmp_path, "ctranslate2"), "cpu")
    alone = recognizer.transcribe(sound, 16000)
    assert alone.segments
    assert len(alone.segments[0].tokens) <= checkpoints.LABELS - 2  # less the start
    assert alone.segments[0].tokens[0] not in recognizer.tokenizer.labels.never_first
    assert not set(alone.segments[0].tokens) & recognizer.tokenizer.labels.forbidden
    results = recognizer.transcribe_many([sound, sound[:20000]], sample_rate=16000)
    assert next(results)[1].text == alone.text


@pytest.fixture(scope="module")
def tiny() -> Recognizer:
    folder = Path(os.environ.get("ASR_WHISPER", "/tmp/whisper")) / "tiny.en"
    if not (folder / "model.bin").is_file():
        pytest.skip(
            f"no weights at {folder}; fetch them with shared/whisper/get.sh DIR, and set "
            "ASR_WHISPER=DIR"
        )
    return load_model(folder, "cpu")


@pytest.mark.slow
def test_real_weights(tiny: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """tiny.en, greedy, on a window of 30 s; the text of transformers with the same weights."""
    window = WhisperLogMel(WhisperConfig(pad_seconds=30))
    monkeypatch.setattr(tiny.model, "frontend", window)
    samples = Path(__file__).parents[3] / "samples"
    assert tiny.transcribe(samples / "quilter.wav", beam=1).text == (
        "Mr. Quilter is the apostle of the middle classes, and we are glad to welcome his gospel."
    )


def test_what_the_original_suppresses(tiny: Recognizer) -> None:
    """Worked out from the tokenizer: what the checkpoint of tiny.en has stored."""
    stored = {label for label in tiny.tokenizer.suppress if label < tiny.tokenizer.labels.end}
    assert set(tiny.tokenizer.non_speech()) == stored
