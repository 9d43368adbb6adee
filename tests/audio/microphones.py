"""A sounddevice that needs no sound card: what it records is what a test puts into it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


class PortAudioError(Exception):
    """As sounddevice's."""


class FakeSoundDevice:
    """The part of the module that is used. `say` is what a driver does when it has a block."""

    PortAudioError = PortAudioError

    def __init__(self, *names: str) -> None:
        self.devices = [
            {"name": name, "max_input_channels": 2, "default_samplerate": 16000.0} for name in names
        ]
        self.devices.append(
            {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 48000.0}
        )
        self.default = SimpleNamespace(device=[0 if names else -1, 0])
        self.busy = False
        self.options: dict[str, Any] = {}
        self.started: Callable[[], None] = lambda: None

    def query_devices(self, device: int | str | None = None, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        for number, one in enumerate(self.devices):
            wanted = device in (None, number) or (
                isinstance(device, str) and device.lower() in one["name"].lower()
            )
            if wanted and one["max_input_channels"]:
                return one
        if isinstance(device, str):
            raise ValueError(f"No input device matching {device!r}")
        raise PortAudioError(f"Error querying device {-1 if device is None else device}")

    def InputStream(self, **options: Any) -> FakeSoundDevice:
        if self.busy:
            raise PortAudioError("Error opening InputStream: Device unavailable [PaError -9985]")
        self.options = options
        return self

    def start(self) -> None:
        self.started()

    def close(self, ignore_errors: bool = True) -> None:
        self.options["finished_callback"]()

    def say(self, block: np.ndarray, overflow: bool = False) -> None:
        status = SimpleNamespace(input_overflow=overflow)
        lent = block.copy()
        self.options["callback"](lent, len(lent), None, status)
        lent[:] = 77

    def unplug(self) -> None:
        self.options["finished_callback"]()


def plugged(monkeypatch: pytest.MonkeyPatch, *names: str) -> FakeSoundDevice:
    """Makes microphones of these names the only ones there are."""
    fake = FakeSoundDevice(*names)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake
