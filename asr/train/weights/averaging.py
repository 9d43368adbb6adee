"""Snapshots of the weights, each with its dev loss, and their mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from asr.model.weights import unique_weights
from asr.train.checkpoint import state_file


class Snapshots:
    """Keeps the weights of up to `keep` validations in `folder`.

    All processes know what is kept; the first one writes, reads and removes the files. A file goes
    only in `prune`, once a checkpoint has been written that does not list it: whatever a resumed
    run goes back to is there.

    Args:
        by: `last` keeps the latest, `best` those of the lowest dev loss, `none` nothing.
    """

    def __init__(self, folder: Path, keep: int, by: str) -> None:
        self.folder = folder
        self.keep = keep
        self.by = by
        self.kept: dict[int, float] = {}  # step: dev loss

    def add(self, module: nn.Module, step: int, loss: float | None, write: bool) -> None:
        """Takes the weights that `module` has now.

        Args:
            loss: on the dev set; None where there is none, then `best` keeps nothing.
            write: whether this process writes the file.

        Raises:
            TrainingError: it cannot be written.
        """
        if self.by == "none" or (self.by == "best" and loss is None):
            return
        if write:
            weights = {name: one.cpu().contiguous() for name, one in unique_weights(module).items()}
            with state_file(self._path(step)) as file:
                file.write(save(weights))
        self.kept[step] = float("inf") if loss is None or loss != loss else loss
        best_first = sorted(self.kept, key=lambda at: self.kept[at] if self.by == "best" else -at)
        for gone in best_first[self.keep :]:
            del self.kept[gone]

    def prune(self) -> None:
        """Removes the files of snapshots that are not kept."""
        kept = {self._path(step) for step in self.kept}
        for path in self.folder.glob("step-*.safetensors"):
            if path not in kept:
                path.unlink(missing_ok=True)

    @torch.no_grad()
    def average_into(self, module: nn.Module, first: bool, world_size: int) -> bool:
        """Fills `module` with the mean of what is kept (Izmailov et al. 2018), in all processes.

        Returns:
            False, with nothing done, where fewer than two are kept.
        """
        if len(self.kept) < 2:
            return False
        own = unique_weights(module)
        if first:
            paths = [path for step in self.kept if (path := self._path(step)).exists()]
            for name, mean in _mean(paths).items():
                own[name].copy_(mean)
        if world_size > 1:
            for tensor in own.values():
                torch.distributed.broadcast(tensor, src=0)
        return True

    def state(self) -> dict[str, Any]:
        """Which snapshots there are."""
        return {"kept": dict(self.kept)}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to the snapshots that a checkpoint knows."""
        self.kept = dict(state["kept"])

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08}.safetensors"


def _mean(paths: list[Path]) -> dict[str, Tensor]:
    total: dict[str, Tensor] = {}
    for path in paths:
        for name, tensor in load_file(path).items():
            total[name] = total[name] + tensor.double() if name in total else tensor.double()
    return {name: tensor / len(paths) for name, tensor in total.items()}
