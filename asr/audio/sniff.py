"""The format of an audio file by its first bytes; its name is not used."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

#: How many bytes `sniff` wants to see.
HEAD_BYTES = 4096


@dataclass(frozen=True)
class ContentType:
    """`key` names a sound format, or is "" for what is not sound; `text` is for messages."""

    key: str
    text: str


UNKNOWN = ContentType("unknown", "unknown data")

#: What a file of chunks (RIFF, IFF) holds, by its bytes 8 to 12.
_CHUNKED = {
    b"WAVE": ContentType("wav", "a WAV file"),
    b"AVI ": ContentType("avi", "an AVI file"),
    b"AIFF": ContentType("aiff", "an AIFF file"),
    b"AIFC": ContentType("aiff", "an AIFF file"),
    b"WEBP": ContentType("", "a WebP picture"),
}

#: (offset, magic, key, text); the first match counts.
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"riff\x2e\x91\xcf\x11", "w64", "a Wave64 file"),
    (0, b".snd", "au", "an AU file"),
    (0, b"dns.", "au", "an AU file"),
    (0, b"caff", "caf", "a CAF file"),
    (0, b"NIST_1A", "nist", "a NIST SPHERE file"),
    (0, b"Creative Voice File", "voc", "a VOC file"),
    (0, b"fLaC", "flac", "a FLAC file"),
    (0, b"OggS", "ogg", "an Ogg file"),
    (0, b"ID3", "mp3", "an MP3 file"),
    (4, b"ftyp", "mp4", "an MP4 file"),
    (4, b"moov", "mp4", "a QuickTime file"),
    (4, b"mdat", "mp4", "a QuickTime file"),
    (4, b"wide", "mp4", "a QuickTime file"),
    (0, b"\x1aE\xdf\xa3", "matroska", "a Matroska or WebM file"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "asf", "a WMA file"),
    (0, b"#!AMR", "amr", "an AMR file"),
    (0, b"FLV\x01", "flv", "an FLV file"),
    (0, b"MAC ", "ape", "a Monkey's Audio file"),
    (0, b"wvpk", "wv", "a WavPack file"),
    (0, b"TTA1", "tta", "a TTA file"),
    (0, b"\xff\xd8\xff", "", "a JPEG picture"),
    (0, b"\x89PNG", "", "a PNG picture"),
    (0, b"GIF8", "", "a GIF picture"),
    (0, b"BM", "", "a BMP picture"),
    (0, b"II*\x00", "", "a TIFF picture"),
    (0, b"MM\x00*", "", "a TIFF picture"),
    (0, b"%PDF", "", "a PDF document"),
    (0, b"{\\rtf", "", "an RTF document"),
    (0, b"\xd0\xcf\x11\xe0", "", "an old Office document"),
    (0, b"PK\x03\x04", "", "a zip archive or an Office document"),
    (0, b"PK\x05\x06", "", "an empty zip archive"),
    (0, b"\x1f\x8b", "", "a gzip archive"),
    (0, b"BZh", "", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "", "an xz archive"),
    (0, b"7z\xbc\xaf", "", "a 7z archive"),
    (0, b"Rar!", "", "a RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "", "a zstd archive"),
    (257, b"ustar", "", "a tar archive"),
    (0, b"\x7fELF", "", "a program"),
    (0, b"\xcf\xfa\xed\xfe", "", "a program"),
    (0, b"MThd", "", "a MIDI file (notes, not sound)"),
    (0, b"SQLite format 3", "", "an SQLite database"),
    (0, b"\x89HDF", "", "an HDF5 file"),
    (0, b"\x93NUMPY", "", "a NumPy array"),
    (0, b"version https://git-lfs", "", "a Git LFS pointer: the file itself was not fetched"),
    (0, b"#EXTM3U", "", "a playlist"),
    (0, b"[playlist]", "", "a playlist"),
)

#: Magic numbers that may as well begin a text.
_WORDS = (b"BM", b"BZh", b"MAC ", b"ID3", b"Rar!", b"GIF8")


def sniff(head: bytes) -> ContentType:
    """The kind of file that starts with `head` (`HEAD_BYTES` of it, or the whole file)."""
    if head.startswith((b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")) and head[8:12] in _CHUNKED:
        return _CHUNKED[head[8:12]]
    for offset, magic, key, text in _MAGIC:
        if head.startswith(magic, offset) and not (magic in _WORDS and _is_text(head)):
            return ContentType(key, text)
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return ContentType("aac", "an AAC file")
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and not _is_text(head):
        return ContentType("mp3", "an MP3 file")
    if len(head) > 188 and head[0] == head[188] == 0x47:
        return ContentType("mpegts", "an MPEG transport stream")
    if not head.strip(b"\0"):
        return ContentType("", "nothing but zero bytes: a copy or recording that failed")
    return _text_kind(head) if _is_text(head) else UNKNOWN


def id3_bytes(head: bytes) -> int:
    """The length of the ID3v2 tag that `head` begins with (its size is in 7-bit bytes), or 0."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _text_kind(head: bytes) -> ContentType:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return ContentType("", "a web page")
    if start.startswith(b"<?xml") or start.startswith(b"<svg"):
        return ContentType("", "an XML document")
    return ContentType("", "text")


def _is_text(head: bytes) -> bool:
    """Unicode without control characters, but for those that texts have."""
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if head.startswith(marks) else "utf-8"
    try:
        # The head may end inside a character: an incremental decoder waits for its rest.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and all(c >= " " or c in "\t\n\r\f\x1b" for c in text)


#: What `sniff` recognises by four bytes or more, which raw samples hardly begin with.
_CERTAIN = frozenset(
    ["wav", "avi", "aiff", "w64", "au", "caf", "flac", "ogg", "mp4", "matroska", "asf", "amr"]
)
#: Bit rates of MPEG layer III in kbit/s, by index: of MPEG 1, and of MPEG 2 and 2.5.
_BIT_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_SAMPLE_RATES = (44100, 48000, 32000)


def audio_file_kind(head: bytes) -> str | None:
    """The kind of audio file that `head` begins, for messages, where raw samples are expected.

    None where it may be samples: the evidence must be stronger than for `sniff`.
    """
    content = sniff(head)
    if content.key in _CERTAIN:
        return content.text
    if content.key == "mp3" and (head.startswith(b"ID3") or _is_mp3_frame(head)):
        return content.text
    return None


def _is_mp3_frame(head: bytes) -> bool:
    """Whether a frame of MPEG layer III is followed by another one of the same kind."""
    if len(head) < 4:
        return False
    version, layer, rate, bits = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer != 1 or rate == 3 or not 0 < bits < 15:
        return False
    first = version == 3
    sample_rate = _SAMPLE_RATES[rate] // (1 if first else 2 if version == 2 else 4)
    bit_rate = 1000 * _BIT_RATES[not first][bits]
    size = (144 if first else 72) * bit_rate // sample_rate + (head[2] >> 1 & 1)
    return head[size : size + 2] == head[:2]
