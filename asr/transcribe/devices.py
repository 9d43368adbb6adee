"""What transcribing runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asr.errors import ConfigError

if TYPE_CHECKING:
    import torch

#: Seconds of sound that are decoded together, padding counted.
BATCH_SECONDS = {"cpu": 60.0, "cuda": 600.0}


def check_device(device: str) -> None:
    """Refuses what is the name of no device, here or elsewhere.

    Raises:
        ConfigError: it is none of auto, cpu, cuda and cuda:N.
    """
    kind, _, number = device.partition(":")
    if device != "auto" and (kind not in BATCH_SECONDS or (number and not number.isdecimal())):
        raise ConfigError(f"device '{device}': there are auto, cpu, cuda and cuda:N")


def chosen_device(device: str | torch.device) -> torch.device:
    """The torch device that "auto", "cpu", "cuda" or "cuda:N" stands for here.

    Raises:
        ConfigError: there is no such device here.
    """
    import torch

    device = str(device)
    check_device(device)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = device.partition(":")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device '{device}': torch {torch.__version__} sees {torch.cuda.device_count()} "
            "CUDA devices here; use --device cpu (device='cpu')"
        )
    return torch.device(device)
