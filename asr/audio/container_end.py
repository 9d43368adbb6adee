"""Whether a file ends where its container says: decoding libraries do not report truncation.

They read as far as there is data and call that the end, so a download that stopped looks like a
short recording. Each function here walks the outermost structure of one container, reading
headers only, and says whether bytes are missing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from asr.audio.byte_source import ByteSource
from asr.audio.mpeg import mpeg_audio_cut
from asr.audio.ogg import walk_ogg

#: Writers that cannot seek back put one of these (or more) where a 32-bit size belongs.
_UNKNOWN_SIZE = 0x7FFFF000

#: More parts than any recording has: a file made to keep us walking is left to the decoder.
_MAX_PARTS = 5_000_000


@dataclass(frozen=True)
class ContainerEnd:
    """What the container's structure says about its end.

    Attributes:
        cut: bytes are missing at the end.
        unsized: the header says 'no samples', yet bytes follow: a recorder that crashed.
        links: recordings that stand one after the other in the file (Ogg chains).
        sound: False where parts in the middle are damaged or contradict each other (Ogg only).
        indexed: False where an MP4 file lacks the index without which nothing can be decoded.
        trailing: bytes after the end that the header states.
    """

    cut: bool = False
    unsized: bool = False
    links: int = 1
    sound: bool = True
    indexed: bool = True
    trailing: int = 0


def inspect_end(source: ByteSource) -> ContainerEnd:
    """Looks at the structure of `source`, as far as its kind is one that tells."""
    walk = _WALKS.get(source.kind.key)
    try:
        return walk(source) if walk else ContainerEnd()
    except struct.error:  # the file ends inside a header
        return ContainerEnd(cut=True)


def _unpack(source: ByteSource, layout: str, offset: int) -> tuple[int, ...]:
    return struct.unpack(layout, source.bytes_at(offset, struct.calcsize(layout)))


def _riff(source: ByteSource) -> ContainerEnd:
    """WAV, RF64, BW64 and big-endian RIFX: the data chunk counts; others may follow it."""
    order = ">" if source.bytes_at(0, 4) == b"RIFX" else "<"
    wide_size: int | None = None
    offset = 12
    for _ in range(_MAX_PARTS):
        name, size = source.bytes_at(offset, 4), _unpack(source, order + "I", offset + 4)[0]
        if name == b"ds64":
            wide_size = _unpack(source, "<8xQ", offset + 8)[0]
        if name == b"data":
            break
        offset += 8 + size + size % 2
    else:
        return ContainerEnd()
    start = offset + 8
    if size == 0xFFFFFFFF and wide_size:
        size = wide_size
    elif size >= _UNKNOWN_SIZE and start + size > source.size:
        return ContainerEnd()
    riff_end = 8 + _unpack(source, order + "I", 4)[0]
    if size == 0 and source.size > max(start, riff_end):
        return ContainerEnd(unsized=True)
    end = start + size
    trailing = source.size - max(end, riff_end if riff_end < _UNKNOWN_SIZE else 0)
    return ContainerEnd(cut=end > source.size, trailing=max(0, trailing))


def _avi(source: ByteSource) -> ContainerEnd:
    """AVI: one RIFF chunk after the other."""
    offset = 0
    for _ in range(_MAX_PARTS):
        if source.bytes_at(offset, 4) != b"RIFF":
            break
        size = _unpack(source, "<I", offset + 4)[0]
        if size == 0 or size >= _UNKNOWN_SIZE:
            return ContainerEnd()
        offset += 8 + size + size % 2
    return ContainerEnd(cut=offset > source.size + 1)


def _aiff(source: ByteSource) -> ContainerEnd:
    size = _unpack(source, ">I", 4)[0]
    return ContainerEnd(cut=0 < size < _UNKNOWN_SIZE and 8 + size > source.size)


def _wave64(source: ByteSource) -> ContainerEnd:
    size = _unpack(source, "<Q", 16)[0]
    return ContainerEnd(cut=source.size < size < 1 << 62)


def _au(source: ByteSource) -> ContainerEnd:
    order = ">" if source.bytes_at(0, 4) == b".snd" else "<"
    start, size = _unpack(source, order + "II", 4)
    return ContainerEnd(cut=size < _UNKNOWN_SIZE and start + size > source.size)


def _caf(source: ByteSource) -> ContainerEnd:
    offset = 8
    for _ in range(_MAX_PARTS):
        if offset >= source.size:
            break
        size = _unpack(source, ">q", offset + 4)[0]
        if size < 0:  # -1: the last chunk, of unknown size
            return ContainerEnd()
        offset += 12 + size
    return ContainerEnd(cut=offset > source.size)


def _nist(source: ByteSource) -> ContainerEnd:
    """NIST SPHERE: a text header of stated size, then samples."""
    head = source.bytes_at(0, 4096)
    matches = [
        re.search(rb"\b" + key + rb" -i (\d+)", head)
        for key in (b"sample_count", b"sample_n_bytes", b"channel_count")
    ]
    size = re.match(rb"NIST_1A\s+(\d+)", head)
    if size is None or b"sample_coding -s26 pcm,embedded" in head:
        return ContainerEnd()
    bytes_of_sound = 1
    for match in matches:
        if match is None:
            return ContainerEnd()
        bytes_of_sound *= int(match[1])
    return ContainerEnd(cut=int(size[1]) + bytes_of_sound > source.size)


def _ogg(source: ByteSource) -> ContainerEnd:
    walk = walk_ogg(source)
    return ContainerEnd(cut=walk.cut, links=walk.links, sound=walk.sound)


def _mp4(source: ByteSource) -> ContainerEnd:
    """MP4 and QuickTime: top-level boxes; `moov` is the index."""
    offset, indexed = 0, False
    for _ in range(_MAX_PARTS):
        if offset + 8 > source.size:
            break
        size, name = struct.unpack(">I4s", source.bytes_at(offset, 8))
        indexed = indexed or name == b"moov"
        if size == 1:
            size = _unpack(source, ">Q", offset + 8)[0]
        elif size == 0:  # to the end of the file, or padding with zeros
            return ContainerEnd(indexed=indexed)
        if size < 8:
            return ContainerEnd(indexed=indexed)
        offset += size
    return ContainerEnd(cut=offset > source.size, indexed=indexed)


def _matroska(source: ByteSource) -> ContainerEnd:
    """Matroska and WebM: the segment's size, which live writers leave unknown (all ones)."""
    size, offset = _vint(source, 4)
    offset += size
    if source.bytes_at(offset, 4) != b"\x18S\x80g":
        return ContainerEnd(cut=offset >= source.size)
    size, start = _vint(source, offset + 4)
    width = start - offset - 4
    unknown = size == (1 << 7 * width) - 1
    return ContainerEnd(cut=not unknown and start + size > source.size)


def _vint(source: ByteSource, offset: int) -> tuple[int, int]:
    """An EBML number (its leading bit says how long it is) and the offset behind it."""
    first = _unpack(source, "B", offset)[0]
    width = 9 - first.bit_length()
    if width > 8:
        raise struct.error("no EBML number")
    value = int.from_bytes(source.bytes_at(offset, width), "big")
    return value & ((1 << 7 * width) - 1), offset + width


def _mpeg(source: ByteSource) -> ContainerEnd:
    return ContainerEnd(cut=mpeg_audio_cut(source))


_WALKS: dict[str, Callable[[ByteSource], ContainerEnd]] = {
    "wav": _riff,
    "avi": _avi,
    "aiff": _aiff,
    "w64": _wave64,
    "au": _au,
    "caf": _caf,
    "nist": _nist,
    "ogg": _ogg,
    "mp4": _mp4,
    "matroska": _matroska,
    "mp3": _mpeg,
}
