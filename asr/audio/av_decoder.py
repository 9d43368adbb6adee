"""Decoding with FFmpeg's libraries (PyAV): mp3, m4a, mp4, webm, mkv and what libsndfile cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from asr.audio.byte_source import ByteSource
from asr.audio.decoder import BLOCK_FRAMES, Block, CannotDecodeError

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
#: What integer samples are divided by; floats come as they are. Unsigned bytes have an offset.
_SCALES = {"uint8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}
_SAMPLE_TYPES = ("u8", "s16", "s32", "flt", "dbl")
#: What PyAV raises for bad data: FFmpeg's errors, and its own for numbers that make no sense
#: (IndexError: a packet of a track that appeared in the middle).
LIBRARY_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError, IndexError)


class AvDecoder:
    """A decoder (see `asr.audio.decoder.AudioDecoder`) over the first audio track of a container.

    A packet that cannot be decoded is left out; silence stands for it (and for any other gap in
    the time stamps) so that times stay right, and a note says so.
    """

    def __init__(self, source: ByteSource) -> None:
        source.seek(0)
        self._source = source
        self.notes: list[str] = []
        self.complete = True
        self._damaged = 0
        self._good = 0
        self._gaps = 0.0
        try:
            self._container = av.open(
                source, "r", metadata_errors="ignore", options={"format_whitelist": CONTAINERS}
            )
        except LIBRARY_ERRORS as error:
            raise CannotDecodeError(_reason(error)) from None
        try:
            self._stream = self._first_audio_track()
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
            if self._damaged:
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
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                frames = packet.decode()
            except av.EOFError:
                break
            except av.InvalidDataError:
                self._damaged += 1
                failing = True
                if self._damaged > max(self._good, 100):
                    break  # not sound, but something that looked like it
                continue
            except LIBRARY_ERRORS as error:
                if not self._good:
                    raise CannotDecodeError(_reason(error)) from None
                failing = True
                break
            for frame in frames:
                self._good += 1
                failing = False
                yield frame
        self.complete = self.complete and not failing

    def blocks(self) -> Iterator[Block]:
        """The samples in order. Integers are scaled to [-1, 1); floats come as they are."""
        waiting: list[np.ndarray] = []
        count = 0
        for piece in self._pieces():
            waiting.append(piece)
            count += len(piece)
            if count >= BLOCK_FRAMES:
                joined = np.concatenate(waiting)
                whole = count - count % BLOCK_FRAMES
                for start in range(0, whole, BLOCK_FRAMES):
                    yield joined[start : start + BLOCK_FRAMES]
                waiting, count = [joined[whole:]], count - whole
        if count:
            yield np.concatenate(waiting)
        if self._damaged > self._good:
            raise self._source.problem(
                f"not audio, or badly damaged: looks like {self._container.format.name}, but most "
                "of it cannot be decoded; copy it again"
            )
        self._note_damage()

    def _pieces(self) -> Iterator[np.ndarray]:
        """The samples (n, channels) of each frame, and silence where time stamps leave a gap."""
        if self._first is None:
            return
        done = 0
        for frame in self._with_first():
            if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
                self.complete = False
                self.notes.append(
                    f"rate or channels change at {done / self.rate:.2f} s: the rest is not read"
                )
                return
            gap = self._gap_before(frame, done)
            done += gap
            self._gaps += gap / self.rate
            while gap > 0:
                yield np.zeros((min(gap, BLOCK_FRAMES), self.channels), np.float32)
                gap -= BLOCK_FRAMES
            samples = _samples(frame, self.channels)
            done += len(samples)
            yield samples

    def _with_first(self) -> Iterator[Any]:
        yield self._first
        yield from self._frames

    def _gap_before(self, frame: Any, done: int) -> int:
        """Samples of silence that belong before `frame`, of which `done` samples have come."""
        if frame.time is None:
            return 0
        start = (self._container.start_time or 0) / av.time_base
        behind = frame.time - start - done / self.rate
        length = self._container.duration
        # A time stamp past the end of the file is damage, not silence.
        if behind < _GAP_SECONDS or length is None or frame.time - start > length / av.time_base:
            return 0
        return round(behind * self.rate)

    def _note_damage(self) -> None:
        if self._damaged and self.complete:
            self.notes.append(f"damaged: {self._damaged} packets could not be decoded")
        if self._gaps:
            self.notes.append(
                f"silence stands for {self._gaps:.1f} s that the file has no sound for"
            )

    def close(self) -> None:
        """Closes FFmpeg's handles."""
        self._container.close()


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


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rstrip(".").lower()
