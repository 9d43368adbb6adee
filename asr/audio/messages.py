"""Messages between the recogniser and the processes that decode with FFmpeg.

A message is a tag of one byte, the length of its contents in eight bytes, and the contents. They
are read as numbers and JSON, never unpickled: a process that a damaged file has taken over could
otherwise run code in this one.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Protocol

#: To the decoding process.
OPEN, LENGTH, NEXT, CLOSE, DATA = b"O", b"L", b"N", b"C", b"D"
#: From it. FAILED and PROBLEM become errors, READ asks for bytes of the file.
READY, READ, INFO, BLOCK, END = b"Y", b"R", b"I", b"B", b"E"
CANNOT, PROBLEM, FAILED = b"X", b"P", b"F"

#: Bytes. More than a block of 32 channels.
_LONGEST = 1 << 24
#: Bytes that are asked for at once, at most.
READ_BYTES = 1 << 18

_HEAD = struct.Struct("<cQ")
_RANGE = struct.Struct("<QI")


class _File(Protocol):
    def readinto(self, buffer: Any) -> int | None: ...
    def write(self, data: Any) -> int | None: ...


def send(file: _File, tag: bytes, contents: bytes | memoryview = b"") -> None:
    """Writes one message to an unbuffered file."""
    size = len(contents)
    for part in (_HEAD.pack(tag, size), contents):
        rest = memoryview(part)
        while rest:
            rest = rest[file.write(rest) or 0 :]


def send_json(file: _File, tag: bytes, contents: dict[str, Any]) -> None:
    """Writes one message whose contents are JSON."""
    send(file, tag, json.dumps(contents).encode())


def receive(file: _File) -> tuple[bytes, bytearray]:
    """Reads one message.

    Raises:
        EOFError: the other side has ended, or sends what is no message.
    """
    tag, size = _HEAD.unpack(_exactly(file, _HEAD.size))
    if size > _LONGEST:
        raise EOFError
    return tag, _exactly(file, size)


def _exactly(file: _File, size: int) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = file.readinto(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return data


def pack_range(offset: int, count: int) -> bytes:
    """The contents of READ."""
    return _RANGE.pack(offset, count)


def unpack_range(contents: bytes | bytearray) -> tuple[int, int]:
    """Offset and number of bytes that a READ asks for.

    Raises:
        EOFError: it is none.
    """
    if len(contents) != _RANGE.size:
        raise EOFError
    offset, count = _RANGE.unpack(contents)
    return offset, min(count, READ_BYTES)
