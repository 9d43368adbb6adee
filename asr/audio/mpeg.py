"""Whether an MPEG audio stream (MP3) stops inside a frame or before its own frame count.

MP3 has no container: frames follow each other, each with a four-byte header that gives its
length (ISO/IEC 11172-3, 2.4.1.3). Many encoders write a first frame of no sound that holds the
number of bytes ("Xing" or "Info"); without it only a last frame that is not whole can be told.
"""

from __future__ import annotations

from asr.audio.byte_source import ByteSource
from asr.audio.sniff import id3_bytes

_KBITS = {  # by (MPEG-1?, layer): index 1..14
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}

#: How much of the end is searched for frames: more than ten of the longest.
_TAIL_BYTES = 1 << 14
#: More than a tag at the end, or the first frame itself, which some encoders do not count.
_TAG_BYTES = 1 << 11
#: That many headers, each where the one before says, are no accident.
_SURE = 3


def mpeg_audio_cut(source: ByteSource) -> bool:
    """Whether bytes are missing at the end of this MPEG audio file."""
    start = id3_bytes(source.bytes_at(0, 10))
    stated = _stated_bytes(source.bytes_at(start, 256))
    if stated is not None:
        return start + stated > source.size
    tail_start = max(start, source.size - _TAIL_BYTES)
    return _last_frame_is_cut(source.bytes_at(tail_start, _TAIL_BYTES))


def mpeg_length_is_stated(source: ByteSource) -> bool:
    """Whether the first frame states the bytes of sound, and all of the file is meant by it.

    Otherwise (no such frame, or several recordings in one file) its length is a guess.
    """
    start = id3_bytes(source.bytes_at(0, 10))
    stated = _stated_bytes(source.bytes_at(start, 256))
    return stated is not None and abs(source.size - start - stated) < _TAG_BYTES


def _stated_bytes(frame: bytes) -> int | None:
    """The bytes of sound that an encoder's first frame states, None where it states none."""
    place = max(frame.find(b"Xing"), frame.find(b"Info"))
    if place < 0 or len(frame) < place + 16:
        return None
    flags = int.from_bytes(frame[place + 4 : place + 8], "big")
    if not flags & 2:
        return None
    offset = place + 8 + (4 if flags & 1 else 0)
    return int.from_bytes(frame[offset : offset + 4], "big") or None


def _last_frame_is_cut(tail: bytes) -> bool:
    """Follows the frames of `tail` to the last one; what is no frame (a tag) is a good end."""
    start = tail.find(b"\xff")
    while start >= 0:
        offset, frames = start, 0
        while length := _frame_bytes(tail, offset):
            offset += length
            frames += 1
        if frames >= _SURE:
            in_header = 0 < len(tail) - offset < 4 and tail[offset] == 0xFF
            return offset > len(tail) or in_header
        start = tail.find(b"\xff", start + 1)
    return False


def _frame_bytes(data: bytes, offset: int) -> int:
    """The length of the frame whose header stands at `offset`, 0 where none does."""
    if offset + 4 > len(data) or data[offset] != 0xFF or data[offset + 1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[offset + 1] >> 3 & 3, 4 - (data[offset + 1] >> 1 & 3)
    bit_index, rate_index = data[offset + 2] >> 4, data[offset + 2] >> 2 & 3
    padding = data[offset + 2] >> 1 & 1
    if version == 1 or layer == 4 or bit_index in (0, 15) or rate_index == 3:
        return 0
    bits = _KBITS[version == 3, layer][bit_index - 1] * 1000
    rate = _RATES[version][rate_index]
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // rate + padding
