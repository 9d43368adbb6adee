"""The benchmark draws, goes on where it was stopped, and counts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import RATE

#: Stands for `whisper_worker.py`: writes the name of the file, and notes that it was asked.
WORKER = """
import json, sys
from pathlib import Path
for line in sys.stdin:
    path = Path(line.strip())
    with (path.parent / "asked").open("a") as file:
        file.write(path.name + "\\n")
    result = {"hypothesis": path.stem.replace("-", " ").upper() + "!", "language": "en"}
    print(json.dumps(result | {"cpu": 0.5, "started_cpu": 2.0, "peak_mib": 300}), flush=True)
"""


@pytest.fixture
def benchmark(tool: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: Any) -> ModuleType:
    module = tool("benchmark_whisper")
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.setattr(module, "WORKER", tmp_path / "worker.py")
    return module


def write_set(folder: Path, texts: dict[str, str]) -> None:
    """A manifest whose recordings last a second and are called by `texts`' keys."""
    folder.mkdir(parents=True)
    lines = []
    for name, text in texts.items():
        soundfile.write(folder / f"{name}.wav", np.zeros(RATE, np.float32), RATE)
        line = {"id": name, "audio_filepath": f"{name}.wav", "duration": 1.0, "text": text}
        lines.append(json.dumps(line))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")


def table(benchmark: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: Any, *more: str) -> Any:
    """Runs the program; returns the last row of its table by the names of the columns."""
    call = ["benchmark_whisper.py", str(tmp_path / "results"), "-m", str(tmp_path / "tiny")]
    call += ["--corpora", str(tmp_path), "--sets", "dev/a", "dev/b", "--beams", "5", *more]
    monkeypatch.setattr(sys, "argv", call)
    benchmark.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    return dict(zip(rows[0], rows[-1], strict=False))


def test_the_table(benchmark: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    write_set(tmp_path / "dev" / "a", {"one-two": "One, two.", "three-four": "three five"})
    write_set(tmp_path / "dev" / "b", {"six": "six", "seven": "Seven", "eight": "eight"})
    write_set(tmp_path / "noise", {"you": "", "thank-you": ""})
    row = table(benchmark, tmp_path, monkeypatch, capsys, "--count", "1")
    assert row["system"] == "asr-tiny-beam5"
    assert row["utterances"] == "2"
    row = table(benchmark, tmp_path, monkeypatch, capsys, "--noise", "2")
    assert row["utterances"] == "5"
    assert row["a"] == "25.0"
    assert row["b"] == "0.0"
    assert row["all sets [95 %]"].startswith("14.3 [")
    assert row["invented words an hour"] == "5400 (3 words, 2 clips)"
    assert row["CPU s/s"] == "0.500"
    assert row["first text, CPU s"] == "2.0"
    assert row["peak MiB"] == "300"
    asked = [p.read_text(encoding="utf-8") for p in sorted(tmp_path.rglob("asked"))]
    assert sorted("".join(asked).split()) == sorted(p.name for p in tmp_path.rglob("*.wav"))


def test_a_system_that_fails_is_named(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    for name in "ab":
        write_set(tmp_path / "dev" / name, {"one": "one"})
    (tmp_path / "worker.py").write_text("raise SystemExit(3)", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"asr-tiny-beam5 ended at .*one\.wav"):
        table(benchmark, tmp_path, monkeypatch, capsys)


def test_which_systems_there_are(benchmark: ModuleType, monkeypatch: Any) -> None:
    call = "benchmark_whisper.py results -m w/tiny w/base --corpora c --beams 1 5 --lm l"
    call += " --faster-whisper fw --compute int8 float32 --transformers hf --language fr"
    monkeypatch.setattr(sys, "argv", call.split())
    names = [one.name for one in benchmark.systems(benchmark.arguments())]
    kinds = ("asr", "asr-lm", "faster-whisper-int8", "faster-whisper-float32", "transformers")
    assert names == [
        f"{kind}-{model}-beam{beam}-fr"
        for model in ("tiny", "base")
        for beam in (1, 5)
        for kind in kinds
    ]
