"""The guarantees on trained models and recordings, where both are at hand."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import numpy as np
import pytest

from asr.audio import load_audio
from asr.folders import SHIPPED
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams.stream import feed_many, flush_many
from asr.types import Segment, StreamUpdate
from tests.conftest import REPOSITORY

DIGITS = REPOSITORY / "recipes" / "digits" / "exp" / "digits" / "model"
KNOWN = {
    "digits": (Path(os.environ.get("ASR_DIGITS", DIGITS)), "fsdd/audio/[0-9]_*_[0-4].*", 8),
    "english": (SHIPPED, "dev/librispeech/**/*.*", 1),
}


@pytest.fixture(params=sorted(KNOWN), scope="module")
def heard(request: pytest.FixtureRequest, corpora: Path) -> tuple[Recognizer, list[np.ndarray]]:
    """A model, and recordings at its rate that it should understand."""
    folder, pattern, joined = KNOWN[request.param]
    if not (folder / "config.yaml").is_file():
        pytest.skip(f"no model at {folder}")
    model = load_model(folder, "cpu")
    paths = [
        path
        for path in sorted(corpora.glob(pattern))
        if path.suffix in (".wav", ".flac", ".opus", ".mp3", ".ogg")
    ]
    if len(paths) < 6 * joined:
        pytest.skip(f"no recordings {pattern} in {corpora}")
    draw = random.Random(1)
    sounds = []
    for _ in range(6):
        parts = [load_audio(path, model.sample_rate).samples for path in draw.sample(paths, joined)]
        pauses = [
            np.zeros(round(draw.uniform(0, 1.5) * model.sample_rate), np.float32) for _ in parts
        ]
        sounds.append(np.concatenate([part for both in zip(parts, pauses) for part in both]))  # noqa: B905
    return model, sounds


@pytest.mark.parametrize("chunk", [320, 640])
def test_any_cut_gives_what_transcribe_gives(
    heard: tuple[Recognizer, list[np.ndarray]], chunk: int
) -> None:
    model, sounds = heard
    draw = random.Random(chunk)
    for sound in sounds[:4]:
        places = sorted(draw.randrange(len(sound)) for _ in range(9))
        stream = model.stream(model.sample_rate, chunk_ms=chunk)
        finals: list[Segment] = []
        for start, end in itertools.pairwise([0, *places, len(sound)]):
            finals += stream.feed(sound[start:end]).final
        finals += stream.flush().final
        expected = model.transcribe(sound, model.sample_rate, chunk_ms=chunk)
        assert tuple(finals) == expected.segments
        assert finals


def test_streams_in_one_batch_say_what_they_say_alone(
    heard: tuple[Recognizer, list[np.ndarray]],
) -> None:
    model, sounds = heard
    streams = [model.stream(model.sample_rate) for _ in sounds]
    finals: list[list[Segment]] = [[] for _ in sounds]
    block = model.sample_rate // 3
    for start in range(0, max(map(len, sounds)), block):
        blocks = [sound[start : start + block] for sound in sounds]
        updates = feed_many(zip(streams, blocks, strict=True))
        for segments, update in zip(finals, updates, strict=True):
            assert isinstance(update, StreamUpdate)
            segments += update.final
    for segments, update in zip(finals, flush_many(streams), strict=True):
        assert isinstance(update, StreamUpdate)
        segments += update.final
    for segments, sound in zip(finals, sounds, strict=True):
        expected = model.transcribe(sound, model.sample_rate, chunk_ms=640).segments
        assert [one.text for one in segments] == [one.text for one in expected]
        for one, other in zip(segments, expected, strict=True):
            assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-4)
            assert one.score == pytest.approx(other.score, abs=1e-4)
            times = [time for word in one.words for time in (word.start, word.end)]
            expected_times = [time for word in other.words for time in (word.start, word.end)]
            assert times == pytest.approx(expected_times, abs=1e-4)
