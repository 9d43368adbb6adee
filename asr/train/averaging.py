"""Snapshots of the weights, each with its dev loss, and their mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from asr.train.checkpoint import write_whole


class Snapshots:
    """Keeps the weights of up to `keep` validations in `folder`.

    Args:
        by: `last` keeps the latest, `best` those of the lowest dev loss, `none` nothing.
    """

    def __init__(self, folder: Path, keep: int, by: str) -> None:
        self.folder = folder
        self.keep = keep
        self.by = by
        self.kept: dict[int, float] = {}  # step: dev loss

    def add(self, module: nn.Module, step: int, loss: float | None) -> None:
        """Writes the weights that `module` has now, and removes what is one too many.

        `loss` is None where there is no dev set; then `best` keeps nothing.

        Raises:
            TrainingError: it cannot be written.
        """
        if self.by == "none" or (self.by == "best" and loss is None):
            return
        weights = {name: tensor.contiguous() for name, tensor in _unique(module).items()}
        write_whole(self._path(step), lambda file: _fill(file, save(weights)))
        self.kept[step] = float("inf") if loss is None or loss != loss else loss
        best_first = sorted(self.kept, key=lambda at: self.kept[at] if self.by == "best" else -at)
        for gone in best_first[self.keep :]:
            del self.kept[gone]
            self._path(gone).unlink(missing_ok=True)

    def average(self) -> dict[str, Tensor] | None:
        """The mean of what is kept (Izmailov et al. 2018), None of fewer than two."""
        paths = [path for step in self.kept if (path := self._path(step)).exists()]
        if len(paths) < 2:
            return None
        total: dict[str, Tensor] = {}
        for path in paths:
            for name, tensor in load_file(path).items():
                total[name] = total[name] + tensor.double() if name in total else tensor.double()
        return {name: (tensor / len(paths)).float() for name, tensor in total.items()}

    def state(self) -> dict[str, Any]:
        """Which snapshots there are."""
        return {"kept": dict(self.kept)}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to the snapshots that a checkpoint knows; later ones are removed."""
        self.kept = {
            step: loss for step, loss in state["kept"].items() if self._path(step).exists()
        }
        for path in self.folder.glob("step-*.safetensors"):
            if path not in {self._path(step) for step in self.kept}:
                path.unlink()

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08}.safetensors"


def _fill(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _unique(module: nn.Module) -> dict[str, Tensor]:
    """The state without second names of tied tensors, on the CPU."""
    seen: dict[int, str] = {}
    state = module.state_dict()
    return {n: t.cpu() for n, t in state.items() if seen.setdefault(t.data_ptr() or id(t), n) == n}


@torch.no_grad()
def put_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copies `weights` (without second names of tied tensors) into `module`."""
    module.load_state_dict(weights, strict=False)
