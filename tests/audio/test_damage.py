"""Cut, lying, damaged and changing files (A3 to A6, A10, A11, A22)."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import AudioLimits, load_audio, open_audio
from asr.errors import AudioError
from tests.audio.made import KINDS, RATE, example, packed, sound

#: Nothing can be decoded without the index at their end, which a cut takes away.
INDEX_LAST = ("m4a", "mov")
#: These say neither how long they are nor whether a block is their last.
SILENT_ABOUT_THEIR_END = ("voc", "caf", "mp3-bare", "aac", "ts")


@pytest.mark.parametrize("part", [0.45, 0.5, 0.77, 0.93])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in INDEX_LAST])
def test_a_cut_file_gives_what_is_there_and_says_where_it_stops(
    kind: str, part: float, capfd: pytest.CaptureFixture[str]
) -> None:
    data = example(kind)
    audio = load_audio(io.BytesIO(data[: int(len(data) * part)]), RATE)
    assert capfd.readouterr().err == ""  # the libraries keep quiet
    if kind in SILENT_ABOUT_THEIR_END and audio.truncated is None:
        assert audio.duration < 3.99
        return
    assert audio.truncated == pytest.approx(audio.duration, abs=1e-3)
    assert audio.notes[0] == f"cut off or damaged: the sound stops at {audio.truncated:.2f} s"
    # Ogg pages hold up to a second, and one that is not whole is lost.
    assert 4 * part - 1.3 < audio.duration <= 4.2  # padding
    whole = load_audio(io.BytesIO(data), RATE).samples
    same = len(audio.samples) - 2000  # at the cut, codecs smooth what they have
    if same > 0:
        assert np.array_equal(audio.samples[:same], whole[:same])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [3, 16, 100, 400])
def test_a_file_cut_in_its_header_never_crashes(kind: str, count: int) -> None:
    found = _result(example(kind)[:count])
    assert isinstance(found, str) or found < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere_is_an_error_or_a_result_but_never_a_crash(kind: str) -> None:
    data = example(kind)
    random = np.random.default_rng(len(data))
    for _ in range(12):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), int(random.integers(1, 40))):
            damaged[place] = int(random.integers(256))
        _result(bytes(damaged))


def _result(data: bytes) -> str | float:
    """Seconds of sound, or the error's message, which is of one line and names the input."""
    try:
        return load_audio(io.BytesIO(data), RATE, AudioLimits(max_seconds=60)).duration
    except AudioError as error:
        message = str(error)
    assert message.startswith("audio stream: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", INDEX_LAST)
def test_an_mp4_file_without_its_index_says_so(kind: str) -> None:
    data = example(kind)
    with pytest.raises(AudioError, match=r"cut off before its index, .*; copy it again"):
        load_audio(io.BytesIO(data[: len(data) // 2]), RATE)


def test_a_damaged_ogg_page_is_silence_and_times_stay_right() -> None:
    data = bytearray(example("opus"))
    middle = len(data) // 2
    data[middle : middle + 20] = bytes(20)
    audio = load_audio(io.BytesIO(bytes(data)), RATE)
    assert audio.duration == pytest.approx(4.0, abs=0.01)
    assert "silence stands for 1.0 s" in audio.notes[0]
    whole = load_audio(io.BytesIO(example("opus")), RATE).samples
    last = slice(3 * RATE + 2000, None)
    assert np.corrcoef(audio.samples[last], whole[last][: len(audio.samples[last])])[0, 1] > 0.99


def test_opus_pages_that_contradict_each_other_are_all_decoded() -> None:
    """libsndfile stops at such a page; its own writer makes them now and then."""
    data = bytearray(example("opus"))
    pages = [place for place in range(len(data)) if data[place : place + 4] == b"OggS"]
    position = struct.unpack_from("<q", data, pages[2] + 6)[0]
    struct.pack_into("<q", data, pages[2] + 6, position + 489)
    audio = load_audio(io.BytesIO(bytes(data)), RATE)
    assert audio.duration > 2.9


@pytest.mark.parametrize("kind", ["opus", "vorbis"])
def test_recordings_joined_into_one_ogg_file_are_all_read(kind: str) -> None:
    audio = load_audio(io.BytesIO(example(kind) * 3), RATE)
    assert audio.duration == pytest.approx(12.0, abs=0.1)
    assert audio.notes == ("3 recordings in one file: all are read",)


def _wav(stated: int, samples: np.ndarray) -> bytes:
    """A 16-bit wav file whose header states `stated` bytes of samples."""
    data = (samples * 32767).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    riff = min(stated + 36, 0xFFFFFFFF)
    head = b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", stated) + data


@pytest.mark.parametrize("stated", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0])
def test_a_wav_header_of_unknown_length_is_read_to_the_end(stated: int) -> None:
    """As programs write it that stream to a pipe, or that crashed."""
    audio = load_audio(io.BytesIO(_wav(stated, sound(2.0))), RATE)
    assert len(audio.samples) == 2 * RATE
    assert audio.truncated is None
    assert audio.notes == ()


def test_a_wav_header_that_claims_gigabytes_costs_no_memory() -> None:
    data = _wav(0x70000000, sound(2.0))
    tracemalloc.start()
    audio = load_audio(io.BytesIO(data), RATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
    assert len(audio.samples) == 2 * RATE
    assert audio.truncated == 2.0


@pytest.mark.parametrize("stated", [0, 2**36 - 1])
def test_a_flac_header_that_lies_costs_no_memory(stated: int) -> None:
    """2**36 - 1 samples are 49 days; 0 means unknown."""
    data = bytearray(example("flac"))
    data[21] = data[21] & 0xF0 | stated >> 32
    data[22:26] = struct.pack(">I", stated & 0xFFFFFFFF)
    tracemalloc.start()
    audio = load_audio(io.BytesIO(bytes(data)), RATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
    assert len(audio.samples) == 4 * RATE
    assert audio.truncated == (4.0 if stated else None)


def test_sound_behind_the_stated_end_gets_a_note() -> None:
    """A file of more than 4 GiB, whose 32-bit size has gone round, looks like that."""
    audio = load_audio(io.BytesIO(_wav(32000, sound(10.0))), RATE)
    assert audio.duration == 1.0
    assert audio.notes == ("288,000 bytes after the end that the header states are not read",)


def test_a_compressed_bomb_stops_at_the_cap_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", 8000, 1, subtype="PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(8000 * 60, np.int16))
    assert path.stat().st_size < 200_000
    limits = AudioLimits(max_seconds=1800)
    tracemalloc.start()
    with (
        open_audio(path, RATE, limits) as stream,
        pytest.raises(AudioError, match=r"longer than 0.5 hours, .* --max-hours"),
    ):
        for _ in stream:
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stream.seconds <= 1800
    assert peak < 5e6
    assert load_audio(path, 8000, AudioLimits.for_hours(1)).duration == 3600


@pytest.mark.parametrize("channels", [1, 6])
def test_memory_does_not_grow_with_the_recording(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 48000, channels, subtype="PCM_16") as file:
        for _ in range(10 if channels == 1 else 3):
            file.write(np.zeros((48000 * 30, channels), np.int16))
    tracemalloc.start()
    with open_audio(path, RATE) as stream:
        for _ in stream:
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6


def test_an_empty_file_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    with pytest.raises(AudioError, match=r"a\.wav: empty file; "):
        load_audio(path, RATE)
    with pytest.raises(AudioError, match=r"audio stream: empty: no bytes came; "):
        load_audio(io.BytesIO(), RATE)


@pytest.mark.parametrize("kind", ["wav-16", "flac", "mp3", "opus"])
def test_a_file_that_shrinks_while_it_is_read_is_truncated(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "shrinks"
    path.write_bytes(example(kind, 60.0))
    with open_audio(path, RATE) as stream:
        blocks = [next(iter(stream))]
        os.truncate(path, path.stat().st_size // 3)
        blocks += list(stream)
    assert stream.truncated is not None
    assert stream.truncated < 60
    assert "the file shrank while it was read" in stream.notes[0]
    assert len(np.concatenate(blocks)) == pytest.approx(stream.truncated * RATE, abs=1)


def test_a_file_that_grows_while_it_is_read_gets_a_note(tmp_path: Path) -> None:
    path = tmp_path / "grows.wav"
    path.write_bytes(example("wav-16", 20.0))
    with open_audio(path, RATE) as stream:
        next(iter(stream))
        with path.open("ab") as file:
            file.write(bytes(100_000))
        for _ in stream:
            pass
    assert stream.seconds == 20
    assert stream.notes == ["the file grew while it was read; what was added may be missing"]


def test_a_file_that_vanishes_after_it_was_opened_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "gone.flac"
    path.write_bytes(example("flac", 20.0))
    with open_audio(path, RATE) as stream:
        path.unlink()
        assert sum(len(block) for block in stream) == 20 * RATE
    assert stream.notes == []
    with pytest.raises(AudioError, match=r"gone\.flac: no such file"):
        open_audio(path, RATE)


@pytest.mark.parametrize("kind", ["wav-16", "m4a-index-first"])
def test_a_disk_that_fails_while_it_is_read_truncates(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(example(kind, 60.0))
    with open_audio(path, RATE) as stream:
        next(iter(stream))
        monkeypatch.setattr(stream._source, "_file", _FailingFile(stream._source._file))
        for _ in stream:
            pass
    assert stream.truncated is not None
    assert stream.truncated < 60
    assert "reading failed (Input/output error)" in stream.notes[0]
    assert capfd.readouterr().err == ""  # an exception inside a callback would be printed


class _FailingFile:
    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        if name in ("read", "readinto"):
            raise OSError(5, "Input/output error")
        return getattr(self._file, name)


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"Dear Sir,\nthis is no sound.\n" * 99, "text"),
        ("Grüße, мир, 世界\n".encode() * 999, "text"),
        ("wide text\n".encode("utf-16") * 9, "text"),
        (b"<!DOCTYPE html><html><body>404 not found</body></html>", "a web page"),
        (b"<?xml version='1.0'?><a/>", "an XML document"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 9, "a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "a PNG picture"),
        (b"PK\x03\x04" + bytes(range(256)), "a zip archive"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "a gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"#EXTM3U\n/etc/passwd\n", "a playlist"),
        (bytes(5000), "nothing but zero bytes"),
        (b"BM is how this text begins\n" * 9, "text"),
    ],
)
def test_what_is_not_audio_is_told_by_its_looks(data: bytes, looks: str, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=rf"sound\.wav: not audio: it looks like {looks}"):
        load_audio(path, RATE)


def test_random_bytes_are_not_audio() -> None:
    random = np.random.default_rng(11)
    for _ in range(100):
        data = random.bytes(int(random.integers(1, 40000)))
        with pytest.raises(AudioError):
            load_audio(io.BytesIO(data), RATE)


def test_a_playlist_inside_never_opens_another_file(tmp_path: Path) -> None:
    (tmp_path / "other.wav").write_bytes(packed(sound(1.0), RATE, "wav-16"))
    for text in (f"ffconcat version 1.0\nfile {tmp_path}/other.wav\n", "[playlist]\nFile1=a\n"):
        path = tmp_path / "list.wav"
        path.write_text(text)
        with pytest.raises(AudioError, match="not audio"):
            load_audio(path, RATE)
