"""FFmpeg decodes in a process of its own: crashes, hangs and gigabytes stay there."""

from __future__ import annotations

import gc
import io
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from asr.audio import AudioLimits, child_decoder, load_audio, open_audio
from asr.audio.byte_source import ByteSource, open_bytes
from asr.audio.child_decoder import ChildDecoder, DecoderDiedError
from asr.audio.duration import claimed_seconds
from asr.audio.messages import NEXT
from asr.errors import AudioError
from tests.audio.made import RATE, example

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends signals")


@pytest.fixture(autouse=True)
def own_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pool = child_decoder._Pool()
    monkeypatch.setattr(child_decoder, "_POOL", pool)
    yield
    pool.close()


def _process_id(decoder: object) -> int:
    assert isinstance(decoder, ChildDecoder)
    assert decoder._process is not None
    return decoder._process._popen.pid


def test_a_crash_at_the_start_is_an_error_that_names_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _kill_at(monkeypatch, 1)
    with pytest.raises(
        AudioError, match=r"^audio stream: an MP4 file .*its decoder crashed \(exit status -9\)"
    ):
        load_audio(io.BytesIO(example("m4a")), RATE)
    assert load_audio(io.BytesIO(example("m4a")), RATE).duration == pytest.approx(4.0, abs=0.1)


def _kill_at(monkeypatch: pytest.MonkeyPatch, read: int) -> None:
    """The decoding process is killed when it reads for the n-th time."""
    ask, reads = child_decoder._Process.ask, 0

    def asked(self: object, source: ByteSource, tag: bytes, contents: bytes = b"") -> object:
        process = self

        class Killing:
            def bytes_at(self, offset: int, count: int) -> bytes:
                nonlocal reads
                reads += 1
                if reads == read:
                    os.kill(process._popen.pid, signal.SIGKILL)  # type: ignore[attr-defined]
                return source.bytes_at(offset, count)

        return ask(self, Killing(), tag, contents)  # type: ignore[arg-type]

    monkeypatch.setattr(child_decoder._Process, "ask", asked)


def test_a_crash_on_the_way_keeps_what_was_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(example("mp3", 60.0))
    whole = load_audio(path, RATE).samples
    with open_audio(path, RATE) as stream:
        blocks = [next(iter(stream))]
        os.kill(_process_id(stream._decoder), signal.SIGKILL)
        blocks += list(stream)
    samples = np.concatenate(blocks)
    assert 0 < len(samples) < len(whole)
    assert np.array_equal(samples[:-2000], whole[: len(samples) - 2000])
    assert stream.truncated == pytest.approx(len(samples) / RATE, abs=0.001)
    assert "its decoder crashed (exit status -9): the rest is not read" in stream.notes


def test_a_step_that_takes_too_long_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_decoder, "STEP_SECONDS", 0.3)
    with open_bytes(io.BytesIO(example("m4a")), AudioLimits()) as source:
        read = source.bytes_at

        def slow(offset: int, count: int) -> bytes:
            time.sleep(0.6)
            return read(offset, count)

        monkeypatch.setattr(source, "bytes_at", slow)
        process = child_decoder._Process()
        with pytest.raises(DecoderDiedError, match=r"took more than 0\.3 s over one place"):
            process.ask(source, child_decoder.OPEN, b'{"size": 30000, "block_frames": 1000}')
        process.kill()


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads /proc")
def test_memory_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(example("mp3"))
    with open_audio(path, RATE) as stream:
        limits = Path(f"/proc/{_process_id(stream._decoder)}/limits").read_text()
        line = next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert 1 << 30 < int(line.split()[3]) < 1 << 32


def test_files_share_a_process_and_threads_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(example("mp3"))
    with open_audio(path, RATE) as first, open_audio(path, RATE) as second:
        ids = {_process_id(first._decoder), _process_id(second._decoder)}
        assert len(ids) == 2
    with open_audio(path, RATE) as third:
        assert _process_id(third._decoder) in ids
    with ThreadPoolExecutor(4) as pool:
        lengths = set(pool.map(lambda _: len(load_audio(path, RATE).samples), range(12)))
    assert lengths == {4 * RATE}
    assert len(child_decoder._POOL._idle) <= 4


def test_a_stream_that_is_closed_early_leaves_a_process_that_works(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(example("mp3", 60.0))
    with open_audio(path, RATE) as stream:
        next(iter(stream))
        number = _process_id(stream._decoder)
    with open_audio(path, RATE) as stream:
        assert _process_id(stream._decoder) == number
        assert sum(len(block) for block in stream) == 60 * RATE


def test_a_process_that_died_while_it_waited_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(example("mp3"))
    with open_audio(path, RATE) as stream:
        number = _process_id(stream._decoder)
    os.kill(number, signal.SIGKILL)
    time.sleep(0.05)
    assert load_audio(path, RATE).duration == 4.0


def test_a_forked_process_has_a_pool_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(example("mp3"))
    pool = child_decoder._POOL
    load_audio(path, RATE)
    assert len(pool._idle) == 1
    pool.forget()
    assert pool._idle == []
    gc.collect()
    assert load_audio(path, RATE).duration == 4.0


def test_answers_that_are_no_messages_are_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        child_decoder,
        "_START",
        "import os; os.write(1, b'Y' + bytes(8) + b'?' + b'\\xff' * 8); input()",
    )
    process = child_decoder._Process()
    with (
        open_bytes(io.BytesIO(example("m4a")), AudioLimits()) as source,
        pytest.raises(DecoderDiedError, match="crashed"),
    ):
        process.ask(source, NEXT)
    process.kill()


def test_a_process_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_decoder, "_START", "raise SystemExit(3)")
    with pytest.raises(AudioError, match=r"did not start \(exit status 3\); run `asr doctor`"):
        load_audio(io.BytesIO(example("m4a")), RATE)


def test_lengths_of_containers_are_read_there_too(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(example("m4a"))
    assert claimed_seconds(path) == pytest.approx(4.0, abs=0.1)
    assert len(child_decoder._POOL._idle) == 1
    path.write_bytes(example("m4a")[:-2000])
    assert claimed_seconds(path) is None
