"""`asr doctor`, also where something is broken: that is what it is for."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from asr import health
from asr.errors import DependencyError
from tests.cli.conftest import PROGRAM, Run, start
from tests.conftest import REPOSITORY


def statuses(run: Run, *arguments: object) -> tuple[int, dict[str, tuple[str, str]]]:
    result = run("doctor", "--json", *arguments)
    assert result.stderr == ""
    values = json.loads(result.stdout)
    assert values["works"] is (result.exit_code == 0)
    found = {one["name"]: (one["status"], one["told"]) for one in values["findings"]}
    assert len(found) == len(values["findings"])
    return result.exit_code, found


def test_what_works_here(run: Run, tiny_model: Path) -> None:
    code, found = statuses(run, "-m", tiny_model)
    assert code == 0
    assert {"asr", "python", "torch", "soundfile", "av", "cpu", "read", "model"} <= set(found)
    assert set(health.LIBRARIES) <= set(found)
    assert "wrong" not in {status for status, _ in found.values()}
    assert found["read"][1].startswith("wav, flac, ogg, opus, mp3 ")
    assert "aac (m4a, mp4, mov)" in found["decoders"][1]
    assert found["model"][1].startswith("tiny, 0.1 million parameters, checksums right")
    assert found["language model"] == ("ok", "none")


def test_people_get_a_table(run: Run, tiny_model: Path) -> None:
    result = run("doctor", "-m", tiny_model)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert "versions" in lines
    assert any(line.startswith("  ok     torch ") for line in lines)
    assert lines[-1] == "Recordings can be transcribed here."


def test_a_damaged_model(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "model.safetensors").write_bytes(b"x")
    code, found = statuses(run, "-m", folder)
    assert code == 1
    assert found["model"][0] == "wrong"
    assert "truncated or altered" in found["model"][1]
    printed = run("doctor", "-m", folder).stdout
    assert "  WRONG  model " in printed
    assert printed.endswith("Recordings cannot be transcribed here: see 1 marked WRONG above.\n")


def test_missing_extras_are_notes_with_what_to_do(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ("lhotse", "sounddevice")
    there = health.installed
    monkeypatch.setattr(health, "installed", lambda name: None if name in gone else there(name))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, found = statuses(run, "-m", tiny_model)
    assert code == 0
    assert found["train"][0] == found["mic"][0] == found["microphone"][0] == "note"
    assert found["train"][1].endswith("lhotse not installed; pip install 'asr[train]'")
    assert "pip install 'asr[mic]'" in found["microphone"][1]


def test_an_installed_extra_that_does_not_load_is_not_called_ok(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(module: str, extra: str) -> None:
        if module == "sounddevice":
            raise DependencyError("sounddevice 0.5 does not load: PortAudio library not found")

    monkeypatch.setattr(health, "installed", lambda name: "1")
    monkeypatch.setattr(health, "need", broken)
    found = {check.name: check for check in health._extras()}
    assert (found["mic"].status, found["sounddevice"].status) == ("note", "note")
    assert found["mic"].message.endswith("sounddevice does not load")
    assert "PortAudio" in found["sounddevice"].message
    assert {found[extra].status for extra in set(health.EXTRAS) - {"mic"}} == {"ok"}


@pytest.mark.parametrize(("name", "status"), [("soxr", "wrong"), ("num2words", "note")])
def test_a_library_that_does_not_load(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, name: str, status: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    code, found = statuses(run, "-m", tiny_model)
    assert code == (status == "wrong")
    assert found[name][0] == status
    assert f"pip install --force-reinstall {name}" in found[name][1]


def test_every_library_of_the_package_is_looked_at() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")

    def names(key: str) -> set[str]:
        [block] = re.findall(rf"^{key} = \[(.*?)\]", project, re.DOTALL | re.MULTILINE)
        return set(re.findall(r'"([a-z0-9_-]+)[^"]*"', block))

    assert names("dependencies") == set(health.LIBRARIES)
    for extra, (_, distributions) in health.EXTRAS.items():
        assert names(extra) - set(health.LIBRARIES) == set(distributions)
    optional = project.split("[project.optional-dependencies]")[1].split("[project.scripts]")[0]
    extras = set(re.findall(r"^([a-z]+) = ", optional, re.MULTILINE))
    assert extras - {"dev"} == set(health.EXTRAS)


def test_a_torch_that_does_not_load_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.12: cannot open')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {PROGRAM}"
    process = start(code, "doctor")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err == ""
    [line] = [line for line in out.splitlines() if line.startswith("  WRONG  torch ")]
    assert "does not load: OSError: libcudart.so.12: cannot open; install it again" in line
    assert "  WRONG  model " in out
    assert "marked WRONG above" in out


def test_a_torchaudio_that_is_no_pair_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "torchaudio.py").write_text("raise RuntimeError('undefined symbol: _ZN3c10')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {PROGRAM}"
    process = start(code, "doctor")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    [line] = [line for line in out.splitlines() if "  note   torchaudio " in line]
    assert "undefined symbol: _ZN3c10" in line
    assert line.endswith("Transcribing does without it")


def test_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Version:
        cuda: str | None = None

    class Torch:
        __version__ = "2.11"
        version = Version

    assert "built without CUDA" in health._why_no_cuda(Torch)
    Version.cuda = "13.0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES is ''" in health._why_no_cuda(Torch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "finds no driver or no GPU" in health._why_no_cuda(Torch)
