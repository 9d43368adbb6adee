"""A run that is killed and goes on is the run that never was."""

from __future__ import annotations

import csv
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from asr.errors import OutputError, TrainingError
from asr.train.checkpoint import LAST, load_checkpoint, save_checkpoint
from asr.train.recipe import Recipe
from asr.train.report.log import TIMED
from asr.train.resume import PREPARED, changes, prepare_folder
from asr.train.run import Start, train

#: Everything that draws random numbers or remembers something is on.
OVERRIDES = (
    "training.max_steps=null",
    "training.epochs=3",
    "training.accumulate=2",
    "data.batch_seconds=8",
    "data.augment.speed.factors=[0.9, 1.0, 1.1]",
    "data.augment.volume.probability=0.5",
    "chunks={full: 0.5, smallest: 2, largest: 6, least_left: 2, most_left: 6}",
    "model.encoder.dropout=0.2",
    "schedule={type: cosine, warmup_steps: 2}",
    "checkpoint={steps: 3, keep: 2}",
    "validation={steps: 4, decode: 0}",
)


def test_kill_9_and_resume_is_bit_equal(
    recipe: Callable[..., Recipe], recipe_file: Path, tmp_path: Path
) -> None:
    whole = train(recipe(*OVERRIDES), tmp_path / "whole")
    killed = tmp_path / "killed"
    log = killed / "training" / "log.csv"
    command = [sys.executable, "-c", "from asr.cli.main import main; main()"]
    command += ["train", str(recipe_file), *OVERRIDES, "-o", str(killed)]
    with subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE) as process:
        while _steps(log) < 8:
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    at = load_checkpoint(killed / "checkpoints" / LAST)["run"]["step"]
    assert 0 < at < _steps(tmp_path / "whole" / "training" / "log.csv")
    resumed = train(recipe(*OVERRIDES), killed)
    assert _untimed(log) == _untimed(tmp_path / "whole" / "training" / "log.csv")
    assert whole.model is not None
    assert resumed.model is not None
    one, other = (load_file(out.model / "model.safetensors") for out in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_stopping_by_time_and_going_on_is_bit_equal(
    recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ("training.max_steps=3", "validation.decode=0")
    train(recipe(*overrides), tmp_path / "whole")
    broken = tmp_path / "broken"
    for _ in range(6):
        outcome = train(recipe(*overrides, "training.max_time=0.000001"), broken)
        if outcome.ended != "max_time":
            break
    assert outcome.ended == "max_steps"
    assert _untimed(broken / "training" / "log.csv") == _untimed(
        tmp_path / "whole" / "training" / "log.csv"
    )


def test_going_on_from_another_runs_checkpoint(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    train(recipe("training.max_steps=3"), tmp_path / "first")
    train(recipe("training.max_steps=5"), tmp_path / "second", Start(str(tmp_path / "first")))
    state = load_checkpoint(tmp_path / "second" / "checkpoints" / LAST)
    assert state["run"]["step"] == 5
    assert load_checkpoint(tmp_path / "first" / "checkpoints" / LAST)["run"]["step"] == 3
    with pytest.raises(TrainingError, match="no checkpoint there"):
        train(recipe(), tmp_path / "third", Start(str(tmp_path / "nothing")))


def test_what_the_weights_were_made_for_cannot_change(
    recipe: Callable[..., Recipe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe("training.max_steps=1"), tmp_path / "run")
    with pytest.raises(TrainingError) as caught:
        train(recipe("model.encoder.ff=32", "tokenizer.type=unigram"), tmp_path / "run")
    assert "model.encoder.ff was 64, is 32" in str(caught.value)
    assert "tokenizer.type was 'char', is 'unigram'" in str(caught.value)
    with pytest.raises(TrainingError, match=r"batches would differ"):
        train(recipe("training.max_steps=2", "data.batch_seconds=7"), tmp_path / "run")
    capsys.readouterr()
    train(recipe("training.max_steps=2", "optimizer.lr=0.001"), tmp_path / "run")
    assert "optimizer.lr was 0.004, is 0.001" in capsys.readouterr().err
    train(recipe("training.max_steps=1", "model.encoder.ff=32"), tmp_path / "run", Start("never"))


def test_keys_that_an_older_checkpoint_does_not_have_are_at_their_defaults(
    recipe: Callable[..., Recipe],
) -> None:
    """A checkpoint written before front ends had a type can be resumed."""
    older = recipe().model_dump(mode="json")
    assert older["model"]["frontend"].pop("type") == "kaldi"
    assert changes(recipe(), {"recipe": older}) == []
    with pytest.raises(TrainingError, match=r"model.frontend.type was 'kaldi', is 'whisper'"):
        changes(recipe("model.frontend={type: whisper}"), {"recipe": older})


@pytest.mark.parametrize(("old", "new"), [("{}", "{ctc: 10}"), ("{ctc: 10}", "{decoder: 10}")])
def test_the_groups_of_the_optimizer_cannot_change(
    recipe: Callable[..., Recipe], old: str, new: str
) -> None:
    earlier = recipe(f"optimizer.factors={old}").model_dump(mode="json")
    assert changes(recipe(f"optimizer.factors={old}"), {"recipe": earlier}) == []
    with pytest.raises(TrainingError, match=r"optimizer\.factors\.\w+ was"):
        changes(recipe(f"optimizer.factors={new}"), {"recipe": earlier})


def test_a_full_disk_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path / LAST, {"value": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(TrainingError) as caught:
            save_checkpoint(tmp_path / LAST, {"value": 2})
    assert "No space left on device" in str(caught.value)
    assert "the previous one" in str(caught.value)
    assert load_checkpoint(tmp_path / LAST)["value"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [LAST]


def test_torch_reports_a_full_disk_in_its_own_way(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TrainingError, match="make room or choose another output folder"):
            save_checkpoint(tmp_path / LAST, {"value": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_half_written_goes(tmp_path: Path) -> None:
    half = tmp_path / ".asr-1-abcdef.tmp"
    half.write_bytes(b"half")
    (tmp_path / PREPARED).mkdir()
    prepare_folder(tmp_path, tmp_path / LAST)
    assert not half.exists()


def test_training_stops_where_no_checkpoint_can_be_written(
    recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe("training.max_steps=2"), tmp_path / "run")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(TrainingError, match="No space left"):
            train(recipe("training.max_steps=4"), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / LAST)["run"]["step"] == 2
    train(recipe("training.max_steps=4"), tmp_path / "run")


@pytest.mark.parametrize(("version", "told"), [(1, "an older asr"), (99, "a newer asr")])
def test_a_checkpoint_of_another_version_is_refused(
    recipe: Callable[..., Recipe], tmp_path: Path, version: int, told: str
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save({"format": version, "position": {}}, tmp_path / "run" / "checkpoints" / LAST)
    with pytest.raises(TrainingError, match=f"last.ckpt: written by {told}"):
        train(recipe(), tmp_path / "run")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LAST).write_bytes(content)
    with pytest.raises(TrainingError, match=r"last\.ckpt: no checkpoint of asr, or damaged"):
        load_checkpoint(tmp_path / LAST)


def test_a_checkpoint_executes_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "trapped"),)

    torch.save({"format": 1, "trap": Trap()}, tmp_path / LAST)
    with pytest.raises(
        TrainingError, match=r"it holds \S*mkdir, which is no plain value"
    ) as caught:
        load_checkpoint(tmp_path / LAST)
    assert "\033" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "trapped").exists()


def test_a_folder_that_cannot_be_written(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        train(recipe(), tmp_path / "file")


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _steps(log: Path) -> int:
    if not log.exists():
        return 0
    return sum(line.startswith("train,") for line in log.read_text().splitlines())


def _untimed(log: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader(log.open()))
    assert any(row["kind"] == "train" for row in rows)
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]
