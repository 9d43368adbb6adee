"""Recognisers whose encoder cannot stream, depends on padding and takes a limited length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr.errors import ConfigError
from asr.model.folder import save_model_folder
from asr.text import NormalizerConfig
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams.endpoint import EndpointConfig
from tests.transcribe.small import SMALL, saved

RATE = 16000


@pytest.fixture(scope="module")
def whole_only_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("whole"), encoder={"type": "test-whole-only"})


@pytest.fixture(scope="module")
def model(whole_only_folder: Path) -> Recognizer:
    return load_model(whole_only_folder, "cpu")


def test_segments_are_no_longer_than_the_encoder_takes(
    model: Recognizer, sound: np.ndarray
) -> None:
    long = np.concatenate([sound] * 4)
    transcript = model.transcribe(long, RATE)
    assert len(transcript.segments) >= 3
    assert max(segment.end - segment.start for segment in transcript.segments) <= 4.0
    for segment in transcript.segments:  # and say what they say on their own
        part = long[round(segment.start * RATE) : round(segment.end * RATE)]
        assert model.transcribe(part, RATE).text == segment.text
    assert transcript.text


def test_what_a_recording_says_does_not_depend_on_the_others(
    model: Recognizer, sound: np.ndarray
) -> None:
    sources = [sound, sound[: 2 * RATE], sound[5000 : 5000 + 2 * RATE], sound[: RATE // 3]]
    together = model.transcribe_many(sources, sample_rate=RATE)
    for source, (_, result) in zip(sources, together, strict=True):
        alone = model.transcribe(source, RATE)
        assert result.text == alone.text
        for one, other in zip(result.segments, alone.segments, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_longer_segments_than_the_encoder_takes_are_refused(
    model: Recognizer, sound: np.ndarray
) -> None:
    with pytest.raises(ConfigError, match=r"max_segment_seconds is 10, .* at most 4 s at once"):
        model.transcribe(sound, RATE, endpoint=EndpointConfig(max_segment_seconds=10))
    rules = EndpointConfig(max_segment_seconds=3)
    assert model.transcribe(sound, RATE, endpoint=rules).duration == 3.0


def test_segments_of_streams_are_no_longer_than_the_encoder_takes(
    model: Recognizer, sound: np.ndarray
) -> None:
    long = np.concatenate([sound] * 3)
    stream = model.stream(RATE, chunk_ms=1280)
    segments = [*stream.feed(long).final, *stream.flush().final]
    assert len(segments) >= 3
    assert max(segment.end - segment.start for segment in segments) <= 4.0
    assert tuple(segments) == model.transcribe(long, RATE, chunk_ms=1280).segments


def test_a_front_end_with_centred_windows_streams(tmp_path: Path, sound: np.ndarray) -> None:
    frontend = {"type": "whisper", "maximum": "running"}
    encoder = {**SMALL, "subsampling": {"factor": 8, "channels": 4}}
    model = load_model(saved(tmp_path, frontend=frontend, encoder=encoder), "cpu")
    stream, segments = model.stream(RATE, chunk_ms=640), []
    for start in range(0, len(sound), 1234):
        segments.extend(stream.feed(sound[start : start + 1234]).final)
    segments.extend(stream.flush().final)
    expected = model.transcribe(sound, RATE, chunk_ms=640)
    assert expected.text
    assert [segment.text for segment in segments] == [s.text for s in expected.segments]
    assert model.transcribe(sound, RATE).text


@pytest.mark.parametrize("dtype", ["float32", "stored"])
def test_weights_of_half_the_size_transcribe(
    tiny_model: Path, tmp_path: Path, sound: np.ndarray, dtype: str
) -> None:
    loaded = load_model(tiny_model, "cpu").loaded
    save_model_folder(
        tmp_path / "half", loaded.model, loaded.tokenizer, name="half",
        normalizer=NormalizerConfig(), card="", dtype="bfloat16",
    )  # fmt: skip
    model = load_model(tmp_path / "half", "cpu", dtype=dtype)
    [segment] = model.transcribe(sound, RATE).segments
    assert segment.text
    assert model.transcribe(sound, RATE, chunk_ms=640).text
