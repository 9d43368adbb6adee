"""What a run computes on, how precisely, and what to do where its memory is too small."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from asr.data.dataset import Batch
from asr.errors import ConfigError, TrainingError
from asr.train.precision import is_bf16
from asr.train.recipe import TrainingConfig


@dataclass(frozen=True)
class Devices:
    """`accelerator`, `count` and `precision` as Lightning takes them; `shown` for people."""

    accelerator: str
    count: int
    precision: str
    shown: str


def choose_devices(config: TrainingConfig) -> Devices:
    """Decides what `auto` means here.

    Raises:
        ConfigError: a GPU was asked for and there is none, or fewer than asked for.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.accelerator == "cuda" and not found:
        raise ConfigError("training.accelerator: no CUDA device is visible here; use 'auto'")
    on_gpu = config.accelerator != "cpu" and found > 0
    count = (found if on_gpu else 1) if config.devices == "auto" else config.devices
    if on_gpu and count > found:
        raise ConfigError(f"training.devices: {count} GPUs asked for, {found} are visible")
    if on_gpu:  # what stays in float32 is multiplied with 10 bits, but sums are not rounded
        torch.set_float32_matmul_precision("high")
    bf16 = is_bf16(config.precision, on_gpu)
    name = torch.cuda.get_device_name(0) if on_gpu else "CPU"
    threads = "" if on_gpu else f" (threads: {config.threads or torch.get_num_threads()})"
    nodes = f" on each of {config.nodes} nodes" if config.nodes > 1 else ""
    return Devices(
        accelerator="gpu" if on_gpu else "cpu",
        count=count,
        precision="bf16-mixed" if bf16 else "32-true",
        shown=f"{count} x {name}{threads}{nodes}, {'bf16' if bf16 else 'float32'}",
    )


def prepare_cpu(threads: int) -> None:
    """Sets the number of CPU threads, and lets oneDNN keep the kernels of all shapes of batches.

    A training step needs some thirty kernels for each shape, at up to 30 ms to make one; oneDNN
    keeps 1024 unless told otherwise before its first use.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")
    if threads:
        # Lightning divides the cores among its processes unless this variable is set
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)


def out_of_memory(batch: Batch, error: BaseException) -> TrainingError:
    """Names the batch and the setting to lower."""
    rows, longest = batch.samples.shape
    shown = ", ".join(batch.ids[:5]) + (f" and {rows - 5} more" if rows > 5 else "")
    labels = int(batch.token_lengths.max()) if batch.token_lengths is not None else 0
    detail = str(error).split(". ")[0]
    return TrainingError(
        f"the device's memory does not hold a batch of {rows} utterances ({shown}), "
        f"{batch.seconds:.0f} s of audio, {longest} samples and {labels} labels in the longest: "
        f"lower data.batch_seconds (and raise training.accumulate by as much), or "
        f"data.max_seconds, or use training.precision=bf16 [{detail}]"
    )
