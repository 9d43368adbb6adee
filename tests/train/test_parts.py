"""Small parts of a run, one by one."""

from __future__ import annotations

import io
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import ConfigError, TrainingError
from asr.model import FULL_CONTEXT
from asr.train.data import ContinuousEpochs, Epochs
from asr.train.devices import choose_devices
from asr.train.recipe import ChunkConfig, TrainingConfig
from asr.train.report.log import COLUMNS, TrainingLog, read_log
from asr.train.report.progress import TrainingProgress
from asr.train.report.validation import Decoded, sample_lines
from asr.train.state import derive, draw_context
from asr.train.weights.averaging import Snapshots


@given(st.integers(0, 2**40), st.lists(st.integers() | st.text(max_size=3), max_size=3))
def test_seeds_are_a_function_of_their_parts(seed: int, parts: list[int | str]) -> None:
    found = derive(seed, *parts)
    random.seed(0)
    assert 0 <= found < 2**63
    assert derive(seed, *parts) == found
    assert derive(seed + 1, *parts) != found


@given(st.integers(0, 10**6))
def test_contexts_are_drawn_within_their_limits(seed: int) -> None:
    config = ChunkConfig(full=0.5, smallest=3, largest=5, least_left=7, most_left=9)
    context = draw_context(config, seed)
    assert context == draw_context(config, seed)
    if context != FULL_CONTEXT:
        assert context.chunk is not None
        assert 3 <= context.chunk <= 5
        assert 7 <= context.left <= 9


def test_full_context_is_as_frequent_as_asked() -> None:
    config = ChunkConfig(full=0.3)
    full = sum(draw_context(config, seed) == FULL_CONTEXT for seed in range(4000))
    assert 1050 < full < 1350
    assert all(draw_context(ChunkConfig(full=1), seed) == FULL_CONTEXT for seed in range(50))


def weights(value: float) -> torch.nn.Module:
    module = torch.nn.Linear(1, 1)
    with torch.no_grad():
        for one in module.parameters():
            one.fill_(value)
    return module


def value(module: torch.nn.Module) -> float:
    return next(module.parameters()).item()


@pytest.mark.parametrize(("by", "mean"), [("last", (2 + 3) / 2), ("best", (1 + 3) / 2)])
def test_snapshots_are_averaged(tmp_path: Path, by: str, mean: float) -> None:
    snapshots = Snapshots(tmp_path, keep=2, by=by)
    for step, loss in ((1, 0.1), (2, 0.9), (3, 0.5)):
        snapshots.add(weights(step), step, loss, write=True)
    module = weights(0)
    assert snapshots.average_into(module, first=True, world_size=1)
    assert value(module) == mean
    assert len(list(tmp_path.iterdir())) == 3
    snapshots.prune()
    assert len(list(tmp_path.iterdir())) == 2


def test_snapshots_go_back_to_a_checkpoint(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, keep=2, by="last")
    for step in (1, 2):
        snapshots.add(weights(step), step, 1.0, write=True)
    state = snapshots.state()
    snapshots.add(weights(3), 3, 1.0, write=True)  # after the checkpoint: is about to be lost
    resumed = Snapshots(tmp_path, keep=2, by="last")
    resumed.restore(state)
    module = weights(0)
    assert resumed.average_into(module, first=True, world_size=1)
    assert value(module) == 1.5


def test_too_few_snapshots_change_nothing(tmp_path: Path) -> None:
    for by in ("none", "best", "last"):
        snapshots = Snapshots(tmp_path / by, keep=2, by=by)
        snapshots.add(weights(1), 1, None, write=True)
        module = weights(7)
        assert not snapshots.average_into(module, first=True, world_size=1)
        assert value(module) == 7


def test_the_log_drops_what_comes_again(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.log_metrics({"loss/train": 1 / 3, "epoch": 0.0}, step)
    log.finalize("success")
    with (tmp_path / "log.csv").open("a") as file:
        file.write("train,2" + "," * 40 + "\n")  # written into by another program
        file.write("train,4,0.1")  # cut off by a kill
    log = TrainingLog(tmp_path, 2)
    log.log_metrics({"loss/train": 0.5}, 3)
    log.finalize("success")
    rows = [(row["step"], float(row["loss"])) for row in read_log(tmp_path / "log.csv")]
    assert rows == [("1", 1 / 3), ("2", 1 / 3), ("3", 0.5)]


def test_what_callbacks_log_gets_columns_of_its_own(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, 0)
    log.log_metrics({"loss/train": 0.25}, 1)
    log.log_metrics({"lr-AdamW": 0.001}, 1)
    log.log_metrics({"loss/dev": 0.5}, 1)
    log.finalize("success")
    rows = read_log(tmp_path / "log.csv")
    assert [row["kind"] for row in rows] == ["train", "other", "dev"]
    assert [row["lr-AdamW"] for row in rows] == ["", "0.001", ""]
    assert list(rows[0])[: len(COLUMNS)] == list(COLUMNS)
    log = TrainingLog(tmp_path, 1)
    log.log_metrics({"loss/train": 0.125}, 2)
    assert [row["lr-AdamW"] for row in read_log(tmp_path / "log.csv")] == ["", "0.001", "", ""]


def test_lines_without_a_step_go_with_the_line_before(tmp_path: Path) -> None:
    """Callbacks may log without one."""
    log = TrainingLog(tmp_path, 0)
    log.log_metrics({"before": 0.5})
    for step in (1, 2):
        log.log_metrics({"loss/train": 0.25}, step)
        log.log_metrics({"memory": float(step)})
    log.finalize("success")
    log = TrainingLog(tmp_path, 1)
    log.log_metrics({"loss/train": 0.125}, 2)
    log.finalize("success")
    rows = [(row["step"], row["before"], row["memory"]) for row in read_log(log.path)]
    assert rows == [("", "0.5", ""), ("1", "", ""), ("", "", "1.0"), ("2", "", "")]


def test_a_full_disk_is_told_where_the_log_is_written(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, 0)
    log.log_metrics({"loss/train": 1.0}, 1)
    with open("/dev/full", "w") as full:
        log._file = full
        with pytest.raises(TrainingError, match="cannot be written: No space left on device"):
            log.log_metrics({"loss/train": 1.0}, 2)
        log.finalize("failed")


def test_plain_progress_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    progress = TrainingProgress(every=1000, stream=stream)
    for _ in range(3):
        progress.step("step 7, epoch 2: loss 1.500", 0.1, 90.0, ", lr 0.001")
    progress.close()
    assert stream.getvalue() == "step 7, epoch 2: loss 1.500, 1:30 left, lr 0.001\n"


def test_processes_but_the_first_say_only_what_concerns_themselves() -> None:
    stream = io.StringIO()
    progress = TrainingProgress(every=0, stream=stream)
    progress.disable()
    progress.step("step 7", 0.1, 90.0)
    progress.print("anything")
    progress.warn("left out: a file")
    assert stream.getvalue() == "left out: a file\n"


def test_what_takes_long_before_the_first_step_is_shown() -> None:
    stream = io.StringIO()
    told = TrainingProgress(every=0, stream=stream).preparing("decoding audio")
    told(1, 2)
    told(2, 2)
    assert stream.getvalue() == "decoding audio: 1 of 2\ndecoding audio: 2 of 2\n"
    TrainingProgress(every=1000, stream=stream).preparing("more")(1, 2)
    assert "more" not in stream.getvalue()


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = TrainingProgress(every=1000, stream=stream)
    progress.step("loss 1.500", 0.5, float("nan"))
    progress.say("a line with [brackets]")
    progress.close()
    assert "loss 1.500" in stream.getvalue()
    assert "a line with [brackets]" in stream.getvalue()
    assert "left" not in stream.getvalue()


def test_nothing_is_left_of_a_bar_where_training_has_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = TrainingProgress(every=1000, stream=stream)
    progress.preparing("decoding audio")(1, 2)
    progress.close()
    *drawn, last = stream.getvalue().split("\x1b[2K")  # which erases a line
    assert any("starting" in one or "decoding" in one for one in drawn)
    assert "starting" not in last
    assert "decoding" not in last


def test_reference_and_hypothesis_stand_under_each_other() -> None:
    sample = (Decoded("u1", "a b", "a c"), Decoded("u2", "x", ""))
    assert sample_lines(sample, 1).splitlines() == ["  u1", "    said:  a b", "    heard: a c"]


def test_devices() -> None:
    cpu = choose_devices(TrainingConfig(epochs=1, accelerator="cpu", precision="32"))
    assert (cpu.accelerator, cpu.count, cpu.precision) == ("cpu", 1, "32-true")
    half = choose_devices(TrainingConfig(epochs=1, accelerator="cpu", precision="bf16"))
    assert half.precision == "bf16-mixed"
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            choose_devices(TrainingConfig(epochs=1, accelerator="cuda"))


def batches(*places: tuple[int, int]) -> list[Any]:
    return [SimpleNamespace(epoch=epoch, index=index) for epoch, index in places]


def test_each_pass_is_an_epoch() -> None:
    at = SimpleNamespace(epoch=1)
    sampler: Any = SimpleNamespace(epoch=1, set_epoch=lambda epoch: setattr(at, "epoch", epoch))
    passes = Epochs(_Loader(lambda: batches((at.epoch, 0), (at.epoch, 1))), sampler)
    assert [[(b.epoch, b.index) for b in passes] for _ in range(2)] == [
        [(1, 0), (1, 1)],
        [(2, 0), (2, 1)],
    ]


def test_batches_that_go_on_by_themselves_are_cut_into_epochs() -> None:
    passes = ContinuousEpochs(batches((1, 4), (1, 5), (2, 0), (3, 0), (3, 1)))
    epochs = [[(b.epoch, b.index) for b in passes] for _ in range(4)]
    assert epochs == [[(1, 4), (1, 5)], [(2, 0)], [(3, 0), (3, 1)], []]


class _Loader:
    def __init__(self, make: Any) -> None:
        self._make = make

    def __iter__(self) -> Any:
        return iter(self._make())
