"""The choice of the audio decoder for a file."""

from __future__ import annotations

from asr.audio.byte_source import ByteSource
from asr.audio.child_decoder import ChildDecoder
from asr.audio.container_end import ContainerEnd
from asr.audio.decoder import AudioDecoder, CannotDecodeError
from asr.audio.sndfile_decoder import SndfileDecoder
from asr.audio.sniff import ContentType

#: What libsndfile reads, in this process: its formats are few and simple, it is fuzzed all the time
#: (OSS-Fuzz), and tools/fuzz_audio.py has not crashed it. All else is for FFmpeg, in a process of
#: its own. MP3 is not among it although it could: its MP3 library prints its
#: complaints about damaged files to the process's standard error, past every caller. FFmpeg
#: decodes MP3 as fast, says the same samples, and is silent.
LIBSNDFILE_KINDS = frozenset(("wav", "w64", "aiff", "au", "caf", "nist", "voc", "flac", "ogg"))


def open_decoder(source: ByteSource, end: ContainerEnd) -> AudioDecoder:
    """A decoder that can read `source`.

    Raises:
        AudioError: no library can; the message says what the file looks like.
    """
    kind = source.kind
    if not kind.key:
        raise source.problem(f"not audio: it looks like {kind.text}")
    reasons = []
    # libsndfile stops after the first recording of a chain, drops damaged pages, and believes
    # a size of 0.
    trusted = end.links == 1 and end.sound and not end.unsized
    if kind.key in LIBSNDFILE_KINDS and trusted:
        try:
            return SndfileDecoder(source)
        except CannotDecodeError as error:
            reasons.append(str(error))
    try:
        return ChildDecoder(source)
    except CannotDecodeError as error:
        reasons.append(str(error))
    if kind.key == "unknown":
        raise source.problem(
            "not audio: no sound format is recognised; samples without a header need one "
            "(for example a wav header)"
        )
    raise source.problem(_why_not(kind, end, reasons[0]))


def _why_not(kind: ContentType, end: ContainerEnd, reason: str) -> str:
    if end.cut and not end.indexed:
        return (
            f"{kind.text} cut off before its index, without which nothing can be decoded; "
            "copy it again"
        )
    if end.cut:
        return f"{kind.text} cut off before any sound; copy it again"
    return (
        f"{kind.text} that is damaged or of an unknown variant ({reason}); "
        "convert it to wav or flac, or copy it again"
    )
