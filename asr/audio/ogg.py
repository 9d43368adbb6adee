"""Walking the pages of an Ogg file (RFC 3533), and of Opus in it (RFC 7845)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from asr.audio.byte_source import ByteSource

#: More pages than any recording has: a file made to keep us walking is left to the decoder.
MAX_PAGES = 10_000_000

_CONTINUED, _BEGINS, _ENDS = 1, 2, 4
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class OggWalk:
    """What the pages say.

    Attributes:
        cut: a page is not all there, or a stream has no last page.
        links: recordings that stand one after the other.
        sound: every page has the checksum that it states, and the position of every page is what
            its Opus packets add up to. libsndfile drops pages or stops where that is not so.
    """

    cut: bool = False
    links: int = 1
    sound: bool = True
    _open: set[int] = field(default_factory=set)
    _heard: bool = False
    _opus: _OpusClock | None = None

    def page(self, flags: int, serial: int, position: int, laces: bytes, body: bytes) -> None:
        """Takes the next page; `position` is its granule position."""
        if flags & _BEGINS:
            self.links += self._heard  # a beginning after sound: another recording follows
            self._heard = False
            self._open.add(serial)
            alone = len(self._open) == 1
            self._opus = _OpusClock() if alone and body.startswith(b"OpusHead") else None
        else:
            self._heard = True
            if self._opus is not None and not self._opus.agrees(flags, position, laces, body):
                self.sound = False
        if flags & _ENDS:
            self._open.discard(serial)

    def end(self, offset: int, size: int) -> OggWalk:
        """Takes the end of the file, of `size` bytes, after pages that reach to `offset`."""
        self.cut = self.cut or bool(self._open) or offset > size
        return self


def walk_ogg(source: ByteSource) -> OggWalk:
    """Reads every page of `source`; about a second for ten hours of speech."""
    walk, offset = OggWalk(), 0
    for _ in range(MAX_PAGES):
        if offset >= source.size:
            break
        head = source.bytes_at(offset, 27 + 255)
        if head[:4] != b"OggS":
            walk.sound = False
            offset = _find(source, b"OggS", offset + 1)
            continue
        if len(head) < 27 or len(head) < 27 + head[26]:
            walk.cut = True
            break
        flags, position, serial, _, stated, segments = struct.unpack("<5xBqIIIB", head[:27])
        laces = head[27 : 27 + segments]
        length = 27 + segments + sum(laces)
        page = source.bytes_at(offset, length)
        offset += length
        if len(page) < length:
            break  # the last page is not all there
        if _checksum(page) != stated:
            walk.sound = False
        walk.page(flags, serial, position, laces, page[27 + segments :])
    return walk.end(offset, source.size)


def _find(source: ByteSource, pattern: bytes, offset: int) -> int:
    """Where `pattern` stands next, or the end of the file."""
    while offset < source.size:
        window = source.bytes_at(offset, 1 << 16)
        place = window.find(pattern)
        if place >= 0:
            return offset + place
        if len(window) < len(pattern):
            break
        offset += len(window) - len(pattern) + 1
    return source.size


def _checksum(page: bytes) -> int:
    """Ogg's CRC: that of zlib with the bits of each byte and of the result the other way round,
    begun with 0, over the page with its checksum field set to 0.
    """
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED_BITS)
    reversed_crc = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reversed_crc.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


class _OpusClock:
    """Adds up the durations of Opus packets, at 48 kHz, and compares them with the positions."""

    def __init__(self) -> None:
        self._position = 0
        self._since = 0
        self._packet = 0
        self._inside = False
        self._headers = 1  # OpusTags follows

    def agrees(self, flags: int, position: int, laces: bytes, body: bytes) -> bool:
        """Whether the next page's position is where its packets end."""
        if bool(flags & _CONTINUED) != self._inside:
            return False
        place = 0
        for lace in laces:
            if not self._inside:
                self._packet = _opus_samples(body[place : place + 2])
            place += lace
            self._inside = lace == 255
            if not self._inside:
                self._since += 0 if self._headers else self._packet
                self._headers = 0
        if position < 0 or not self._since:  # no packet of sound ends on this page
            return True
        step, expected = position - self._position, self._since
        self._position, self._since = position, 0
        # The last page may end inside its last packet.
        return step == expected or (bool(flags & _ENDS) and 0 <= step <= expected)


def _opus_samples(packet: bytes) -> int:
    """Samples at 48 kHz of the Opus packet that starts with these two bytes (RFC 6716, 3.1)."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        frame = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        frame = (480, 960)[config & 1]
    else:
        frame = (120, 240, 480, 960)[config & 3]
    if code < 3:
        return frame * (1, 2, 2)[code]
    return frame * (packet[1] & 0x3F) if len(packet) > 1 else 0
