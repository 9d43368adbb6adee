"""Decoding with FFmpeg in a process of its own, which a damaged file may crash, hang or fill.

FFmpeg reads hundreds of formats in C, and damaged files crash it now and then. The process that
does it (`decoding_process.py`) is started for the first such file, and reads the next one after
that; a thread that decodes meanwhile has another one.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from asr.audio.byte_source import ByteSource
from asr.audio.decoder import BLOCK_FRAMES, Block, CannotDecodeError
from asr.audio.messages import (
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
    READY,
    receive,
    send,
    unpack_range,
)
from asr.errors import AudioError

#: Seconds that one step (opening a file, or the next block of it) may take.
STEP_SECONDS = 60.0
#: Processes that wait for the next file, at most; a process ends after so many files.
_MOST_IDLE = 4
_MOST_FILES = 1000

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from asr.audio.decoding_process import main; main(float(sys.argv[2]))"
)


class DecoderDiedError(Exception):
    """The process ended while it decoded; the text says how. Never leaves this package."""


class _Process:
    """One decoding process."""

    def __init__(self) -> None:
        self.files = 0
        self.step_seconds = STEP_SECONDS
        path = json.dumps([os.path.abspath(folder) for folder in sys.path])
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _START, path, str(STEP_SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in a terminal is for the program alone
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        try:
            if receive(self._popen.stdout)[0] != READY:  # type: ignore[arg-type]
                raise EOFError
        except BaseException as error:
            self.kill()
            if isinstance(error, EOFError):
                raise AudioError(
                    "the process that decodes audio with FFmpeg did not start "
                    f"(exit status {self._popen.returncode}); run `asr doctor`, or reinstall 'av'"
                ) from None
            raise

    def ask(self, source: ByteSource, tag: bytes, contents: bytes = b"") -> tuple[bytes, bytearray]:
        """Sends a message and returns the answer to it; bytes of `source` are read meanwhile.

        Raises:
            DecoderDiedError: there is none.
        """
        inbox: Any = self._popen.stdout
        outbox: Any = self._popen.stdin
        try:
            send(outbox, tag, contents)
            while True:
                answer, data = receive(inbox)
                if answer != READ:
                    return answer, data
                send(outbox, DATA, source.bytes_at(*unpack_range(data)))
        except (EOFError, OSError):
            raise DecoderDiedError(self._how_it_ended()) from None

    def _how_it_ended(self) -> str:
        try:
            status = self._popen.wait(1.0)
        except subprocess.TimeoutExpired:
            status = None  # it lives, but sends nonsense
        if status == 1:  # its watchdog's
            return f"took more than {self.step_seconds:g} s over one place"
        return "crashed" if status is None else f"crashed (exit status {status})"

    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """Ends the process and waits for that; twice is allowed."""
        self._popen.kill()
        with self._popen:  # closes the pipes
            pass


class _Pool:
    """The processes that wait for a file."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """In a process that was forked: the processes of its parent are not its own."""
        self._lock = threading.Lock()
        self._idle: list[_Process] = []

    def take(self) -> _Process:
        """A process that waits, or a new one."""
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return _Process()
            if process.alive():
                return process
            process.kill()

    def give_back(self, process: _Process) -> None:
        """Keeps a process for the next file, unless it has done its share."""
        process.files += 1
        with self._lock:
            if process.files < _MOST_FILES and len(self._idle) < _MOST_IDLE:
                self._idle.append(process)
                return
        process.kill()

    def close(self) -> None:
        """Ends all that wait."""
        with self._lock:
            processes, self._idle = self._idle, []
        for process in processes:
            process.kill()


_POOL = _Pool()
atexit.register(_POOL.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)


class ChildDecoder:
    """A decoder (see `asr.audio.decoder.AudioDecoder`): `AvDecoder` in another process."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.notes: list[str] = []
        self.complete = True
        self._process: _Process | None = _POOL.take()
        try:
            request = {"size": source.size, "block_frames": BLOCK_FRAMES}
            info = json.loads(self._ask(OPEN, json.dumps(request).encode())[1])
            self.rate, self.channels = int(info["rate"]), int(info["channels"])
        except DecoderDiedError as error:
            raise CannotDecodeError(f"its decoder {error}") from None
        except BaseException:
            self.close()
            raise

    def blocks(self) -> Iterator[Block]:
        """The samples in order; where the process dies, as far as they came."""
        count = 0
        while True:
            try:
                tag, data = self._ask(NEXT)
            except DecoderDiedError as error:
                if not count:
                    raise self._source.problem(
                        f"damaged: its decoder {error}; convert it to wav or flac, or copy it again"
                    ) from None
                self.complete = False
                self.notes.append(f"its decoder {error}: the rest is not read")
                return
            if tag == END:
                end = json.loads(data)
                self.notes += [str(note) for note in end["notes"]]
                self.complete = bool(end["complete"])
                return
            count += 1
            yield np.frombuffer(data, np.float32).reshape(-1, self.channels)

    def _ask(self, tag: bytes, contents: bytes = b"") -> tuple[bytes, bytearray]:
        """The answer to a message, if it is no error."""
        if self._process is None:
            raise DecoderDiedError("was closed")
        process, self._process = self._process, None
        try:
            answer, data = process.ask(self._source, tag, contents)
        except BaseException:
            process.kill()  # what it would answer next is not known
            raise
        self._process = process
        if answer == CANNOT:
            raise CannotDecodeError(data.decode())
        if answer == PROBLEM:
            raise self._source.problem(data.decode())
        if answer == FAILED:
            raise self._source.problem(
                f"damaged: its decoder failed ({data.decode()}); convert it to wav or flac, or "
                "copy it again"
            )
        return answer, data

    def close(self) -> None:
        """Gives the process back; twice is allowed."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.ask(self._source, CLOSE)
        except BaseException as error:
            process.kill()
            if not isinstance(error, DecoderDiedError):
                raise
        else:
            _POOL.give_back(process)


def container_seconds(source: ByteSource) -> float:
    """The seconds that a container claims, 0 where it claims none or cannot be read."""
    process = _POOL.take()
    try:
        tag, data = process.ask(source, LENGTH, json.dumps({"size": source.size}).encode())
    except DecoderDiedError:
        process.kill()
        return 0.0
    except BaseException:
        process.kill()
        raise
    _POOL.give_back(process)
    return float(json.loads(data)["seconds"]) if tag == INFO else 0.0
