"""What runs in a process that decodes with FFmpeg: one file after the other, asked by messages.

It opens no file itself: bytes come from the process that started it, which has the file open. Its
memory is limited, and so is the time of one step; past either it ends, and the other side reports
the file.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from asr.audio.av_decoder import CONTAINERS, LIBRARY_ERRORS, AvDecoder
from asr.audio.decoder import Block, CannotDecodeError
from asr.audio.messages import (
    BLOCK,
    CANNOT,
    CLOSE,
    DATA,
    END,
    FAILED,
    INFO,
    LENGTH,
    NEXT,
    OPEN,
    PROBLEM,
    READ,
    READ_BYTES,
    READY,
    pack_range,
    receive,
    send,
    send_json,
)
from asr.errors import AudioError

#: Bytes beyond what the process has when it starts: the index of a day of video takes a tenth.
MEMORY_BYTES = 1 << 30


class _RemoteBytes(io.RawIOBase):
    """The file, read by messages."""

    def __init__(self, inbox: Any, outbox: Any, size: int) -> None:
        super().__init__()
        self._inbox, self._outbox, self._size = inbox, outbox, size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        # A damaged index may point anywhere; a place before the start is the start.
        self._place = start + offset if 0 <= start + offset < 1 << 62 else 0
        return self._place

    def readinto(self, buffer: Any) -> int:
        send(self._outbox, READ, pack_range(self._place, min(len(buffer), READ_BYTES)))
        tag, data = receive(self._inbox)
        if tag != DATA:
            raise EOFError
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


class RemoteSource(io.BufferedReader):
    """The file as `AvDecoder` wants it."""

    def __init__(self, inbox: Any, outbox: Any, size: int) -> None:
        super().__init__(_RemoteBytes(inbox, outbox, size), READ_BYTES)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a place; one that no file has is the start."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return super().seek(0)

    def problem(self, text: str) -> AudioError:
        """The error that says `text`; the other side adds the file's name."""
        return AudioError(text)


class _Server:
    """Answers messages about one file at a time."""

    def __init__(self, inbox: Any, outbox: Any) -> None:
        self._inbox, self._outbox = inbox, outbox
        self._decoder: AvDecoder | None = None
        self._blocks: Iterator[Block] = iter(())

    def answer(self, tag: bytes, contents: bytearray) -> None:
        """Does what one message asks for, and sends the one answer to it."""
        try:
            if tag == OPEN:
                self._open(json.loads(contents))
            elif tag == LENGTH:
                self._length(json.loads(contents))
            elif tag == NEXT:
                self._next()
            elif tag == CLOSE:
                self._close()
        except CannotDecodeError as error:
            send(self._outbox, CANNOT, str(error).encode())
        except AudioError as error:
            send(self._outbox, PROBLEM, str(error).encode())
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:  # what FFmpeg made of a damaged file concerns that file only
            send(self._outbox, FAILED, f"{type(error).__name__}: {error}".encode())

    def _open(self, request: dict[str, Any]) -> None:
        source = RemoteSource(self._inbox, self._outbox, request["size"])
        self._decoder = AvDecoder(source, request["block_frames"])
        self._blocks = self._decoder.blocks()
        info = {"rate": self._decoder.rate, "channels": self._decoder.channels}
        send_json(self._outbox, INFO, info)

    def _length(self, request: dict[str, Any]) -> None:
        source = RemoteSource(self._inbox, self._outbox, request["size"])
        options = {"format_whitelist": CONTAINERS}
        try:
            with av.open(source, "r", metadata_errors="ignore", options=options) as container:
                seconds = (container.duration or 0) / av.time_base
        except LIBRARY_ERRORS:
            seconds = 0.0
        send_json(self._outbox, INFO, {"seconds": seconds})

    def _next(self) -> None:
        assert self._decoder is not None
        block = next(self._blocks, None)
        if block is None:
            end = {"notes": self._decoder.notes, "complete": self._decoder.complete}
            send_json(self._outbox, END, end)
        else:
            whole: Any = np.ascontiguousarray(block, np.float32)
            send(self._outbox, BLOCK, memoryview(whole).cast("B"))

    def _close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
        self._decoder, self._blocks = None, iter(())
        send_json(self._outbox, INFO, {})


def _limit_memory() -> None:
    """Bounds the process's address space; where the system has no such limit, nothing does."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = used + MEMORY_BYTES
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(step_seconds: float) -> None:
    """Answers until standard input ends; a step of more than `step_seconds` ends the process."""
    inbox = open(os.dup(0), "rb", buffering=0)  # noqa: SIM115 - until the process ends
    outbox = open(os.dup(1), "wb", buffering=0)  # noqa: SIM115
    silent = open(os.devnull, "r+b", buffering=0)  # noqa: SIM115
    for number in (0, 1):  # what a library prints is no message
        os.dup2(silent.fileno(), number)
    _limit_memory()
    server = _Server(inbox, outbox)
    try:
        send(outbox, READY)
        while True:
            tag, contents = receive(inbox)
            faulthandler.dump_traceback_later(step_seconds, exit=True, file=silent)
            server.answer(tag, contents)
            faulthandler.cancel_dump_traceback_later()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # whoever asked has ended
