"""recipes/history: strings of digits, and recipes that differ in nothing but the model."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from matplotlib.axes import Axes

from asr.config import parse, read_yaml
from asr.evaluate.corpus import read_utterances
from asr.evaluate.evaluation import evaluate
from asr.train.recipe import load_recipe
from asr.train.run import train
from asr.transcribe.recognizer import load_model
from recipes.digits.prepare import write
from recipes.history import prepare, report, run
from recipes.history.report import SYSTEMS, Result, write_results

HISTORY = Path(__file__).parents[2] / "recipes" / "history"


@pytest.fixture
def fsdd(tmp_path: Path) -> Path:
    """Ten recordings of each of two speakers: digit D is a constant D / 100."""
    for speaker in ("ann", "bob"):
        for digit in range(10):
            path = tmp_path / "recordings" / f"{digit}_{speaker}_{digit}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, np.full(1600, digit / 100), 8000, subtype="FLOAT")
    return tmp_path


def test_strings_are_what_their_manifest_says(fsdd: Path, tmp_path: Path) -> None:
    said = prepare.read(fsdd)
    made = [
        prepare.make(tmp_path / name, said, range(5), {1: 2, 4: 3}, np.random.default_rng(3))
        for name in ("one", "two")
    ]
    assert [entry["text"] for entry in made[0]] == [entry["text"] for entry in made[1]]
    assert [entry["digits"] for entry in made[0]] == [1, 1, 4, 4, 4]
    assert [entry["speaker"] for entry in made[0]] == ["ann", "bob", "ann", "bob", "ann"]
    for entry in made[0]:
        samples, _ = soundfile.read(tmp_path / str(entry["audio_filepath"]))
        digits = [prepare.DIGITS.index(word) for word in str(entry["text"]).split()]
        assert max(digits) < 5  # recordings 5 to 9 are for others
        level = np.round(samples * 100).astype(int)
        loud = [int(d) for place, d in enumerate(level) if d > 0 and level[place - 1] != d]
        assert loud == [digit for digit in digits if digit > 0]
        assert entry["duration"] == len(samples) / 8000


def test_all_systems_have_the_same_data_labels_and_budget() -> None:
    values = [read_yaml(HISTORY / f"{name}.yaml") for name in SYSTEMS]
    for one in values:
        ctc = one["loss"].pop("ctc_weight")
        assert ctc == (0.3 if one["model"].pop("ctc", True) else 0.0)
        del one["model"]["encoder"], one["model"]["decoder"], one["output"]
    assert all(one == values[0] for one in values)
    for name in SYSTEMS:
        load_recipe(HISTORY / f"{name}.yaml")


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_trains_from_its_recipe(system: str, fsdd: Path, tmp_path: Path) -> None:
    """Three steps, and it is measured; what it can learn is what run.py is for."""
    said, entries = prepare.read(fsdd), {}
    for place, part in enumerate(("train", "dev", "test")):
        counts = {1: 24, 3: 16} if part == "train" else {1: 2, 3: 2}
        random = np.random.default_rng(place)
        entries[part] = prepare.make(tmp_path / part, said, range(10), counts, random)
        write(tmp_path / f"{part}.jsonl", entries[part])
    parts = [f"data.{part}={tmp_path / part}.jsonl" for part in ("train", "dev")]
    few = ["training.max_steps=3", "validation.decode=2"]
    recipe = load_recipe(HISTORY / f"{system}.yaml", [*parts, *few])
    model = train(recipe, tmp_path / "out").model
    assert model is not None
    found = evaluate(load_model(model, "cpu"), read_utterances(tmp_path / "test.jsonl"), beam=2)
    assert [one.id for one in found.scored] == [one["id"] for one in entries["test"]]


def test_each_trick_changes_the_recipe() -> None:
    plain = load_recipe(HISTORY / "location.yaml")
    known = parse(run.Tricks, read_yaml(HISTORY / "tricks.yaml"), "tricks.yaml").tricks
    changed = [load_recipe(HISTORY / "location.yaml", one.set) for one in known.values()]
    assert all(one != plain for one in changed)
    assert len({str(one) for one in changed}) == len(changed)
    assert all(one.model == plain.model for one in changed)


#: Two strings of each of two speakers: (speaker, digits, errors, words).
STRINGS = [("ann", 2, 1, 2), ("bob", 2, 0, 2), ("ann", 12, 6, 12), ("bob", 12, 6, 12)]


def result(seed: int, trick: str = "", errors: int = 0) -> Result:
    """A run that makes so many errors more in each string than STRINGS say."""
    strings = [(who, digits, wrong + errors, words) for who, digits, wrong, words in STRINGS]
    return Result("dot", seed, 10**6, 9, 90.0, strings, trick)


def test_results_are_counted_by_length(tmp_path: Path) -> None:
    write_results([result(1)], {}, tmp_path)
    told = (tmp_path / "RESULTS.md").read_text()
    assert "| GRU, dot attention | 1 | 1.00 M | 1.5 min | 25.0 % (" in told
    assert "| 50.0 % (50.0 to 50.0); 50.0 |" in told
    assert "exposure bias" not in told
    assert (tmp_path / "by_length.png").read_bytes().startswith(b"\x89PNG")


def test_tricks_are_compared_with_runs_of_their_seeds(tmp_path: Path) -> None:
    plain = [result(1), result(2, errors=1), result(3, errors=2)]
    tried = [result(1, "noise"), result(2, "noise"), result(7, "guided")]
    tried += [result(2, "better"), result(2, "worse", errors=2)]
    tricks = {name: f"with {name}" for name in ("noise", "guided", "better", "worse", "never")}
    write_results([*plain, *tried[:2], *tried[3:]], tricks, tmp_path)
    told = (tmp_path / "RESULTS.md").read_text().splitlines()
    assert "    python recipes/history/run.py --tricks --only dot --seeds 2" in told
    write_results([*plain, *tried], tricks, tmp_path)
    told = (tmp_path / "RESULTS.md").read_text().splitlines()
    assert any(line.startswith("| GRU, dot attention | 3 |") for line in told)
    rows = [line for line in told if line.startswith(("| none", "| with"))]
    assert rows == [
        "| none | 1.5 min | 50.0 % | | 54.2 % | |",  # of seeds 1 and 2
        "| with noise | 1.5 min | 25.0 % | unclear: -25.0 (-25.0 to -25.0); +0.0, -50.0 "
        "| 50.0 % | unclear: -4.2 (-4.2 to -4.2); +0.0, -8.3 |",
        "| with better | 1.5 min | 25.0 % | better: -50.0 (-50.0 to -50.0); -50.0 "
        "| 50.0 % | better: -8.3 (-8.3 to -8.3); -8.3 |",
        "| with worse | 1.5 min | 125.0 % | worse: +50.0 (+50.0 to +50.0); +50.0 "
        "| 66.7 % | worse: +8.3 (+8.3 to +8.3); +8.3 |",
    ]


def test_every_system_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"s{n}": f"system {n}" for n in range(9)}
    monkeypatch.setattr(report, "SYSTEMS", names)
    drawn = []
    whole = Axes.plot

    def plot(self: Axes, *values: Any, **more: Any) -> Any:
        drawn.append(more["label"])
        return whole(self, *values, **more)

    monkeypatch.setattr(Axes, "plot", plot)
    report.draw({name: [result(1)] for name in names}, tmp_path / "a.png")
    assert drawn == list(names.values())


#: `run.py` as a script leaves it behind, with a training that takes long.
LEFT_BEHIND = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
from recipes.history import run

def trains(*_):
    print("on", flush=True)
    time.sleep(100)

run.run = trains
run.HERE = run.Path(sys.argv.pop())
sys.exit(run.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_interrupt_stops_a_run_in_the_background(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "tricks.yaml").write_text("tricks: {}")
    command = [sys.executable, "-c", LEFT_BEHIND, str(tmp_path)]
    done = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HISTORY.parents[1]
    )
    assert done.stdout is not None
    assert done.stdout.readline() == "on\n"
    done.send_signal(number)
    told = done.communicate(timeout=60)[1]
    assert (done.returncode, told) == (130, "interrupted; the same command goes on from here\n")


def test_a_system_runs_with_each_trick_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tricks.yaml").write_text("tricks: {noise: {about: n, set: [training.ema=0]}}")
    asked: list[tuple[object, ...]] = []

    def ran(system: str, seed: int, folder: Path, trick: str, overrides: object) -> Result:
        folder.mkdir(parents=True)
        asked.append((folder.name, overrides))
        return result(seed, trick)

    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "run", ran)
    monkeypatch.setattr("sys.argv", ["run.py", "--tricks", "--only", "dot", "--seeds", "1"])
    assert run.main() == 0
    assert asked == [("dot-1", ()), ("dot-noise-1", ("training.ema=0",))]
    run.main()
    assert len(asked) == 2
    assert "| n | 1.5 min |" in (tmp_path / "RESULTS.md").read_text()


def test_a_result_whose_writing_is_interrupted_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    result = Result("dot", 1, 1, 1, 1.0, [("anna", 1, 0, 1)])
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "run", lambda *_: result)
    monkeypatch.setattr("os.replace", interrupted)
    monkeypatch.setattr("sys.argv", ["run.py", "--only", "dot", "--seeds", "1"])
    (tmp_path / "tricks.yaml").write_text((HISTORY / "tricks.yaml").read_text())
    assert run.main() == 130
    assert not list(tmp_path.glob("exp/*/result.json"))
