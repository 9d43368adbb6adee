"""What a stream promises, on a tiny model with random weights and generated sound."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.model.folder import load_model_folder
from asr.search import SearchResult
from asr.transcribe.recognizer import Recognizer
from asr.transcribe.streams import open_segment as rules
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.open_segment import OpenSegment
from asr.transcribe.streams.stream import Stream, feed_many, flush_many
from asr.types import Segment, StreamUpdate
from tests.conftest import RATE

ENDPOINT = EndpointConfig(
    max_segment_seconds=2.0, silence_seconds=0.4, noise_seconds=0.6, lead_seconds=0.5
)
few = settings(max_examples=8)
# Bursts and pauses: (seconds, whether there is sound).
speech = st.lists(
    st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9, 1.6]), st.booleans()), min_size=1, max_size=6
)
chunks = st.sampled_from([160, 320, 640])


@pytest.fixture(scope="module", params=["with CTC", "without CTC"])
def model(tiny_model: Path, request: pytest.FixtureRequest) -> Recognizer:
    """Decided labels are found in another way in each: by CTC's best path, or by agreement."""
    loaded = load_model_folder(tiny_model)
    if request.param == "without CTC":
        loaded.model.ctc = None
    return Recognizer(loaded, endpoint=ENDPOINT)


@pytest.fixture(autouse=True)
def _early(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CTC, labels enter the partial text so early that later searches disagree with them.

    Without CTC they enter at once, so nothing has to be changed.
    """
    monkeypatch.setattr(rules, "EDGE_SECONDS", 0.08)
    monkeypatch.setattr(rules, "WORD_SECONDS", 0.16)


def sound_of(parts: Sequence[tuple[float, bool]], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    loud = [random.normal(0, 0.1, round(length * RATE)) * sounds for length, sounds in parts]
    return np.concatenate(loud).astype(np.float32)


def run(stream: Stream, blocks: Sequence[np.ndarray]) -> list[StreamUpdate]:
    return [*(stream.feed(block) for block in blocks), stream.flush()]


def finals(updates: Sequence[StreamUpdate | AsrError]) -> list[Segment]:
    assert all(isinstance(update, StreamUpdate) for update in updates)
    return [segment for update in updates for segment in update.final]  # type: ignore[union-attr]


def same(one: Sequence[Segment], other: Sequence[Segment]) -> None:
    assert [segment.text for segment in one] == [segment.text for segment in other]
    for left, right in zip(one, other, strict=True):
        assert left.tokens == right.tokens
        assert (left.start, left.end) == pytest.approx((right.start, right.end), abs=1e-4)
        assert left.score == pytest.approx(right.score, abs=1e-4)
        assert left.scores == pytest.approx(right.scores, abs=1e-4)
        assert [word.text for word in left.words] == [word.text for word in right.words]
        for word, twin in zip(left.words, right.words, strict=True):
            assert (word.start, word.end) == pytest.approx((twin.start, twin.end), abs=1e-4)


def cut(sound: np.ndarray, places: Sequence[float]) -> list[np.ndarray]:
    edges = [0, *sorted(int(place * len(sound)) for place in places), len(sound)]
    return [sound[a:b] for a, b in itertools.pairwise(edges)]


def test_generated_sound_gives_disagreement_and_decided_text(
    model: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other tests would hold for a stream that is always sure, or never."""
    revised, undecided, decided, rivals = 0, 0, 0, 0
    original = OpenSegment.update

    def watched(segment: OpenSegment, frames: int, result: SearchResult, text_of: Any) -> Any:
        nonlocal revised, undecided, decided, rivals
        before = segment.labels
        hypothesis = original(segment, frames, result, text_of)
        revised += segment.labels[: len(before)] != before
        decided += segment.stable > 0
        undecided += segment.stable < len(segment.labels)
        rivals += len(segment.prefixes) > 1 or len(result.hypotheses) > 1
        return hypothesis

    monkeypatch.setattr(OpenSegment, "update", watched)
    sound = sound_of([(1.6, True), (0.5, False), (1.6, True), (0.9, True), (1.6, True)])
    updates = run(model.stream(RATE, chunk_ms=160), cut(sound, np.linspace(0, 1, 40).tolist()))
    assert min(revised, undecided, decided, rivals) >= 3
    assert len(finals(updates)) >= 3
    assert all(segment.text for segment in finals(updates))
    assert sum(update.partial is not None for update in updates) > 10
    # The model writes no spaces, so no text is stable, though labels are: see test_partial_text.
    assert decided > 3


@few
@given(parts=speech, chunk=chunks, places=st.lists(st.floats(0, 1), max_size=12))
def test_any_cut_of_the_samples_gives_what_transcribe_gives(
    model: Recognizer, parts: list[tuple[float, bool]], chunk: int, places: list[float]
) -> None:
    sound = sound_of(parts)
    whole = model.transcribe(sound, RATE, chunk_ms=chunk)
    pieces = finals(run(model.stream(RATE, chunk_ms=chunk), cut(sound, places)))
    assert tuple(pieces) == whole.segments  # to the bit: chunks are the same whatever the cut


@few
@given(parts=speech, chunk=chunks)
def test_what_is_final_or_stable_never_changes_and_times_never_decrease(
    model: Recognizer, parts: list[tuple[float, bool]], chunk: int
) -> None:
    sound = sound_of(parts)
    said, stable, time = "", "", 0.0
    for update in run(model.stream(RATE, chunk_ms=chunk), cut(sound, np.linspace(0, 1, 30))):
        shown = list(update.final) + ([update.partial] if update.partial else [])
        if shown:
            assert shown[0].text.startswith(stable)
        for segment in update.final:
            inside = [edge for word in segment.words for edge in (word.start, word.end)]
            times = [time, segment.start, *inside, segment.end, len(sound) / RATE + 1e-9]
            assert times == sorted(times)
            time, stable = segment.end, ""
            said += segment.text
        if update.partial:
            assert time <= update.partial.start <= update.partial.end
            assert update.partial.text.startswith("" if update.final else stable)
            stable = update.partial.text[: update.stable]
            assert len(stable) == update.stable
        else:
            assert update.stable == 0


@few
@given(
    many=st.lists(speech, min_size=2, max_size=4),
    chunk=chunks,
    order=st.lists(st.integers(0, 3), max_size=40),
)
def test_interleaved_streams_are_as_alone(
    model: Recognizer, many: list[list[tuple[float, bool]]], chunk: int, order: list[int]
) -> None:
    sounds = [sound_of(parts, seed) for seed, parts in enumerate(many)]
    streams = [model.stream(RATE, chunk_ms=chunk) for _ in sounds]
    heard: list[list[Segment]] = [[] for _ in sounds]
    fed = [0] * len(sounds)
    for turn in [*order, *range(len(sounds))]:
        which = turn % len(sounds)
        end = fed[which] + 3000 if turn in order else len(sounds[which])
        heard[which] += streams[which].feed(sounds[which][fed[which] : end]).final
        fed[which] = end
    for which, stream in enumerate(streams):
        rest = sounds[which][fed[which] :]
        heard[which] += [*stream.feed(rest).final, *stream.flush().final]
        assert tuple(heard[which]) == model.transcribe(sounds[which], RATE, chunk_ms=chunk).segments


@few
@given(many=st.lists(speech, min_size=2, max_size=5), chunk=chunks, block=st.integers(800, 20000))
def test_streams_in_one_batch_are_as_alone(
    model: Recognizer, many: list[list[tuple[float, bool]]], chunk: int, block: int
) -> None:
    sounds = [sound_of(parts, seed) for seed, parts in enumerate(many)]
    streams = [model.stream(RATE, chunk_ms=chunk) for _ in sounds]
    received: list[list[StreamUpdate | AsrError]] = [[] for _ in sounds]
    for start in range(0, max(map(len, sounds)), block):
        feeds = [
            (stream, sound[start : start + block])
            for stream, sound in zip(streams, sounds, strict=True)
        ]
        for updates, update in zip(received, feed_many(feeds), strict=True):
            updates.append(update)
    for updates, update in zip(received, flush_many(streams), strict=True):
        updates.append(update)
    for updates, sound in zip(received, sounds, strict=True):
        same(finals(updates), model.transcribe(sound, RATE, chunk_ms=chunk).segments)


@few
@given(
    many=st.lists(speech, min_size=1, max_size=3),
    chunk=chunks,
    limits=st.lists(st.integers(1, 3), max_size=30),
)
def test_a_limit_of_chunks_changes_nothing(
    model: Recognizer, many: list[list[tuple[float, bool]]], chunk: int, limits: list[int]
) -> None:
    """The first call has all of the sound; what the limit leaves is decoded by the calls after."""
    sounds = [sound_of(parts, seed) for seed, parts in enumerate(many)]
    streams = [model.stream(RATE, chunk_ms=chunk) for _ in sounds]
    feeds: list[tuple[Stream, Any]] = list(zip(streams, sounds, strict=True))
    received: list[list[StreamUpdate | AsrError]] = [[] for _ in sounds]
    for limit in limits:
        for updates, update in zip(received, feed_many(feeds, max_chunks=limit), strict=True):
            updates.append(update)
        feeds = [(stream, b"") for stream in streams]
    for updates, update in zip(received, feed_many(feeds), strict=True):
        updates.append(update)
    assert not any(stream.ready for stream in streams)
    for updates, update in zip(received, flush_many(streams), strict=True):
        updates.append(update)
    for updates, sound in zip(received, sounds, strict=True):
        same(finals(updates), model.transcribe(sound, RATE, chunk_ms=chunk).segments)


def test_many_recordings_in_chunks_are_as_alone(model: Recognizer) -> None:
    sounds = [sound_of([(0.3 + 0.7 * n, True), (0.5, False), (0.4, True)], n) for n in range(6)]
    for seconds in (1.0, 6.0, 100.0):
        many = model.transcribe_many(sounds, sample_rate=RATE, chunk_ms=320, batch_seconds=seconds)
        for (source, result), sound in zip(many, sounds, strict=True):
            assert source is sound
            same(result.segments, model.transcribe(sound, RATE, chunk_ms=320).segments)  # type: ignore[union-attr]


def test_a_state_can_be_pickled_between_any_two_blocks(model: Recognizer) -> None:
    sound = sound_of([(1.6, True), (0.5, False), (0.9, True), (0.5, True)])
    stream = model.stream(RATE, chunk_ms=160)
    heard: list[Segment] = []
    for block in np.array_split(sound, 25):
        heard += stream.feed(block).final
        stream._run.state = pickle.loads(pickle.dumps(stream._run.state))
    heard += stream.flush().final
    assert tuple(heard) == model.transcribe(sound, RATE, chunk_ms=160).segments


def test_one_sample_at_a_time(model: Recognizer) -> None:
    sound = sound_of([(0.4, True), (0.45, False), (0.2, True)])[:9000]
    updates = run(model.stream(RATE, chunk_ms=160), [sound[n : n + 1] for n in range(len(sound))])
    assert tuple(finals(updates)) == model.transcribe(sound, RATE, chunk_ms=160).segments


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 1679, 1680, 1681, 10240, 10241])
def test_the_shortest_streams(model: Recognizer, samples: int) -> None:
    sound = sound_of([(1.0, True)])[:samples]
    [update] = run(model.stream(RATE), [sound])[-1:]
    assert tuple(update.final) == model.transcribe(sound, RATE, chunk_ms=640).segments
    assert update.partial is None


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
def test_any_rate_and_any_type_of_samples(model: Recognizer, rate: int) -> None:
    random = np.random.default_rng(1)
    whole = (random.normal(0, 3000, 2 * rate)).clip(-32768, 32767).astype(np.int16)
    expected = model.transcribe(whole, rate, chunk_ms=320).segments
    assert expected
    floats = (whole / 32768).astype(np.float32)
    for form in (whole, floats, floats.astype(np.float64)):
        stream = model.stream(rate, chunk_ms=320)
        assert tuple(finals(run(stream, np.array_split(form, 17)))) == expected
    stream = model.stream(rate, chunk_ms=320)
    pcm = whole.astype("<i2").tobytes()
    blocks = [pcm[:1000], bytearray(pcm[1000:20000]), memoryview(pcm)[20000:]]
    assert tuple(finals([*map(stream.feed, blocks), stream.flush()])) == expected


def size(stream: Stream) -> int:
    return len(pickle.dumps(stream._run.state))


def test_silence_says_nothing_and_costs_nothing(
    model: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = model.stream(RATE)
    monkeypatch.setattr(
        "asr.transcribe.streams.stream_decoder.continue_search", lambda *a: pytest.fail("searched")
    )
    sizes = []
    for _ in range(60):
        assert stream.feed(np.zeros(RATE, np.int16)) == StreamUpdate()
        sizes.append(size(stream))
    assert max(sizes[10:]) < 1.1 * max(sizes[:10])
    assert stream.flush() == StreamUpdate()


def test_memory_does_not_grow_with_endless_sound(model: Recognizer) -> None:
    stream = model.stream(RATE)
    sizes = []
    random = np.random.default_rng(0)
    for _ in range(24):
        stream.feed(random.normal(0, 0.1, RATE).astype(np.float32))
        sizes.append(size(stream))
    assert max(sizes[8:]) < 1.1 * max(sizes[:8])
    assert stream.seconds == 24.0
