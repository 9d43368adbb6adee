"""An ablation from its YAML to its table, on a made corpus."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import RECIPE, corpus  # noqa: F401 (fixture)

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import ablate  # noqa: E402
from ablation_table import Run, table  # noqa: E402

from asr.config import parse, read_yaml  # noqa: E402
from asr.train.recipe import Recipe, load_recipe  # noqa: E402

VARIATIONS: dict[str, Any] = {
    "recipe": "tiny.yaml",
    "common": ["validation.decode=0", "training.precision=32"],
    "variations": {
        "none": {"about": "as it is"},
        "smooth": {"about": "no smoothing", "set": ["loss.label_smoothing=0"]},
        "same": {"about": "what is so already", "set": ["loss.ctc_weight=0.3"]},
        "absent": {"about": "more data", "set": ["data.cache=memory"], "needs": "more.jsonl"},
    },
}


@pytest.fixture
def ablation(corpus: Path, tmp_path: Path) -> Path:  # noqa: F811
    """An ablation.yaml of the tiny recipe."""
    values = json.loads(json.dumps(RECIPE))
    for part in ("train", "dev"):
        values["data"][part] = str(corpus / part / "manifest.jsonl")
    (tmp_path / "tiny.yaml").write_text(json.dumps(values))
    dev = tmp_path / "made.jsonl"
    entries = map(json.loads, (corpus / "dev" / "manifest.jsonl").read_text().splitlines())
    lines = [
        {**one, "audio_filepath": str(corpus / "dev" / one["audio_filepath"])} for one in entries
    ]
    dev.write_text("".join(json.dumps(one) + "\n" for one in lines))
    path = tmp_path / "ablation.yaml"
    path.write_text(json.dumps({**VARIATIONS, "dev": [str(dev)], "silence": str(dev)}))
    return path


def call(path: Path, *more: str) -> int:
    return ablate.main([str(path), "-o", str(path.parent / "out"), "--steps", "2", *more])


def test_from_variations_to_a_table(
    ablation: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--utterances", "5", "--chunk-ms", "400", "optimizer.lr=0.001")
    assert call(ablation, *options) == 0
    told = capsys.readouterr().out
    assert "absent: left out, more.jsonl is not there" in told
    assert "same: left out, it is what none is" in told
    shown = (ablation.parent / "out" / "table.md").read_text()
    assert shown in told
    first, second = (line.split("|")[1:-1] for line in shown.splitlines()[2:4])
    assert [one.strip() for one in first[:3]] == ["none", "as it is", "2"]
    assert second[0].strip() == "smooth"
    assert first[-1].strip().endswith("of 5")
    assert "| variation | made | made in chunks |" in shown
    result = json.loads((ablation.parent / "out" / "smooth" / "result.json").read_text())
    assert [len(rows) for rows in result["sets"].values()] == [5, 5]
    assert result["audio_hours"] > 0
    assert not (ablation.parent / "out" / "smooth" / "checkpoints").exists()
    # what is finished is not done again, and not mixed with what was made otherwise
    monkeypatch.setattr(ablate, "trained", lambda _: pytest.fail("trained again"))
    assert call(ablation, *options) == 0
    assert call(ablation, "--utterances", "4") == 2
    assert "was made with other settings" in capsys.readouterr().err


def test_a_run_that_fails_stops_no_other(
    ablation: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablate, "trained", lambda _: 2)
    assert call(ablation) == 2
    assert "no run is finished" in capsys.readouterr().err


def test_a_stopped_call_says_so(ablation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(ablate, "trained", stopped)
    assert call(ablation) == 130


def test_a_wrong_call(ablation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(ablation, "--only", "speeed") == 2
    assert "speeed: no such variation; known: none, smooth" in capsys.readouterr().err
    assert call(ablation, "loss.ctc_wieght=1") == 2
    assert "did you mean 'ctc_weight'?" in capsys.readouterr().err
    values = json.loads(ablation.read_text())
    values["variations"]["none"]["needs"] = "gone.jsonl"
    ablation.write_text(json.dumps(values))
    assert call(ablation) == 2
    assert "none: needs gone.jsonl, which is not there" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        ablate.main([str(ablation), "-o", "out"])
    assert ended.value.code == 2


def run(name: str, errors: list[int], silent: list[int] | None = None) -> Run:
    rows = [
        {"id": str(n), "speaker": f"s{n % 4}", "errors": one, "words": 10}
        for n, one in enumerate(errors)
    ]
    values = {
        "steps": 7,
        "audio_hours": 1.25,
        "hours": 0.5,
        "sets": {"one": rows, "two": rows[:4], "one in chunks": rows},
        "silent": silent,
    }
    return Run.of(name, f"about {name}", values)


def test_differences_are_of_the_same_utterances() -> None:
    base, worse = run("none", [1, 5, 2, 4] * 2), run("worse", [2, 6, 3, 5] * 2, [3, 4])
    lines = table([base, worse]).splitlines()
    assert lines[2] == ("| none | about none | 7 | 1.2 h | 0.5 h | 30.0 % (15.0 to 45.0) |  |  |")
    assert lines[3].endswith("| +10.0 (+10.0 to +10.0) | 3 of 4 |")
    assert table([base, run("short", [1] * 5)]).splitlines()[3].split(" | ")[6] == (
        "other utterances"
    )
    assert table([]) == ""


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*/ablation.yaml")), ids=str)
def test_the_recipes_of_all_variations_are_right(path: Path) -> None:
    found = parse(ablate.Ablation, read_yaml(path), str(path))
    assert len(found.variations) > 15
    steps = "training.max_steps=10"
    for one in found.variations.values():
        recipe = load_recipe(path.parent / found.recipe, [*found.common, steps, *one.set])
        assert isinstance(recipe, Recipe)
