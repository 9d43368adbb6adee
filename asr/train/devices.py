"""What a run computes on, how precisely, with which kernels; what to do where memory is short."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from torch import nn

from asr.data.dataset import Batch
from asr.errors import ConfigError, TrainingError
from asr.model import SpeechModel
from asr.model.self_attending import FeedForward
from asr.model.transformer_decoder import DecoderLayer
from asr.train.recipe import Precision, TrainingConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Devices:
    """`accelerator`, `count` (of each node, or which ones), `nodes` and `precision` as Lightning
    takes them; `strategy` is `single`, `ddp` or `fsdp`; `description` is for people.
    """

    accelerator: str
    count: int | list[int]
    nodes: int
    strategy: str
    precision: str
    description: str

    @property
    def processes(self) -> int:
        """On all nodes."""
        return self.nodes * (self.count if isinstance(self.count, int) else len(self.count))


def choose_devices(config: TrainingConfig) -> Devices:
    """Decides what `auto` means here.

    Raises:
        ConfigError: a GPU was asked for and there is none, or fewer than asked for; torchrun or
            SLURM have started another number of processes than was asked for.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.accelerator == "cuda" and not gpus:
        raise ConfigError("training.accelerator: no CUDA device is visible here; use 'auto'")
    on_gpu = config.accelerator != "cpu" and gpus > 0
    launched = launched_by()
    count, nodes = (
        (gpus if on_gpu else 1) if config.devices == "auto" else config.devices,
        config.nodes,
    )
    if launched is not None:
        name, nodes, processes = launched
        if config.devices not in ("auto", processes) or config.nodes not in (1, nodes):
            raise ConfigError(
                f"training.devices: {name} started {processes} processes on each of {nodes} nodes, "
                f"the recipe says {config.devices} on {config.nodes}; leave out training.devices "
                "and training.nodes"
            )
        count = processes
    if on_gpu and count > gpus:
        raise ConfigError(f"training.devices: {count} GPUs asked for, {gpus} are visible")
    usual = "ddp" if count * nodes > 1 else "single"
    if on_gpu:  # what stays in float32 is multiplied with 10 bits, but sums are not rounded
        torch.set_float32_matmul_precision("high")
    bf16 = is_bf16(config.precision, on_gpu)
    name = torch.cuda.get_device_name(0) if on_gpu else "CPU"
    threads = "" if on_gpu else f" (threads: {config.threads or torch.get_num_threads()})"
    each = f" on each of {nodes} nodes" if nodes > 1 else ""
    return Devices(
        accelerator="gpu" if on_gpu else "cpu",
        count=count,
        nodes=nodes,
        strategy=usual if config.strategy == "auto" else config.strategy,
        precision="bf16-mixed" if bf16 else "32-true",
        description=f"{count} x {name}{threads}{each}, {'bf16' if bf16 else 'float32'}",
    )


def launched_by() -> tuple[str, int, int] | None:
    """Who has started the processes of this run, on how many nodes, how many on each; None where
    Lightning is to start them.

    Raises:
        ConfigError: SLURM has not started as many on each node.
    """
    if TorchElasticEnvironment.detect():
        each = int(os.environ["LOCAL_WORLD_SIZE"])
        return "torchrun", int(os.environ["WORLD_SIZE"]) // each, each
    if SLURMEnvironment.detect() and SLURMEnvironment.job_id() is not None:
        nodes = int(os.environ.get("SLURM_NNODES", 1))
        if tasks := os.environ.get("SLURM_NTASKS_PER_NODE"):
            return "SLURM", nodes, int(tasks)
        each, rest = divmod(int(os.environ["SLURM_NTASKS"]), nodes)
        if rest:
            raise ConfigError(
                f"SLURM started {os.environ['SLURM_NTASKS']} processes on {nodes} nodes, but each "
                "node must have as many; say how many with --ntasks-per-node"
            )
        return "SLURM", nodes, each
    return None


def is_bf16(precision: Precision, on_gpu: bool) -> bool:
    """Whether to multiply in bfloat16."""
    return precision == "bf16" or (precision == "auto" and _native_bf16(on_gpu))


def _native_bf16(on_gpu: bool) -> bool:
    """Whether the device multiplies bfloat16 itself; emulated, it is slower than float32."""
    if on_gpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch names these with an underscore, and has no public function for it
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in checks)


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


def compile_parts(
    model: SpeechModel, device: torch.device, bf16: bool, say: Callable[[str], None]
) -> bool:
    """Has `torch.compile` make kernels for the parts of a model that it pays for, and tries them.

    These are the feed-forward modules of a Conformer and the layers of a Transformer decoder, with
    dynamic shapes: one graph each for training and one for validation. Whole encoder layers would
    need one for each chunk size that is drawn, and graphs with fixed shapes one for each shape of
    batches: in a run of minutes neither comes back.

    Returns:
        whether they are used. If compiling fails, the model stays as it was and `say` gets a
        message.
    """
    parts = [one for one in model.modules() if isinstance(one, FeedForward | DecoderLayer)]
    for part in parts:
        part.compile(dynamic=True)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(_forked(device)):
            warnings.simplefilter("ignore")
            for part in parts[:1] + [part for part in parts if isinstance(part, DecoderLayer)][:1]:
                _try_part(part, device, bf16)
    except Exception as error:  # a missing compiler, a kernel that does not build: of any kind
        for part in parts:
            part._compiled_call_impl = None  # what `compile` sets, and nothing takes back
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        say(f"training.compile: failed, training goes on without it ({reason[:200]})")
        return False
    return True


def _try_part(part: nn.Module, device: torch.device, bf16: bool) -> None:
    """One step with and one without gradients, of two shapes."""
    dim = part.norm.normalized_shape[0] if isinstance(part, FeedForward) else 0
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for rows, frames in ((2, 24), (3, 40)):
            if isinstance(part, DecoderLayer):
                dim = part.ff_norm.normalized_shape[0]
                wide = part.memory_attention.to_keys_values.in_features
                memory = torch.randn(rows, 2 * frames, wide, device=device, requires_grad=True)
                mask = torch.ones(rows, 1, 1, 2 * frames, dtype=torch.bool, device=device)
                given = torch.randn(rows, frames, dim, device=device, requires_grad=True)
                part(given, memory, mask).float().sum().backward()
            else:
                given = torch.randn(rows, frames, dim, device=device, requires_grad=True)
                part(given).float().sum().backward()
    part.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forked(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []


def gpu_figures(device: torch.device) -> dict[str, float]:
    """`gpu_gib`, the most memory that tensors held so far, and `gpu_percent`, the share of the
    last moment in which the GPU was busy, where NVIDIA's library can be asked; empty elsewhere.
    """
    if device.type != "cuda":
        return {}
    figures = {"gpu_gib": torch.cuda.max_memory_allocated(device) / 2**30}
    try:
        figures["gpu_percent"] = float(torch.cuda.utilization(device))
    except Exception as error:  # no pynvml, or one that may not ask: of several kinds
        log.debug("the GPU's utilisation is not known: %s", error)
    return figures
