"""What transcribing runs on."""

from __future__ import annotations

import torch

from asr.errors import ConfigError

#: Seconds of sound that are decoded together, padding counted.
BATCH_SECONDS = {"cpu": 60.0, "cuda": 600.0}


def chosen_device(device: str | torch.device) -> torch.device:
    """The torch device that "auto", "cpu", "cuda" or "cuda:N" stands for here.

    Raises:
        ConfigError: there is no such device here.
    """
    device = str(device)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = device.partition(":")
    if kind not in BATCH_SECONDS or (number and not number.isdecimal()):
        raise ConfigError(f"device '{device}': there are auto, cpu, cuda and cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device '{device}': torch {torch.__version__} sees {torch.cuda.device_count()} "
            "CUDA devices here; use --device cpu (device='cpu')"
        )
    return torch.device(device)
