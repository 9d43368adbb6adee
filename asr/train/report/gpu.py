"""What a run tells of its GPU."""

from __future__ import annotations

import logging

import torch

log = logging.getLogger(__name__)


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
