"""Ctrl-C arrives while a library decodes: it is not lost, and no block is wrong."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import numpy as np
import pytest
import soundfile

from asr.audio import load_audio, open_audio
from asr.audio.sndfile_decoder import SndfileDecoder
from asr.interrupts import SIGNALS, handle_signals
from tests.audio.made import RATE, example


class _Stopped(Exception):
    pass


@pytest.fixture(params=SIGNALS)
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    with handle_signals(stop):
        yield request.param


class _InterruptingFile:
    """Delivers a signal each time a library reads or asks where it is."""

    def __init__(self, file: BinaryIO, number: int) -> None:
        self._file = file
        self._number = number

    def __getattr__(self, name: str) -> object:
        if name in ("read", "readinto", "tell"):
            signal.raise_signal(self._number)
        return getattr(self._file, name)


@pytest.mark.parametrize("kind", ["wav-16", "flac", "mp3", "m4a-index-first"])
def test_an_interrupt_while_decoding_is_raised(
    kind: str,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "a"
    path.write_bytes(example(kind, 60.0))
    whole = load_audio(path, RATE).samples
    got = 0
    with open_audio(path, RATE) as stream:
        for block in stream:
            assert (block == whole[got : got + len(block)]).all()
            got += len(block)
            file = _InterruptingFile(stream._source._file, number)
            monkeypatch.setattr(stream._source, "_file", file)
            break
        with pytest.raises(_Stopped):
            for _ in stream:
                pass
    assert 0 < got < len(whole)
    assert capfd.readouterr().err == ""  # an exception inside a callback would be printed


@pytest.mark.parametrize("kind", ["wav-16", "m4a-index-first"])
def test_an_interrupt_while_closing_comes_when_all_is_closed(
    kind: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(example(kind, 6.0))
    stream = open_audio(path, RATE)
    next(iter(stream))
    decoder, closed = stream._decoder, []

    def close() -> None:
        signal.raise_signal(number)
        type(decoder).close(decoder)
        closed.append(decoder)

    monkeypatch.setattr(decoder, "close", close)
    with pytest.raises(_Stopped):
        stream.close()
    assert closed == [decoder]
    assert stream._source._file.closed


def test_an_interrupt_between_two_readings_closes_the_file(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channels of a stereo file are looked at first; then it is opened again."""
    path = tmp_path / "a"
    soundfile.write(path, np.ones((RATE, 2), np.float32) / 2, RATE, format="WAV")
    close, files = SndfileDecoder.close, []

    def interrupted(decoder: SndfileDecoder) -> None:
        signal.raise_signal(number)
        close(decoder)
        files.append(decoder._file)

    monkeypatch.setattr(SndfileDecoder, "close", interrupted)
    with pytest.raises(_Stopped):
        open_audio(path, RATE)
    assert files
    assert all(file.closed for file in files)
