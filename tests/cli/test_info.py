from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_json_tells_what_a_model_is(run: Run, tiny_model: Path) -> None:
    result = run("info", tiny_model, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    values = json.loads(result.stdout)
    model = values["model"]
    assert model["name"] == "tiny"
    assert model["bytes"] == sum(path.stat().st_size for path in tiny_model.iterdir())
    assert (model["sample_rate"], model["frame_ms"]) == (16000, 80.0)
    assert (model["encoder"], model["decoder"], model["ctc"]) == ("conformer", "transformer", True)
    assert model["chunks"] is True
    assert (model["search"]["beam"], model["facts"]) == (2, {"hours": 0.5})
    assert model["parameters"] > 10_000
    assert values["environment"]["torchaudio_problem"] is None


def test_the_table_says_it_in_words(run: Run, tiny_model: Path) -> None:
    printed = run("info", tiny_model).stdout
    for line in ("name", "parameters", "search", "torch "):
        assert any(row.startswith(line) for row in printed.splitlines())
    assert "hours 0.5" in printed


def test_what_it_runs_on_is_told_where_no_model_opens(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.folders.SHIPPED", tmp_path / "english")
    result = run("info")
    assert result.exit_code == 2
    assert "python" in result.stdout
    assert "ships no model" in result.stderr
    result = run("info", tmp_path, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["model"] is None
    assert "not a model folder" in result.stderr


def test_a_damaged_model_is_not_described(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    result = run("info", folder)
    assert result.exit_code == 2
    assert "model.safetensors: truncated or altered" in result.stderr
