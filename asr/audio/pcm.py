"""Raw samples from pipes, sockets and sound cards: bytes without a header, and several channels."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from asr.audio.limits import AudioLimits
from asr.audio.samples import as_array, as_floats
from asr.errors import AudioError

#: Little endian; int16 has its full scale at 32768, float32 at 1.
PcmFormat = Literal["int16", "float32"]
PCM_FORMATS: tuple[str, ...] = get_args(PcmFormat)

_DTYPES = {"int16": "<i2", "float32": "<f4"}


class PcmReader:
    """Turns the blocks of one live source, bytes or arrays, into blocks of one channel.

    Bytes may be cut anywhere: what is left of a sample waits for the next block.

    Args:
        pcm: what bytes are.
        channels: how many of them are interleaved in bytes.
        channel: which to take, from 0; None is the mean of all. (The mix of files, see
            `asr.audio.mix`, keeps the level of recordings on one side; for that one has to know
            the whole recording.)

    Raises:
        AudioError: no such format, or no such channel.
    """

    def __init__(
        self, pcm: PcmFormat = "int16", channels: int = 1, channel: int | None = None
    ) -> None:
        if pcm not in _DTYPES:
            raise AudioError(f"PCM format '{pcm}': there are {' and '.join(PCM_FORMATS)}")
        if not 1 <= channels <= AudioLimits.max_channels:
            raise AudioError(f"{channels} channels; give 1 to {AudioLimits.max_channels}")
        if channel is not None and channel < 0:
            raise AudioError(f"channel {channel}: channels are counted from 0")
        self._dtype = np.dtype(_DTYPES[pcm])
        self._channels = channels
        self._channel = channel
        self._rest = b""
        if channels > 1:
            self._one(np.zeros((0, channels), np.float32))

    def __call__(self, block: Any) -> Any:
        """One channel (n,) of `block`: bytes, or samples (n,) or (n, channels).

        What is neither is handed on, for the stream to say what is wrong with it.

        Raises:
            AudioError: there is no such channel in it.
        """
        if isinstance(block, bytes | bytearray | memoryview):
            block = self._samples(bytes(block))
        if getattr(block, "ndim", 1) == 2:
            return self._one(np.asarray(block))
        return block

    def close(self) -> None:
        """The source has ended.

        Raises:
            AudioError: within a sample.
        """
        left, self._rest = len(self._rest), b""
        if left:
            raise AudioError(
                f"the sound ended within a sample, {left} bytes of it were left; check the format "
                "and the number of channels"
            )

    def _samples(self, data: bytes) -> np.ndarray:
        """(n,) or (n, channels) of the bytes that are complete."""
        data = self._rest + data
        size = self._dtype.itemsize * self._channels
        whole = len(data) // size * size
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], self._dtype).astype(self._dtype.newbyteorder("="))
        return samples if self._channels == 1 else samples.reshape(-1, self._channels)

    def _one(self, block: np.ndarray) -> np.ndarray:
        count = block.shape[1]
        if self._channel is not None and self._channel >= count:
            raise AudioError(f"channel {self._channel}: there are {count} channels, counted from 0")
        if self._channel is not None or count < 2:
            return block[:, self._channel or 0]
        floats = as_floats(as_array(block))
        # One after the other: numpy's mean may order its additions by the block's size.
        mono = floats[:, 0].copy()
        for channel in range(1, count):
            mono += floats[:, channel]
        mono /= np.float32(count)
        return mono
