"""Decoding a path or a pipe to mono blocks at the model's sample rate."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from asr.audio.byte_source import ByteSource, open_bytes
from asr.audio.container_end import inspect_end
from asr.audio.decoder import AudioDecoder, Block
from asr.audio.formats import open_decoder
from asr.audio.limits import MIN_RATE, AudioLimits
from asr.audio.mix import Downmix, MixPlan, mix_plan
from asr.audio.resample import Resampler
from asr.audio.samples import Audio, LevelCheck, concatenated
from asr.interrupts import defer_interrupts, uninterrupted

_ENDINGS = (
    ".3g2 .3gp .aac .ac3 .aif .aifc .aiff .amr .ape .asf .au .avi .awb .caf .dts .eac3 .f4v "
    ".flac .flv .m2ts .m4a .m4b .m4v .mka .mkv .mov .mp1 .mp2 .mp3 .mp4 .mpeg .mpg .mpga .mts "
    ".nist .oga .ogg .ogv .ogx .opus .ra .rf64 .rm .rmvb .snd .sph .spx .tak .ts .tta .voc .vob "
    ".w64 .wav .wave .weba .webm .wma .wmv .wv"
)
#: What a folder is searched for. Only that: a file that is named is decoded by its content.
AUDIO_ENDINGS = tuple(_ENDINGS.split())

#: More bytes than that after the end which the header states are worth a note.
_TRAILING_BYTES = 1 << 16


class AudioStream:
    """One input as mono float32 blocks at `rate`; made by `open_audio`.

    Iterating decodes block by block in bounded memory, once. `truncated` and `notes` are complete
    when the iteration has ended.

    Attributes:
        name: the input's name, as it was given.
        rate: samples a second of the blocks.
        source_rate: samples a second of the input.
        channels: of the input.
        seconds: of sound decoded so far.
        truncated: the second at which a damaged or cut input stops, None for a whole one.
        notes: sentences about the input that a person should read.
    """

    def __init__(self, source: ByteSource, rate: int, limits: AudioLimits) -> None:
        self._source = source
        self._limits = limits
        self._ending = inspect_end(source)
        self._decoder = self._open_checked()
        self.name = source.label
        self.rate = rate
        self.source_rate = self._decoder.rate
        self.channels = self._decoder.channels
        self.seconds = 0.0
        self.truncated: float | None = None
        self.notes: list[str] = []
        self._level = LevelCheck(source.display_name)
        try:
            self._mix = Downmix(self.channels, self._mix_plan())
        except BaseException:
            _close(self._decoder)
            raise
        self._blocks = self._converted()

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        return self._blocks

    def close(self) -> None:
        """Ends decoding and closes the file; twice is allowed. A stream object stays open."""
        with defer_interrupts():
            self._blocks.close()
            self._decoder.close()
            self._source.close()

    def _open_checked(self) -> AudioDecoder:
        """A decoder whose rate and channels are within the limits."""
        with defer_interrupts():
            decoder = open_decoder(self._source, self._ending)
        limits = self._limits
        if not MIN_RATE <= decoder.rate <= limits.max_rate:
            actual = f"{decoder.rate} samples a second"
            wanted = f"{MIN_RATE} to {limits.max_rate} can be used (AudioLimits.max_rate)"
        elif decoder.channels > limits.max_channels:
            actual = f"{decoder.channels} channels"
            wanted = f"at most {limits.max_channels} can be used (AudioLimits.max_channels)"
        else:
            return decoder
        _close(decoder)
        raise self._source.problem(f"{actual}; {wanted}")

    def _limited(self, decoder: AudioDecoder) -> Iterator[Block]:
        """The decoder's blocks as far as the cap on duration."""
        frames = 0
        for block in uninterrupted(decoder.blocks()):
            frames += len(block)
            if frames > self._limits.max_seconds * decoder.rate:
                hours = self._limits.max_seconds / 3600
                raise self._source.problem(
                    f"longer than {hours:g} hours, the limit; raise it with --max-hours "
                    "(AudioLimits.max_seconds)"
                )
            yield block

    def _mix_plan(self) -> MixPlan:
        if self.channels == 1:
            return MixPlan(1)
        plan = mix_plan(self._limited(self._decoder), self.channels)
        _close(self._decoder)
        self._decoder = self._open_checked()
        return plan

    def _converted(self) -> Generator[np.ndarray, None, None]:
        resampler = Resampler(self.source_rate, self.rate)
        frames = 0
        for block in self._limited(self._decoder):
            self._level.check(block, self.source_rate)
            frames += len(block)
            self.seconds = frames / self.source_rate
            samples = resampler.step(self._mix(block), final=False)
            if len(samples):
                yield samples
        rest = resampler.step(np.zeros(0, np.float32), final=True)
        self._finish()
        if len(rest):
            yield rest

    def _finish(self) -> None:
        """Says what there is to say about the whole input."""
        size, failure = self._source.size_now(), self._source.failure
        shrunk = size < self._source.size
        if self._ending.cut or not self._decoder.complete or shrunk or failure:
            self.truncated = self.seconds
            if failure:
                why = f"reading failed ({failure.strerror})"
            elif shrunk:
                why = "the file shrank while it was read"
            else:
                why = "cut off or damaged"
            self.notes.append(f"{why}: the sound stops at {self.seconds:.2f} s")
        elif self.seconds == 0:
            self.notes.append("no sound: the header is followed by no samples")
        if size > self._source.size:
            self.notes.append("the file grew while it was read; what was added may be missing")
        if self._ending.trailing > _TRAILING_BYTES:
            self.notes.append(
                f"{self._ending.trailing:,} bytes after the end that the header states are not read"
            )
        if self._ending.links > 1:
            self.notes.append(f"{self._ending.links} recordings in one file: all are read")
        self.notes += [*self._decoder.notes, *self._level.notes(), *self._mix.notes()]


def _close(decoder: AudioDecoder) -> None:
    with defer_interrupts():
        decoder.close()


def open_audio(
    source: str | bytes | os.PathLike[Any] | BinaryIO,
    rate: int,
    limits: AudioLimits = AudioLimits(),  # noqa: B008 - frozen
) -> AudioStream:
    """Opens any audio or video file, or a pipe, as mono float32 blocks at `rate`.

    The format is told by the content, never by the ending of the name. Channels are mixed as
    `asr.audio.mix` says; float samples beyond +-1 and a constant offset are kept as they are.

    Args:
        source: a path; "-" for standard input (the file of that name is "./-" or Path("-"));
            or a binary stream, which is read from where it stands and stays open.
        rate: samples a second of the blocks.
        limits: what the input may cost.

    Raises:
        AudioError: here or while iterating: the input cannot be read or decoded, is no audio, has
            samples that are no numbers, or is over a limit. A cut or damaged file is no error as
            long as anything can be decoded: see `AudioStream.truncated`.
    """
    opened = open_bytes(source, limits)
    try:
        return AudioStream(opened, rate, limits)
    except BaseException:
        with defer_interrupts():
            opened.close()
        raise


def load_audio(
    source: str | bytes | os.PathLike[Any] | BinaryIO,
    rate: int,
    limits: AudioLimits = AudioLimits(),  # noqa: B008 - frozen
) -> Audio:
    """Decodes a whole input, as `open_audio`, into memory: 230 MB an hour at 16 kHz."""
    with open_audio(source, rate, limits) as stream:
        samples = concatenated(stream)
        return Audio(samples, rate, stream.truncated, tuple(stream.notes))
