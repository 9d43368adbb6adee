"""Decoding with FFmpeg's libraries (PyAV): mp3, m4a, mp4, webm, mkv and what libsndfile cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import av
import numpy as np

from asr.audio.decoder import BLOCK_FRAMES, Block, CannotDecodeError
from asr.audio.failed_packets import FailedPackets, first_places, reason
from asr.audio.format_change import FormatConverter
from asr.audio.limits import MIN_RATE, AudioLimits
from asr.errors import AudioError

#: The containers that may be opened. Not among them: what is no sound (pictures, subtitles), and
#: playlists, which would make the library open other files and addresses than the one it was given;
#: and w64, whose reader never ends on a file cut in its header (libsndfile reads that format).
CONTAINERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gsm,iff,loas,matroska,"
    "mov,mp3,mpc,mpc8,mpeg,mpegts,nut,ogg,rm,tak,truehd,tta,voc,wav,wv,xwma"
)
#: Time stamps may leave that many seconds without sound before silence is put there: less is
#: rounding, and the jitter of recorders.
_GAP_SECONDS = 0.5
#: In formats whose time stamps may start anew (transport streams), a jump beyond this is such a
#: start and not silence. FFmpeg's own limit.
_JUMP_SECONDS = 10.0
_MAY_JUMP = 0x200  # AVFMT_TS_DISCONT
#: What integer samples are divided by; floats come as they are. Unsigned bytes have an offset.
_SCALES = {"uint8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}
_SAMPLE_TYPES = ("u8", "s16", "s32", "flt", "dbl")
#: What PyAV raises for bad data: FFmpeg's errors, and its own for numbers that make no sense
#: (IndexError: a packet of a track that appeared in the middle).
LIBRARY_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError, IndexError)


class DecoderSource(Protocol):
    """A binary file that PyAV can read, with an error for what is wrong with it."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to a place and returns it."""
        ...

    def problem(self, text: str) -> AudioError:
        """The error that says `text` about this file."""
        ...


class AvDecoder:
    """A decoder (see `asr.audio.decoder.AudioDecoder`) over the first audio track of a container.

    A packet that cannot be decoded is left out, whatever FFmpeg's reason; silence stands for it
    (and for any other gap in the time stamps) so that times stay right, and a note says so. Where
    rate or channels change, the rest is converted to what the first frame has.
    """

    def __init__(self, source: DecoderSource, block_frames: int = BLOCK_FRAMES) -> None:
        source.seek(0)
        self._source = source
        self._block_frames = block_frames
        self.notes: list[str] = []
        self.complete = True
        self._good = 0
        self._gaps = 0.0
        self._shift = 0.0
        self._changes: list[float] = []
        self._jumps: list[float] = []
        try:
            self._container = av.open(
                source, "r", metadata_errors="ignore", options={"format_whitelist": CONTAINERS}
            )
        except LIBRARY_ERRORS as error:
            raise CannotDecodeError(reason(error)) from None
        try:
            self._stream = self._first_audio_track()
            codec = self._stream.codec_context.name
            self._failed = FailedPackets(pauses=codec.startswith("amr"))
            self._frames = self._decode()
            self._first = next(self._frames, None)
            self._learn_format()
        except BaseException:
            self._container.close()
            raise

    def _first_audio_track(self) -> Any:
        tracks = self._container.streams.audio
        if not tracks:
            if len(self._container.streams) == 0:
                raise CannotDecodeError("it has no tracks")
            raise self._source.problem("no audio track; name a file with sound")
        if len(tracks) > 1:
            self.notes.append(f"{len(tracks)} audio tracks: only the first is used")
        if tracks[0].codec_context is None:
            raise CannotDecodeError("its codec is not known")
        return tracks[0]

    def _learn_format(self) -> None:
        """Takes rate and channels from the first frame: headers of AAC say half of both."""
        if self._first is None:
            if self._failed.count:
                raise CannotDecodeError("none of its packets can be decoded")
            context = self._stream.codec_context
            self.rate, self.channels = context.sample_rate, context.channels
        else:
            self.rate, self.channels = self._first.sample_rate, self._first.layout.nb_channels
            sample_type = self._first.format.packed.name
            if sample_type not in _SAMPLE_TYPES:
                raise CannotDecodeError(f"samples of type {sample_type}")
        if not self.rate or not self.channels:
            raise CannotDecodeError("it states neither rate nor channels")

    def _decode(self) -> Iterator[Any]:
        """Frames in order. What fails is counted; failing to the end means the end is missing."""
        failing = False
        packets = iter(self._container.demux(self._stream))
        while True:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                frames = packet.decode()
            except av.EOFError:
                break
            except LIBRARY_ERRORS as error:
                # Reading can go on behind bad data; behind other errors it would fail for ever.
                if packet is None and not isinstance(error, av.InvalidDataError):
                    if not self._good:
                        raise CannotDecodeError(reason(error)) from None
                    failing = True
                    break
                self._failed.add(packet, error)
                failing = True
                if self._failed.bad > max(self._good, 100):
                    break  # not sound, but something that looked like it
                continue
            for frame in frames:
                self._good += 1
                failing = False
                yield frame
        # A call that ends in a pause is whole.
        self.complete = self.complete and not (failing and self._failed.bad)

    def blocks(self) -> Iterator[Block]:
        """The samples in order. Integers are scaled to [-1, 1); floats come as they are."""
        waiting: list[np.ndarray] = []
        count = 0
        for piece in self._pieces():
            waiting.append(piece)
            count += len(piece)
            if count >= self._block_frames:
                joined = np.concatenate(waiting)
                whole = count - count % self._block_frames
                for start in range(0, whole, self._block_frames):
                    yield joined[start : start + self._block_frames]
                waiting, count = [joined[whole:]], count - whole
        if count:
            yield np.concatenate(waiting)
        if self._failed.bad > self._good:
            raise self._source.problem(
                f"not audio, or badly damaged: looks like {self._container.format.name}, but most "
                "of it cannot be decoded; copy it again"
            )
        self._note_damage()

    def _pieces(self) -> Iterator[np.ndarray]:
        """The samples (n, channels) of each frame, and silence where some are missing."""
        if self._first is None:
            return
        done = 0
        converter = FormatConverter(self.rate, self.channels)
        for frame in self._with_first():
            rate, channels = frame.sample_rate, frame.layout.nb_channels
            if not _plausible(rate, channels):
                self._failed.add_frame(frame)
                continue
            gap = round(self._failed.take_silence(done / self.rate) * self.rate)
            gap += self._gap_before(frame, done + gap)
            pieces = list(_silence(gap, self.channels))
            if converter.changes(rate, channels):
                pieces.insert(0, converter.change(rate, channels))
                self._changes.append(done / self.rate)
            pieces.append(converter.step(_samples(frame, channels)))
            for samples in pieces:
                done += len(samples)
                if len(samples):
                    yield samples
        if len(rest := converter.finish()):
            yield rest
        if not self._failed.bad:
            yield from _silence(
                round(self._failed.take_silence(done / self.rate) * self.rate), self.channels
            )

    def _with_first(self) -> Iterator[Any]:
        yield self._first
        yield from self._frames

    def _gap_before(self, frame: Any, done: int) -> int:
        """Samples of silence that belong before `frame`, of which `done` samples have come."""
        if frame.time is None:
            return 0
        start = (self._container.start_time or 0) / av.time_base
        behind = frame.time - start - self._shift - done / self.rate
        if self._container.format.flags & _MAY_JUMP and abs(behind) > _JUMP_SECONDS:
            self._shift += behind
            self._jumps.append(done / self.rate)
            return 0
        length = self._container.duration
        # A time stamp past the end of the file is damage, not silence.
        if behind < _GAP_SECONDS or length is None or frame.time - start > length / av.time_base:
            return 0
        self._gaps += behind
        return round(behind * self.rate)

    def _note_damage(self) -> None:
        if self._changes:
            self.notes.append(
                f"rate or channels change at {first_places(self._changes)}: converted to "
                f"{self.rate} Hz, {self.channels} channels"
            )
        if self._jumps:
            self.notes.append(
                f"time stamps jump at {first_places(self._jumps)}: joined without a gap"
            )
        self.notes += self._failed.notes()
        if self._gaps:
            self.notes.append(
                f"silence stands for {self._gaps:.1f} s that the file has no sound for"
            )

    def close(self) -> None:
        """Closes FFmpeg's handles."""
        self._container.close()


def _plausible(rate: int, channels: int) -> bool:
    limits = AudioLimits()
    return MIN_RATE <= rate <= limits.max_rate and 0 < channels <= limits.max_channels


def _silence(frames: int, channels: int) -> Iterator[np.ndarray]:
    for start in range(0, frames, BLOCK_FRAMES):
        yield np.zeros((min(BLOCK_FRAMES, frames - start), channels), np.float32)


def _samples(frame: Any, channels: int) -> np.ndarray:
    """The frame's samples (n, channels) as float32."""
    data = frame.to_ndarray()
    data = data.T if frame.format.is_planar else data.reshape(-1, channels)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite: refused later
        samples: np.ndarray = data.astype(np.float32)
    if data.dtype == np.uint8:
        samples -= np.float32(128)
    if data.dtype.name in _SCALES:
        samples /= np.float32(_SCALES[data.dtype.name])
    return samples
