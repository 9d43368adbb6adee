"""Opening a path or a stream as a seekable file with a name for messages.

What cannot seek (standard input, a named pipe, a socket, any stream object) is first copied into
a temporary file, up to the cap on bytes. Decoders could read some formats straight from a pipe,
but not all (the index of most MP4 files stands at the end), and none could then be asked how long
it should be. With the copy a pipe gives exactly what the same bytes give as a file, whether they
were cut off is known, and the file is read twice where the mix to mono needs it. The price is
disk space, and that nothing is decoded before the pipe ends; live sound has streams of its own.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from asr.audio.limits import AudioLimits
from asr.audio.sniff import HEAD_BYTES, ContentType, id3_bytes, sniff
from asr.errors import AudioError
from asr.urls import download_first, url_of

_CHUNK = 1 << 16
_LONGEST_PATH = 4096


class ByteSource:
    """A seekable binary file as the decoding libraries want it: read, readinto, seek, tell.

    An error of the operating system while reading (a disk or a network that fails) is kept in
    `failure` and looks like the end of the file, because the libraries call from C, where an
    exception cannot pass.

    An ID3 tag in front of another format than MP3 (tag editors put it before RIFF) is not part of
    the file as seen here: places count from behind it.

    Attributes:
        label: the name of the input, as it was given.
        display_name: the name for messages.
        size: bytes when it was opened.
        kind: what its first bytes say.
    """

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file = file
        self.label = label
        self.display_name = printable_name(label)
        self.failure: OSError | None = None
        self._start = 0
        self.size = file.seek(0, os.SEEK_END)
        head = self.bytes_at(0, HEAD_BYTES)
        self.kind: ContentType = sniff(head)
        behind = id3_bytes(head)
        if self.kind.key == "mp3" and 0 < behind < self.size:
            kind = sniff(self.bytes_at(behind, HEAD_BYTES))
            if kind.key not in ("", "unknown", "mp3"):
                self.kind, self._start, self.size = kind, behind, self.size - behind

    def __enter__(self) -> ByteSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; twice is allowed."""
        self._file.close()

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes; b"" at the end or after a failure."""
        try:
            return self._file.read(count)
        except OSError as error:
            self.failure = error
            return b""

    def readinto(self, buffer: Any) -> int:
        """Fills `buffer` as far as there are bytes; returns their number."""
        try:
            return self._file.readinto(buffer)  # type: ignore[attr-defined]
        except OSError as error:
            self.failure = error
            return 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to `offset`; a place before the start is the start."""
        if whence == os.SEEK_SET:
            offset += self._start
        try:
            place = self._file.seek(offset, whence)
        except (OSError, ValueError):  # a damaged index may point anywhere
            place = 0
        if place < self._start or place == 0:
            place = self._file.seek(self._start)
        return place - self._start

    def tell(self) -> int:
        """The current place in bytes."""
        return self._file.tell() - self._start

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on."""
        self.seek(offset)
        return self.read(count)

    def size_now(self) -> int:
        """The size of the file at this moment: it may have grown or shrunk."""
        try:
            return os.fstat(self._file.fileno()).st_size - self._start
        except OSError as error:
            self.failure = error
            return 0

    def problem(self, text: str) -> AudioError:
        """The error that says `text` about this input."""
        return problem(self.label, text)


def printable_name(label: str) -> str:
    """The name for a message of one line.

    A name that would break the line or the terminal (line breaks, control characters, bytes that
    are no text) is written as Python writes it.
    """
    return label if label.isprintable() and label else ascii(label)


def problem(label: str, text: str) -> AudioError:
    """The error that says `text` about the input called `label`."""
    return AudioError(f"{printable_name(label)}: {text}")


def open_bytes(
    source: str | bytes | os.PathLike[Any] | BinaryIO, limits: AudioLimits
) -> ByteSource:
    """Opens a path, "-" (standard input) or a binary stream.

    A stream is read from where it stands to its end and is left open.

    Raises:
        AudioError: it is not there, may not be read, is a folder, is empty or is over a limit.
    """
    if isinstance(source, bytes) and (len(source) > _LONGEST_PATH or b"\0" in source):
        raise AudioError(
            f"{len(source):,} bytes: not a path; to read sound from bytes, wrap them in io.BytesIO"
        )
    if isinstance(source, str) and source == "-":
        return _open_standard_input(limits)
    if isinstance(source, str | bytes | os.PathLike):
        return _open_path(source, limits)
    if hasattr(source, "read"):
        return _spool(source, _stream_label(source), limits)
    raise AudioError(
        f"{type(source).__name__}: not something that sound can be read from; give a path, a "
        "binary stream, or for an array of samples its sample rate as well"
    )


def _open_standard_input(limits: AudioLimits) -> ByteSource:
    if sys.stdin is None or not hasattr(sys.stdin, "buffer"):
        raise AudioError("standard input: it is closed; name a file, or pipe sound into it")
    if sys.stdin.isatty():
        raise AudioError("standard input: it is a terminal; name a file, or pipe sound into it")
    return _spool(sys.stdin.buffer, "standard input", limits)


def _open_path(path: str | bytes | os.PathLike[Any], limits: AudioLimits) -> ByteSource:
    label = os.fsdecode(path)
    try:
        file = open(path, "rb", buffering=_CHUNK)  # noqa: SIM115 - the Source closes it
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and (url := url_of(label)):
            raise AudioError(download_first(url)) from error
        raise problem(label, _why_not_opened(label, error)) from error
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):  # a named pipe, a device
        with file:
            return _spool(file, label, limits)
    try:
        if status.st_size == 0:
            raise problem(label, "empty file; record or copy it again")
        if status.st_size > limits.max_bytes:
            raise problem(label, _too_many_bytes(limits))
        return ByteSource(file, label)
    except BaseException:
        file.close()
        raise


def _why_not_opened(label: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        if Path(label).is_symlink():
            return "the link leads to nothing; mend the link or name the file itself"
        return "no such file; check the path"
    if isinstance(error, PermissionError):
        return "no permission to read it; change its permissions or copy it"
    if isinstance(error, IsADirectoryError):
        return "a folder, not an audio file; name the files in it"
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "symbolic links that lead in a circle; name the file itself"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be opened ({error.strerror.lower()}); check the path"
    return f"not a path ({error}); check the name"


def _too_many_bytes(limits: AudioLimits) -> str:
    return (
        f"more than {limits.max_bytes:,} bytes, the limit; "
        "raise it with --max-hours (AudioLimits.max_bytes)"
    )


def _stream_label(stream: BinaryIO) -> str:
    if sys.stdin is not None and stream is getattr(sys.stdin, "buffer", None):
        return "standard input"
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) and name else "audio stream"


def _spool(stream: BinaryIO, label: str, limits: AudioLimits) -> ByteSource:
    """Copies what is left of `stream` into a temporary file that vanishes when it is closed."""
    spool = None
    try:
        spool = tempfile.TemporaryFile()  # noqa: SIM115 - the Source closes it
        size = 0
        while chunk := _read_chunk(stream, label):
            if size == 0 and not (kind := sniff(chunk[:HEAD_BYTES])).key and len(chunk) == _CHUNK:
                # Said at once: this pipe may never end.
                raise problem(label, f"not audio: it looks like {kind.text}")
            size += len(chunk)
            if size > limits.max_bytes:
                raise problem(label, _too_many_bytes(limits))
            spool.write(chunk)
        if size == 0:
            raise problem(label, "empty: no bytes came; check the program that writes them")
        spool.flush()
        return ByteSource(spool, label)
    except OSError as error:
        if spool is not None:
            spool.close()
        folder = tempfile.gettempdir()
        raise problem(
            label,
            f"cannot be kept in {folder} while it is read ({error.strerror}); make room there, "
            "or set TMPDIR to a folder with room",
        ) from error
    except BaseException:
        if spool is not None:
            spool.close()
        raise


def _read_chunk(stream: BinaryIO, label: str) -> bytes:
    try:
        chunk = stream.read(_CHUNK)
    except (OSError, ValueError) as error:
        raise problem(label, f"cannot be read ({error}); open it again") from error
    if chunk is None:
        raise problem(label, "has no bytes yet; open it in blocking mode")
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise problem(label, "opened as text; open it in binary mode")
    return bytes(chunk)
