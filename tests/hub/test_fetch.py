"""Published models by name: from a hub on loopback into the usual cache, and what can go wrong."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr.errors import DependencyError, ModelError
from asr.folders import check_model_folder, model_folder
from asr.hub import fetch as module
from asr.hub.fetch import FILES, fetch, repository_of
from asr.hub.published import published
from tests.conftest import REPOSITORY
from tests.hub.loopback import COMMIT, LoopbackHub, serving

PINNED, UNPINNED = "openai/whisper-tiny.en", "distil-whisper/distil-small.en"
PIN = "87c7102498dcde7456f24cfd30239ca606ed9063"
CONTENT = {name: name.encode() * 50 for name in FILES}
#: What the hub has and nobody needs.
OTHERS = {"pytorch_model.bin": b"pickle", "flax_model.msgpack": b"flax", "vocab.json": b"{}"}


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    pytest.importorskip("huggingface_hub")
    repositories = {PINNED: CONTENT | OTHERS, UNPINNED: CONTENT | OTHERS}
    with serving(LoopbackHub(repositories, {PINNED: PIN})) as served:
        yield served


def fetching(hub: LoopbackHub, home: Path, name: str, **environment: str) -> tuple[str, str]:
    """What a process of its own prints that asks for a model, on stdout and stderr."""
    code = (
        "from asr.errors import AsrError\n"
        "from asr.folders import model_folder\n"
        f"try: print(model_folder({name!r}))\n"
        "except AsrError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=hub.environment(home, **environment),
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr


def test_a_model_is_fetched_once_at_its_revision(hub: LoopbackHub, tmp_path: Path) -> None:
    folder, told = fetching(hub, tmp_path, "whisper-tiny.en")
    assert folder == str(tmp_path / f"hub/models--openai--whisper-tiny.en/snapshots/{PIN}")
    assert "asr: fetching openai/whisper-tiny.en (about 151 MB) into" in told
    assert f"asr: fetched openai/whisper-tiny.en at revision {PIN}" in told
    assert {path.name: path.read_bytes() for path in Path(folder).iterdir()} == CONTENT
    assert [each.rpartition("/")[2] for each in hub.asked if each.startswith("GET")] == list(FILES)
    assert all(f"/resolve/{PIN}/" in each for each in hub.asked)
    hub.asked.clear()
    again = fetching(hub, tmp_path, PINNED, HF_HUB_OFFLINE="1")  # with the owner: the same model
    assert again == (folder, "")
    assert hub.asked == []


def test_without_a_pin_the_branch_is_resolved_once(hub: LoopbackHub, tmp_path: Path) -> None:
    cache = tmp_path / "other place"
    folder, told = fetching(hub, tmp_path, "distil-small.en", HF_HUB_CACHE=str(cache))
    assert folder == str(cache / f"models--distil-whisper--distil-small.en/snapshots/{COMMIT}")
    assert f"at revision {COMMIT}" in told
    assert repository_of(Path(folder)) == (UNPINNED, COMMIT)
    hub.commits = {UNPINNED: "d" * 40}
    hub.asked.clear()
    again = fetching(hub, tmp_path, "distil-small.en", HF_HUB_CACHE=str(cache))
    assert (again, hub.asked) == ((folder, ""), [])


def test_the_cache_is_known_before_anything_is_looked_for(tmp_path: Path) -> None:
    """In a process of its own, where nothing has imported parts of the library yet."""
    pytest.importorskip("huggingface_hub")
    code = "from asr.hub.fetch import cache_folder; print(cache_folder())"
    environment = LoopbackHub({}).environment(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout.decode().strip()) == (0, str(tmp_path / "hub"))


def test_an_interrupted_fetch_is_not_taken_for_a_model(hub: LoopbackHub, tmp_path: Path) -> None:
    without = {name: content for name, content in CONTENT.items() if name != FILES[-1]}
    hub.repositories = {UNPINNED: without}
    problem, _ = fetching(hub, tmp_path, "distil-small.en")
    assert problem.startswith(
        "ModelError distil-whisper/distil-small.en: has no model.safetensors at the hub: upgrade"
    )
    hub.repositories = {UNPINNED: CONTENT}
    hub.asked.clear()
    folder, _ = fetching(hub, tmp_path, "distil-small.en")
    assert {path.name for path in Path(folder).iterdir()} == set(FILES)
    fetched = [each.rpartition("/")[2] for each in hub.asked if each.startswith("GET")]
    assert fetched == ["model.safetensors"]  # the others are there


def test_ctrl_c_while_a_model_is_fetched(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.stalled = "model.safetensors"
    process = subprocess.Popen(
        [sys.executable, "-m", "asr", "import", "whisper-tiny.en", "-o", tmp_path / "ours"],
        env=hub.environment(tmp_path, PYTHONPATH=str(REPOSITORY)),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stalling.wait(60)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told.splitlines()[-1]) == (130, "asr: interrupted")
    assert not (tmp_path / "ours").exists()
    left = [path.name for path in (tmp_path / "hub").rglob("*.incomplete")]
    assert left == []


@pytest.mark.parametrize(
    ("name", "environment", "message"),
    [
        (
            "whisper-base",
            {},
            "ModelError openai/whisper-base: is not at the hub: correct HF_ENDPOINT, or fetch it "
            "on another computer and name its folder (-m FOLDER)",
        ),
        (
            "whisper-base",
            {"HF_HUB_OFFLINE": "1"},
            "and HF_HUB_OFFLINE forbids fetching it: unset that, or fetch it on another computer",
        ),
        (
            "whisper-base",
            {"HF_ENDPOINT": "nonsense"},
            "ModelError HF_ENDPOINT is 'nonsense', which is no address of a hub: write it as "
            "https://huggingface.co, or unset it",
        ),
        (
            "whisper-base",
            {"HF_ENDPOINT": "http://127.0.0.1:1"},  # nobody listens
            "ModelError openai/whisper-base: config.json cannot be fetched from http://127.0.0.1:1 "
            "(",
        ),
    ],
)
def test_what_cannot_be_fetched(
    name: str, environment: dict[str, str], message: str, hub: LoopbackHub, tmp_path: Path
) -> None:
    problem, told = fetching(hub, tmp_path, name, **environment)
    assert message in problem
    assert "\n" not in problem
    assert ("fetching" in told) == (not environment)  # only where there is a hub to ask


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            r"the disk with .* is full: make room for 151 MB, or name another folder in",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be written to; name another"),
        (
            ConnectionError("Connection refused"),
            r"config.json cannot be fetched from https://huggingface.co \(Connection refused\): "
            r"check the network and run the same command again "
            r"\(files that came whole are kept\), or fetch it on another",
        ),
    ],
)
def test_a_fetch_that_fails(
    error: OSError, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    constants = pytest.importorskip("huggingface_hub.constants")

    def fail(*args: Any, **more: Any) -> str:
        raise RuntimeError("cannot download") from error

    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://huggingface.co")
    monkeypatch.setattr(hub, "get_hf_file_metadata", lambda url: None)
    monkeypatch.setattr(hub, "hf_hub_download", fail)
    monkeypatch.setattr(module, "cached", lambda model: None)
    model = published("whisper-tiny.en")
    assert model is not None
    with pytest.raises(ModelError, match=message):
        fetch(model)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DependencyError, match=r"install it with: pip install 'asr\[hub\]'"):
        model_folder("whisper-tiny.en")


def test_a_folder_of_that_name_stands_before_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "fetch", lambda model: pytest.fail("fetched"))
    (tmp_path / "openai" / "whisper-tiny.en").mkdir(parents=True)
    (tmp_path / "whisper-tiny.en").mkdir()
    for name in ("whisper-tiny.en", "openai/whisper-tiny.en", "nosuch", "owner/other"):
        assert model_folder(name) == Path(name)


def test_the_nearest_name_is_suggested(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, near in (
        ("whisper-bse.en", "whisper-base.en"),
        ("tiny.en", "whisper-tiny.en"),
        ("turbo", "whisper-large-v3-turbo"),
        ("openai/whisper-larg-v3", "openai/whisper-large-v3"),
    ):
        with pytest.raises(ModelError, match=f"did you mean the published model {near}\\?"):
            check_model_folder(model_folder(name))
    with pytest.raises(ModelError, match="no such model folder; 'asr models' lists"):
        check_model_folder(model_folder("model"))


def test_other_folders_are_of_no_repository(tmp_path: Path) -> None:
    assert repository_of(tmp_path) is None
    assert repository_of(Path("snapshots/x")) is None
