"""What a live stream can listen to, as blocks that a `Stream` can be fed."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from asr.audio import Audio, AudioLimits, Microphone, PcmFormat, PcmReader, open_audio
from asr.audio.sniff import HEAD_BYTES, audio_file_kind
from asr.errors import AudioError

#: A path of a recording in any format; a `Microphone`; raw samples: an iterable or asynchronous
#: iterable of blocks (arrays, or bytes of PCM), a binary file or pipe of PCM, an
#: asyncio.StreamReader; or all of the samples as one array.
LiveSource: TypeAlias = Any

#: How many bytes are read at once, at most: 0.1 s of int16 at 20 kHz.
READ_BYTES = 4096


@dataclass(frozen=True)
class LiveBlocks:
    """A source that was opened: `blocks`, mono, at `rate`.

    Exactly one of `blocks` (in some thread, since it may wait) and `later` (in an event loop) is
    there. `close` lets go of what was opened here, where the blocks are read. `wake` ends a source
    that waits for sound, from any thread: what has come already still comes out.
    """

    rate: int
    blocks: Iterator[Any] | None
    later: AsyncIterator[Any] | None = None
    close: Callable[[], None] = lambda: None
    wake: Callable[[], None] | None = None


def open_live(
    source: LiveSource,
    sample_rate: int | None,
    rate: int,
    pcm: PcmFormat = "int16",
    channels: int = 1,
    channel: int | None = None,
    limits: AudioLimits | None = None,
) -> LiveBlocks:
    """Opens a source.

    Args:
        sample_rate: of raw samples, which carry none themselves.
        rate: what recordings are decoded to.
        pcm, channels, channel: as `PcmReader`.

    Raises:
        AudioError: it is no source of sound, it cannot be opened, or its rate is missing.
    """
    if isinstance(source, str | os.PathLike):
        if sample_rate is not None:
            raise AudioError(f"{source}: sample_rate is for raw samples; a file says its own")
        opened = open_audio(source, rate, limits or AudioLimits())
        return LiveBlocks(rate, iter(opened), close=opened.close)
    if isinstance(source, Audio):
        return LiveBlocks(source.rate, iter([source.samples]))
    reader = PcmReader(pcm, channels, channel)
    if isinstance(source, Microphone):
        return LiveBlocks(source.rate, _blocks(source, reader), wake=source.close)
    if sample_rate is None:
        raise AudioError(
            "live sound: raw samples do not say how fast they go, so pass sample_rate=...; "
            "a microphone is asr.Microphone()"
        )
    if isinstance(source, AsyncIterable):  # a StreamReader is one too, but of lines
        if hasattr(source, "read"):
            return LiveBlocks(sample_rate, None, _later(_read_later(source), reader))
        return LiveBlocks(sample_rate, None, _later(source, reader))
    if hasattr(source, "read"):
        return LiveBlocks(sample_rate, _blocks(_read(source), reader))
    if isinstance(source, np.ndarray | torch.Tensor | bytes | bytearray | memoryview):
        return LiveBlocks(sample_rate, _blocks([source], reader))
    if isinstance(source, Iterable):
        return LiveBlocks(sample_rate, _blocks(source, reader))
    raise AudioError(
        f"{type(source).__name__}: not something to listen to; give blocks of samples, a binary "
        "file of PCM, a path or a microphone"
    )


def _blocks(source: Iterable[Any], reader: PcmReader) -> Iterator[Any]:
    for number, block in enumerate(source):
        if number == 0:
            _check_raw(block)
        yield _copied(reader(block))
    reader.close()


async def _later(source: AsyncIterable[Any], reader: PcmReader) -> AsyncIterator[Any]:
    first = True
    async for block in source:
        if first:
            _check_raw(block)
        first = False
        yield _copied(reader(block))
    reader.close()


def _check_raw(block: Any) -> None:
    """Refuses the first bytes of an audio file where raw samples are expected.

    Raises:
        AudioError: they are.
    """
    if isinstance(block, bytes | bytearray | memoryview):
        kind = audio_file_kind(bytes(block[:HEAD_BYTES]))
        if kind is not None:
            raise AudioError(
                f"live sound: this looks like {kind}, not like raw samples; transcribe the file "
                "(asr transcribe), or give its path (asr stream --simulate)"
            )


def _copied(block: Any) -> Any:
    """A copy of samples that wait to be decoded: a source may fill the same array again."""
    if isinstance(block, np.ndarray | list):
        return block.copy()
    return block.clone() if isinstance(block, torch.Tensor) else block


def _read(file: Any) -> Iterator[bytes]:
    """What a binary file or pipe holds, as soon as it comes."""
    standard = getattr(sys.stdin, "buffer", None)
    if standard is not None and file is standard and hasattr(file, "raw"):
        # A buffer's lock, held by a thread that waits for bytes, would stop Python from ending.
        file = file.raw
    read = getattr(file, "read1", None) or file.read
    while True:
        try:
            data = read(READ_BYTES)
        except (OSError, ValueError) as error:
            raise AudioError(f"live sound: cannot be read ({error})") from error
        if data is None:
            raise AudioError("live sound: has no bytes yet; open it in blocking mode")
        if not isinstance(data, bytes | bytearray | memoryview):
            raise AudioError("live sound: opened as text; open it in binary mode")
        if not data:
            return
        yield bytes(data)


async def _read_later(reader: Any) -> AsyncIterator[bytes]:
    while data := await reader.read(READ_BYTES):
        yield data
