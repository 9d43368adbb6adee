"""The microphone, by way of PortAudio (`pip install 'asr[mic]'`)."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from asr.dependencies import first_line, need
from asr.errors import AudioError, ConfigError

#: A device that gives nothing for so long is gone: unplugged, or taken by another program.
GONE_SECONDS = 3.0
#: Sound that nobody has fetched. Past this the program is hopelessly slow, and is told so.
MOST_WAITING_SECONDS = 600.0


def input_devices() -> list[str]:
    """The devices that can record, each as `number: name (channels, rate)`.

    Raises:
        DependencyError: sounddevice or PortAudio is missing.
    """
    sounddevice = _sounddevice()
    try:
        devices, usual = sounddevice.query_devices(), _usual(sounddevice)
    except sounddevice.PortAudioError as error:
        raise AudioError(f"the sound devices cannot be listed: {first_line(error)}") from error
    return [
        f"{number}: {entry['name']} ({entry['max_input_channels']} channels, "
        f"{entry['default_samplerate']:.0f} Hz{', default' if number == usual else ''})"
        for number, entry in enumerate(devices)
        if entry["max_input_channels"] > 0
    ]


class Microphone:
    """Blocks (n, channels) of int16 from a sound device, from now on until `close`.

    Iterate in one thread; sound that comes meanwhile waits and is never dropped here. What the
    system lost before it got here is counted in `overruns`.

    Args:
        device: number or part of a name, as `input_devices` lists them; None is the default one.
        sample_rate: None is what the device prefers.
        channels: to record.
        block_seconds: how much sound comes at once.

    Raises:
        DependencyError: sounddevice or PortAudio is missing.
        AudioError: there is no such device, or it cannot be opened; those that there are are named.
        ConfigError: `channels` or `block_seconds` makes no sense.
    """

    def __init__(
        self,
        device: int | str | None = None,
        sample_rate: int | None = None,
        channels: int = 1,
        block_seconds: float = 0.05,
    ) -> None:
        if channels < 1 or not 0.001 <= block_seconds <= 10:
            raise ConfigError(
                f"a microphone has at least 1 channel and blocks of 0.001 to 10 s, got {channels} "
                f"and {block_seconds}"
            )
        sounddevice = _sounddevice()
        self.overruns = 0
        self._blocks: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._closed = False
        if isinstance(device, str) and device.isdecimal():
            device = int(device)
        try:
            known = sounddevice.query_devices(device, "input")
            self.rate = int(sample_rate or known["default_samplerate"])
            self.name: str = known["name"]
            self._stream = sounddevice.InputStream(
                samplerate=self.rate,
                blocksize=round(block_seconds * self.rate),
                device=device,
                channels=channels,
                dtype="int16",
                callback=self._came,
                finished_callback=lambda: self._blocks.put(None),
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            asked = "the default microphone" if device is None else f"microphone '{device}'"
            raise AudioError(
                f"{asked}: cannot be opened: {first_line(error)}; {_there_are()}"
            ) from error
        self._most = int(MOST_WAITING_SECONDS / block_seconds)

    def __enter__(self) -> Microphone:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        """The next block, when it has come.

        Raises:
            AudioError: the device has gone, or this program is minutes behind it.
        """
        try:
            block = self._blocks.get(timeout=GONE_SECONDS)
        except queue.Empty:
            block = None
        if block is not None:
            if self._blocks.qsize() > self._most:
                self.close()
                raise AudioError(
                    f"microphone '{self.name}': {MOST_WAITING_SECONDS:.0f} s of sound waited to be "
                    "heard and are given up; this machine is too slow for this model"
                )
            return block
        if self._closed:
            raise StopIteration
        self.close()
        raise AudioError(f"microphone '{self.name}' gives no sound any more; {_there_are()}")

    def close(self) -> None:
        """Ends the recording; twice is allowed, and from any thread. What has come stays."""
        if not self._closed:
            self._closed = True
            self._stream.close(ignore_errors=True)
            self._blocks.put(None)

    def _came(self, block: np.ndarray, frames: int, time: Any, status: Any) -> None:
        """PortAudio has a block, which is only lent."""
        self.overruns += bool(status.input_overflow)
        self._blocks.put(block.copy())


def _sounddevice() -> ModuleType:
    return need("sounddevice", "mic")


def _usual(sounddevice: ModuleType) -> int:
    """The number of the default input, -1 where there is none."""
    return int(sounddevice.default.device[0])


def _there_are() -> str:
    """The devices that there are, for a message."""
    try:
        devices = input_devices()
    except AudioError as error:
        return str(error)
    if not devices:
        return "there is no device to record with here; plug one in, or check its permissions"
    return f"devices: {'; '.join(devices)}"
