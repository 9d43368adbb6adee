"""`asr models` and `asr import`, and models by name."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
import torch

from asr.hub.published import PUBLISHED
from asr.model.folder import load_model_folder, read_folder_config
from asr.text.whisper import WhisperTokenizer
from tests.cli.conftest import Run
from tests.conftest import REPOSITORY
from tests.hub.loopback import LoopbackHub, serving
from tests.model.whisper.checkpoints import (
    ctranslate2_tensors,
    model_bin,
    quantised,
    write_ctranslate2,
)
from tests.model.whisper.test_folder import weights, write_folder

COMMIT = "87c7102498dcde7456f24cfd30239ca606ed9063"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub with whisper-tiny.en, which is a small model with random weights."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshots = tmp_path / "hub" / "models--openai--whisper-tiny.en" / "snapshots"
    snapshots.mkdir(parents=True)
    write_folder(snapshots / COMMIT, "hugging face")
    return tmp_path / "hub"


def test_the_list(run: Run, cache: Path) -> None:
    result = run("models")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}
    assert all(model.name in lines for model in PUBLISHED)
    assert lines["whisper-tiny.en"][1:] == (
        ["38", "M", "151", "MB", "English", "MIT", "5.6", "14.6", "yes"]
    )
    assert lines["whisper-base"][1:] == ["73", "M", "290", "MB", "99", "MIT"]
    assert f"cache: {cache}" in result.stdout
    values = json.loads(run("models", "--json").stdout)
    assert values["cache"] == str(cache)
    first = values["models"][0]
    assert (first["repository"], first["revision"]) == ("openai/whisper-tiny.en", COMMIT)
    assert first["librispeech_wer"]["test-other"] == pytest.approx(0.146)
    assert first["folder"].endswith(COMMIT)
    assert values["models"][1]["folder"] is None


def test_a_published_model_is_imported_with_its_origin(
    run: Run, cache: Path, tmp_path: Path
) -> None:
    result = run("import", "whisper-tiny.en", "-o", tmp_path / "ours")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"from     openai/whisper-tiny.en at revision {COMMIT} (Hugging Face)" in result.stdout
    assert "licence  MIT" in result.stdout
    config = read_folder_config(tmp_path / "ours")
    assert config.name == "whisper-tiny.en"
    assert config.origin is not None
    assert config.origin.model_dump() == {
        "source": "openai/whisper-tiny.en",
        "revision": COMMIT,
        "format": "Hugging Face",
        "weights": "float32",
        "licence": "MIT",
    }
    card = (tmp_path / "ours" / "README.md").read_text(encoding="utf-8")
    assert COMMIT in card
    assert "Copyright (c) 2022 OpenAI" in card
    assert "en, fr, yue (tasks: transcribe, translate)" in card
    told = json.loads(run("info", tmp_path / "ours", "--json").stdout)["model"]
    assert told["origin"]["source"] == "openai/whisper-tiny.en"
    assert (told["kind"], told["chunks"], told["languages"]) == ("asr", False, ["en", "fr", "yue"])
    by_name = json.loads(run("info", "openai/whisper-tiny.en", "--json").stdout)["model"]
    assert (by_name["name"], by_name["kind"]) == ("whisper-tiny.en", "whisper")


@pytest.mark.usefixtures("cache")
def test_a_model_in_the_cache_is_not_calibrated(run: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "dev.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": "a.wav", "text": "hello"}) + "\n")
    result = run("calibrate", "-m", "whisper-tiny.en", manifest)
    assert result.exit_code == 2
    assert f"{COMMIT}: a model in another format has no place for a map" in result.stderr
    assert not (tmp_path / "whisper-tiny.en").exists()


def test_info_shows_the_origin(run: Run, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "small", "hugging face")
    (source / "README.md").write_text("---\nlanguage: fr\nlicense: apache-2.0\n---\n# Small\n")
    told = run("info", source).stdout
    assert "  kind" in told
    assert "    licence" in told.replace("      ", "    ")
    assert "apache-2.0" in told
    assert "revision" not in told


def test_integers_are_mentioned(run: Run, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")
    write_ctranslate2(source, model_bin(quantised(ctranslate2_tensors(weights()), torch.int8)))
    result = run("import", source, "-o", tmp_path / "ours")
    assert "weights  int8, float32 now" in result.stdout
    assert "licence  not stated by the files" in result.stdout
    card = (tmp_path / "ours" / "README.md").read_text(encoding="utf-8")
    assert "weights in int8, float32 here" in card


@pytest.mark.parametrize("what", ["existing", "link", "ours", "missing", "damaged", "foreign"])
def test_what_is_not_imported(run: Run, tiny_model: Path, tmp_path: Path, what: str) -> None:
    output, source, message = tmp_path / "out" / "ours", tmp_path / "small", ""
    if what == "existing":
        output.mkdir(parents=True)
        message = f"asr: {output}: exists already; name another folder with -o\n"
    elif what == "link":
        output = tmp_path / "link"
        output.symlink_to(tmp_path / "out" / "nowhere")
        message = f"asr: {output}: a link to what does not exist; name another folder with -o\n"
    elif what == "ours":
        source = tiny_model
        message = f"asr: {tiny_model}: is a model folder already; there is nothing to import\n"
    elif what == "missing":
        message = f"asr: {source}: no such model folder; 'asr models' lists what there is by name\n"
    elif what == "damaged":
        content = (write_folder(source, "ctranslate2") / "model.bin").read_bytes()
        (source / "model.bin").write_bytes(content[: len(content) // 2])
        message = "damaged or cut off"
    else:
        source.mkdir()
        (source / "config.json").write_text('{"model_type": "bert"}')
        message = "model_type is 'bert', not 'whisper'"
    result = run("import", source, "-o", output)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not output.exists() or what == "existing"
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) in ([], [output])
    assert what != "link" or output.is_symlink()


@pytest.mark.parametrize("command", ["import", "tokenizer", "finetune"])
def test_an_output_without_a_name(run: Run, command: str) -> None:
    result = run(command, "source", "-o", "")
    assert result.exit_code == 2
    assert "'--output': it is empty; name a path" in result.stderr


def test_an_interrupted_import_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")

    def interrupt(tokenizer: WhisperTokenizer, folder: Path) -> Path:
        assert (Path(folder) / "model.safetensors").is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(WhisperTokenizer, "save", interrupt)
    result = run("import", source, "-o", tmp_path / "out" / "ours")
    assert result.exit_code == 130
    assert list((tmp_path / "out").iterdir()) == []


class Swallowing:
    """Lets an interrupt come while a module is imported, and swallows it, as libraries do."""

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == self.module:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("command", ["import", "transcribe"])
def test_an_interrupt_while_libraries_are_imported(
    run: Run, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")
    if command == "import":
        module, call = "asr.model.imported", (command, source, "-o", tmp_path / "ours")
    else:
        module, call = "asr.transcribe.recognizer", (command, "-m", source, recordings / "one.wav")
    monkeypatch.setattr(module, import_module(module))  # the package has it again afterwards
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Swallowing(module), *sys.meta_path])
    result = run(*call)
    assert (result.exit_code, result.stderr) == (130, "asr: interrupted\n")


def test_the_imported_model_transcribes_the_same(
    run: Run, recordings: Path, tmp_path: Path
) -> None:
    source = write_folder(tmp_path / "small", "ctranslate2")
    assert run("import", source, "-o", tmp_path / "ours").exit_code == 0
    texts = [
        run("transcribe", "-m", model, "--device", "cpu", recordings / "one.wav").stdout
        for model in (source, tmp_path / "ours")
    ]
    assert texts[0] == texts[1] != ""
    assert load_model_folder(tmp_path / "ours").config.kind == "asr"


def test_a_model_by_name_transcribes_as_its_folder(
    run: Run, recordings: Path, tmp_path: Path
) -> None:
    """From a hub on loopback to the text, in a process of its own."""
    pytest.importorskip("huggingface_hub")
    source = write_folder(tmp_path / "small", "hugging face")
    content = {path.name: path.read_bytes() for path in source.iterdir()}
    repository = "distil-whisper/distil-small.en"
    arguments = ("--device", "cpu", "-q", recordings / "one.wav")
    with serving(LoopbackHub({repository: content})) as hub:
        done = subprocess.run(
            [sys.executable, "-m", "asr", "transcribe", "-m", repository, *arguments],
            env=hub.environment(tmp_path, PYTHONPATH=str(REPOSITORY)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert (done.returncode, done.stderr) == (0, "")  # -q: no progress either
    assert done.stdout == run("transcribe", "-m", source, *arguments).stdout != ""
