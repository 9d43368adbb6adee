"""Order, batching and errors of many recordings, with a fake decoder that reads values back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AudioError
from asr.text.timestamps import Timestamps
from asr.transcribe.files.batch import POOL_BATCHES, BatchSettings, transcribe_batched
from asr.transcribe.files.segmenter import cut_segments
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.words.timing import WordTimer
from asr.types import Hypothesis, Transcript

RATE = 100


@dataclass
class Fake:
    """A recording of `seconds` in which every sample is about `value`."""

    value: int
    seconds: float
    fails_after: float | None = None
    name: str = "fake"
    notes: tuple[str, ...] = ("a note",)
    truncated: float | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        count = round((self.fails_after or self.seconds) * RATE)
        wiggle = np.resize(np.array([0.1, -0.1], np.float32), count)
        yield from np.array_split(self.value + wiggle, max(1, count // 77))
        if self.fails_after is not None:
            raise AudioError(f"{self.value}: vanished")


@contextmanager
def opened(source: Fake | AudioError) -> Iterator[Fake]:
    if isinstance(source, AudioError):
        raise source
    yield source


@dataclass
class Decoder:
    batches: list[list[int]] = field(default_factory=list)

    def __call__(self, stretches: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        self.batches.append([len(stretch) for stretch in stretches])
        return [[Hypothesis((round(float(one.mean())),), -1.0)] for one in stretches]


def text_of(tokens: Sequence[int]) -> str:
    return " ".join(str(token) for token in tokens if token)


CLOCK = WordTimer(text_of, RATE, RATE // 100, 0.04, 0.0425 * RATE)


def cut(blocks: Iterable[np.ndarray]) -> Iterator[tuple[float, np.ndarray]]:
    return cut_segments(blocks, RATE, EndpointConfig(max_segment_seconds=4.0))


def work(decode: Decoder, batch_seconds: float = 10.0) -> BatchSettings:
    return BatchSettings(RATE, decode, CLOCK, cut, batch_seconds)


@given(lengths=st.lists(st.floats(0.05, 30.0), max_size=8), batch_seconds=st.floats(1.0, 40.0))
def test_results_come_in_order_and_whole(lengths: list[float], batch_seconds: float) -> None:
    sources = [Fake(value, seconds) for value, seconds in enumerate(lengths, start=1)]
    decoder = Decoder()
    results = list(transcribe_batched(sources, opened, work(decoder, batch_seconds)))
    assert [source for source, _ in results] == sources
    for source, transcript in results:
        assert isinstance(transcript, Transcript)
        assert set(transcript.text.split()) == {str(source.value)}
        times = [(segment.start, segment.end) for segment in transcript.segments]
        assert times[0][0] == 0.0
        assert times[-1][1] == pytest.approx(round(source.seconds * RATE) / RATE)
        assert [end for _, end in times[:-1]] == pytest.approx([start for start, _ in times[1:]])
        assert transcript.notes == ("a note",)
    longest = max((max(batch) for batch in decoder.batches), default=0)
    for batch in decoder.batches:
        assert len(batch) == 1 or max(batch) * len(batch) <= batch_seconds * RATE
    assert longest <= 4.0 * RATE


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("fails_after", [None, 0.5, 25.0])
def test_a_recording_that_fails_does_not_touch_the_others(
    where: int, fails_after: float | None
) -> None:
    sources: list[Fake | AudioError] = [Fake(1, 3.0), Fake(2, 30.0)]
    broken = AudioError("9: not there") if fails_after is None else Fake(9, 60.0, fails_after)
    sources.insert(where, broken)
    results = list(transcribe_batched(sources, opened, work(Decoder())))
    assert [source for source, _ in results] == sources
    failed = [result for source, result in results if source is broken]
    assert isinstance(failed[0], AudioError)
    said = [set(r.text.split()) for s, r in results if isinstance(r, Transcript)]
    assert said == [{"1"}, {"2"}]


def test_a_bug_is_not_an_input_that_failed() -> None:
    def broken(_: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(transcribe_batched([Fake(1, 1.0)], opened, work(broken)))  # type: ignore[arg-type]


def test_finished_recordings_come_out_before_the_last_is_read() -> None:
    read: list[int] = []

    def sources() -> Iterator[Fake]:
        for value in range(1, 21):
            read.append(value)
            yield Fake(value, 3.0)

    results = transcribe_batched(sources(), opened, work(Decoder(), batch_seconds=6.0))
    first, _ = next(results)
    assert first.value == 1
    assert max(read) <= 1 + POOL_BATCHES * 6 // 3


def test_the_pool_is_all_that_is_held_of_a_long_recording() -> None:
    decoder = Decoder()
    held = 0.0
    done = 0.0

    def progress(seconds: float) -> None:
        nonlocal held, done
        done += seconds
        held = max(held, seconds)

    long = BatchSettings(RATE, decoder, CLOCK, cut, batch_seconds=8.0, progress=progress)
    [(_, transcript)] = transcribe_batched([Fake(3, 3600.0)], opened, long)
    assert isinstance(transcript, Transcript)
    assert done == pytest.approx(3600.0)
    assert held <= 8.0


@dataclass
class Counted(Fake):
    """Ten hours, a second at a time, of which nothing is kept; `read` counts them."""

    read: int = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        while self.read < self.seconds:
            self.read += 1
            yield np.resize(np.array([3.1, 2.9], np.float32), RATE)


def test_ten_hours_are_read_only_as_far_as_there_is_room() -> None:
    source, done, ahead = Counted(3, 36000.0), 0.0, 0.0

    def progress(seconds: float) -> None:
        nonlocal done, ahead
        ahead = max(ahead, source.read - done)
        done += seconds

    def windows(blocks: Iterable[np.ndarray]) -> Iterator[tuple[float, np.ndarray]]:
        return cut_segments(blocks, RATE)

    long = BatchSettings(RATE, Decoder(), CLOCK, windows, batch_seconds=60.0, progress=progress)
    [(_, transcript)] = transcribe_batched([source], opened, long)
    assert isinstance(transcript, Transcript)
    assert done == pytest.approx(36000.0)
    assert transcript.segments[-1].end == 36000.0
    assert ahead <= POOL_BATCHES * 60 + 2 * EndpointConfig().max_segment_seconds + 1


def test_silence_and_stretches_without_words_give_no_segments() -> None:
    results = transcribe_batched([Fake(0, 3.0)], opened, work(Decoder()))
    assert next(results)[1] == Transcript((), 3.0, "fake", None, ("a note",))


def test_a_segment_that_is_given_up_is_empty_and_noted() -> None:
    """Also where text is cut at time stamps; segments beside it are as they are."""
    stamps = Timestamps(first=50, count=50, seconds=0.1, off=49)

    def decode(segments: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        values = [round(float(samples.mean())) for samples in segments]
        given_up, decoded = Hypothesis((), -math.inf), Hypothesis((50, 3, 60), -1.0)
        return [[given_up if value == 2 else decoded] for value in values]

    settings = replace(work(Decoder()), decode=decode, timestamps=stamps)
    results = transcribe_batched([Fake(2, 1.0), Fake(3, 2.0)], opened, settings)
    first, second = (result for _, result in results)
    assert isinstance(first, Transcript)
    assert isinstance(second, Transcript)
    assert first.segments == ()
    assert [note[:26] for note in first.notes] == ["a note", "0.0 to 1.0 s: left empty, "]
    [segment] = second.segments
    assert (segment.tokens, segment.start, segment.end) == ((50, 3, 60), 0.0, 1.0)
    assert second.notes == ("a note",)


def test_no_inputs_no_results() -> None:
    assert list(transcribe_batched([], opened, work(Decoder()))) == []
