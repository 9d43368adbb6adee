"""Lightning's Trainer as all runs use it: recognisers and language models.

Lightning brings devices, strategies, cluster environments, checkpoints, loggers and callbacks. Ours
is what it does not have: `TrainingLoop` counts steps, not batches, and decides when a run ends.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from asr.errors import AsrError, TrainingError
from asr.train.checkpoint import SafeCheckpointIO
from asr.train.devices import Devices
from asr.train.loop import TrainingLoop
from asr.train.steps import StepModule

#: How long processes wait for the first one to prepare the data.
PATIENCE = timedelta(hours=6)
#: Says in the environment of processes that Lightning starts for a run which process did.
_STARTED_BY = "ASR_STARTED_BY"
#: Linux: a signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


def make_trainer(
    devices: Devices,
    folder: Path,
    callbacks: Sequence[pl.Callback],
    loggers: Sequence[Logger] = (),
    find_unused: bool = False,
) -> pl.Trainer:
    """A Trainer for a run in `folder`.

    Args:
        callbacks: called in this order, but for Lightning's own checkpoints, which come last.
        find_unused: whether some weights may get no gradient from a batch, which DDP must look for.
    """
    strategy: Any = "auto"
    if devices.strategy == "ddp":
        strategy = DDPStrategy(find_unused_parameters=find_unused, timeout=PATIENCE)
    elif devices.strategy == "fsdp":
        strategy = ModelParallelStrategy(
            data_parallel_size=devices.processes,
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
            timeout=PATIENCE,
        )
    plugins: list[Any] = [SafeCheckpointIO()]
    if SLURMEnvironment.detect():
        # requeueing would save in the middle of a step, from where no run goes on exactly
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return pl.Trainer(
        accelerator=devices.accelerator,
        devices=devices.count,
        num_nodes=devices.nodes,
        strategy=strategy,
        precision=devices.precision,  # type: ignore[arg-type]
        # the loop ends a run, by steps, epochs or time; also one that has ended before, of which
        # Lightning would call no hook
        max_epochs=-1,
        callbacks=list(callbacks),
        logger=list(loggers),
        plugins=plugins,
        enable_checkpointing=any(isinstance(c, pl.callbacks.Checkpoint) for c in callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        default_root_dir=str(folder),
    )


def fit(
    trainer: pl.Trainer,
    module: StepModule,
    data: pl.LightningDataModule,
    loop: TrainingLoop,
    resumed: Path | None,
) -> None:
    """Trains until the run ends, or Ctrl-C ends it in order.

    Raises:
        KeyboardInterrupt: at the second Ctrl-C.
        AsrError: it cannot go on.
    """
    checkpoint = str(resumed) if resumed is not None else None
    try:
        os.environ[_STARTED_BY] = str(os.getpid())
        with loop.interruptible(trainer, module):
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    except BaseException as error:
        end_children(trainer)
        if isinstance(error, SystemExit):  # what Lightning makes of a second Ctrl-C
            raise KeyboardInterrupt from None
        if is_of_another_process(error, trainer.world_size):
            raise TrainingError(
                "another process of the run has failed, see above; mend that, and run the same "
                "command again"
            ) from error
        raise
    finally:
        os.environ.pop(_STARTED_BY, None)


def is_of_another_process(error: BaseException, processes: int) -> bool:
    """Whether `error` says no more than that a process is gone which this one exchanges with."""
    if processes == 1 or isinstance(error, AsrError) or not isinstance(error, RuntimeError):
        return False
    # gloo and NCCL have no class of error for it
    gone = ("Connection closed by peer", "Connection reset by peer", "remote process exited")
    return any(text in str(error) for text in gone)


def end_children(trainer: pl.Trainer) -> None:
    """Ends processes that this one has started: they would wait for it for ever."""
    if (launcher := trainer.strategy.launcher) is not None:
        # Windows has no SIGKILL, and ends a process at once at any signal
        launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))


def end_with_parent() -> None:
    """Has a process that was started for a run end with the one that started it, even if that is
    killed: it would wait for it for hours.

    Where torchrun or a cluster starts the processes, that is for them to do. On systems other than
    Linux such a process ends when it next exchanges gradients.
    """
    parent = os.environ.pop(_STARTED_BY, None)
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it has ended before
        os._exit(1)


def quiet() -> None:
    """Keeps libraries from talking over the run: Lightning's tips, TensorFlow's notes on import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    for module in (r"lightning\..*", r"torch\..*", r"lhotse\..*"):
        warnings.filterwarnings("ignore", module=module)
