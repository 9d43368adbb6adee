"""Processes that torchrun starts, and what a cluster's environment says."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from asr.errors import ConfigError
from asr.train.checkpoint import LAST, load_checkpoint
from asr.train.devices import choose_devices
from asr.train.recipe import TrainingConfig, load_recipe, make_recipe
from asr.train.report.log import TIMED
from asr.train.run import train
from tests.train.conftest import RECIPE

#: Nothing is drawn: processes draw dropout and masks of their own.
PLAIN = (
    "model.encoder.dropout=0",
    "model.decoder.dropout=0",
    "spec_augment=null",
    "data.batch_seconds=8",
    "validation={steps: 3, decode: 0}",
    "checkpoint.average=none",
)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port")


@pytest.fixture(scope="module")
def folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, `tiny.yaml`."""
    values = json.loads(json.dumps(RECIPE))
    for part in ("train", "dev"):
        values["data"][part] = str(corpus / part / "manifest.jsonl")
    folder = tmp_path_factory.mktemp("torchrun")
    (folder / "tiny.yaml").write_text(json.dumps(values))
    return folder


def run(folder: Path, name: str, launcher: tuple[str, ...], *overrides: str) -> str:
    """Trains, and returns what was printed on stderr."""
    command = [*launcher, "-m", "asr", "train", str(folder / "tiny.yaml")]
    done = subprocess.run(
        [*command, *PLAIN, *overrides, "-o", str(folder / name)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model: ") == 1
    return done.stderr


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    lines = list(csv.DictReader((folder / name / "training" / "log.csv").open()))
    return [{key: value for key, value in row.items() if key not in TIMED} for row in lines]


def losses(folder: Path, name: str, kind: str = "train") -> list[float]:
    return [float(row["loss"]) for row in rows(folder, name) if row["kind"] == kind]


def test_processes_of_torchrun_train_to_the_same_losses(folder: Path, free_port: str) -> None:
    """To the bit those of two processes that Lightning starts, also over an interruption."""
    torchrun = (*TORCHRUN, free_port)
    said = run(folder, "torchrun", torchrun, "training.max_steps=3")
    assert "for each of 2 processes" in said
    said = run(folder, "torchrun", torchrun, "training.max_steps=6")
    assert "goes on after step 3" in said
    run(folder, "lightning", (sys.executable,), "training.max_steps=6", "training.devices=2")
    assert rows(folder, "torchrun") == rows(folder, "lightning")
    assert len(losses(folder, "torchrun")) == 6
    state = load_checkpoint(folder / "torchrun" / "checkpoints" / LAST)
    assert (state["run"]["step"], state["global_step"]) == (6, 6)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_train_to_the_losses_of_one(
    folder: Path, corpus: Path, free_port: str, strategy: str
) -> None:
    """All utterances are of one length and make one batch, of which each process takes half.

    Sums over labels are then in another order, which Adam makes more of while its means are young.
    """
    manifest = corpus / "train" / "manifest.jsonl"
    entries = [json.loads(line) for line in manifest.read_text().splitlines()]
    [(duration, count)] = Counter(entry["duration"] for entry in entries).most_common(1)
    assert count >= 4
    alike = [
        {**entry, "audio_filepath": str(manifest.parent / entry["audio_filepath"])}
        for entry in entries
        if entry["duration"] == duration
    ]
    (folder / "alike.jsonl").write_text("\n".join(map(json.dumps, alike)))
    more = ("data.batch_seconds=30", "validation={steps: 3, decode: 4}")
    same = (f"data.train={folder / 'alike.jsonl'}", "checkpoint.average=last", *more)
    if not (folder / "one").exists():
        train(load_recipe(folder / "tiny.yaml", [*PLAIN, *same]), folder / "one")
    for steps in (4, 6) if strategy == "fsdp" else (6,):  # goes on from a checkpoint
        limits = (f"training.max_steps={steps}", f"training.strategy={strategy}")
        run(folder, strategy, (*TORCHRUN, free_port), *same, *limits)
    assert losses(folder, strategy) == pytest.approx(losses(folder, "one"), rel=1e-3)
    assert losses(folder, strategy)[0] == pytest.approx(losses(folder, "one")[0], rel=1e-6)
    one, two = (losses(folder, name, "dev")[0] for name in ("one", strategy))
    assert two == pytest.approx(one, rel=1e-3)
    whole = load_file(folder / "one" / "model" / "model.safetensors")
    for name, weights in load_file(folder / strategy / "model" / "model.safetensors").items():
        torch.testing.assert_close(weights, whole[name], rtol=1e-2, atol=1e-3)


@pytest.fixture
def free_port() -> str:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def config(**more: object) -> TrainingConfig:
    return TrainingConfig(epochs=1, accelerator="cpu", **more)  # type: ignore[arg-type]


@pytest.fixture
def torchrun_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3", "LOCAL_RANK": "0", "RANK": "0"}
    names |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "x"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("torchrun_environment")
def test_torchrun_says_how_many_processes_there_are() -> None:
    devices = choose_devices(config())
    assert (devices.count, devices.nodes, devices.strategy) == (3, 2, "ddp")
    assert choose_devices(config(devices=3, nodes=2)).count == 3
    with pytest.raises(ConfigError, match="torchrun started 3 processes on each of 2 nodes"):
        choose_devices(config(devices=2))


def test_slurm_says_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"SLURM_NTASKS": "8", "SLURM_NNODES": "4", "SLURM_JOB_ID": "7", "SLURM_PROCID": "0"}
    for name, value in {**names, "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    devices = choose_devices(config())
    assert (devices.count, devices.nodes, devices.strategy) == (2, 4, "ddp")
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")  # nobody used srun
    assert choose_devices(config()).count == 1


@pytest.mark.parametrize(("tasks", "each"), [("6", 3), ("5", None)])
def test_slurm_must_start_as_many_processes_on_each_node(
    monkeypatch: pytest.MonkeyPatch, tasks: str, each: int | None
) -> None:
    names = {"SLURM_NTASKS": tasks, "SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_PROCID": "0"}
    for name, value in {**names, "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    if each is not None:
        assert choose_devices(config()).count == each
        return
    with pytest.raises(ConfigError, match=r"5 processes on 2 nodes.*--ntasks-per-node"):
        choose_devices(config())


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("model.encoder.layer_drop=0.1", "model.encoder.layer_drop"),
        ("loss.mwer={nbest: 2}", "loss.mwer"),
        ("loss.scheduled_sampling={}", "loss.scheduled_sampling"),
        ("training.weight_noise=0.01", "training.weight_noise"),
        ("training.compile=true", "training.compile"),
        ("training.lora={}", "training.lora"),
    ],
)
def test_fsdp_refuses_what_processes_would_call_differently(override: str, key: str) -> None:
    values = {**RECIPE, "data": {}, "training": {"epochs": 1, "strategy": "fsdp"}}
    assert make_recipe(json.loads(json.dumps(values)), (), "test", Path("/"))
    with pytest.raises(ConfigError, match=rf"fsdp does not go with {re.escape(key)}; use ddp"):
        make_recipe(json.loads(json.dumps(values)), [override], "", Path("/"))
