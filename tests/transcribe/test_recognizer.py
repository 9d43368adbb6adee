from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import asr
from asr.audio import Audio, AudioLimits
from asr.errors import AudioError, ConfigError, ModelError
from asr.model import ChunkContext
from asr.model.folder import LoadedModel
from asr.transcribe import recognizer as module
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.types import Segment, Transcript
from tests.conftest import RATE, SAMPLES


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Recognizer:
    return load_model(tiny_model, device="cpu")


def same(one: Segment, other: Segment) -> None:
    assert (one.text, one.tokens, one.start, one.end) == (
        other.text,
        other.tokens,
        other.start,
        other.end,
    )
    assert one.score == pytest.approx(other.score, abs=1e-4)


def test_a_file_its_samples_and_an_opened_stream_say_the_same(
    model: Recognizer, sound: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    from_file = model.transcribe(path)
    with path.open("rb") as stream:
        results = [
            model.transcribe(str(path)),
            model.transcribe(stream),
            model.transcribe(sound, sample_rate=RATE),
            model.transcribe(torch.from_numpy(sound), sample_rate=RATE),
            model.transcribe(Audio(sound, RATE)),
        ]
    assert from_file.text
    assert from_file.source == str(path)
    for result in results:
        same(result.segments[0], from_file.segments[0])


def test_a_transcript_carries_times_scores_and_tokens(model: Recognizer, sound: np.ndarray) -> None:
    transcript = model.transcribe(sound, RATE)
    [segment] = transcript.segments
    assert (segment.start, segment.end, transcript.duration) == (0.0, 3.0, 3.0)
    assert set(segment.scores) == {"attention", "ctc"}
    weighted = 0.7 * segment.scores["attention"] + 0.3 * segment.scores["ctc"]
    assert segment.score == pytest.approx(weighted)
    assert model.tokenizer.decode(segment.tokens) == segment.text == transcript.text
    assert segment.alternatives == ()


def test_other_rates_are_resampled(model: Recognizer, sound: np.ndarray) -> None:
    assert model.transcribe(np.repeat(sound, 3), 48000).duration == pytest.approx(3.0)
    rate = 8000
    assert model.transcribe(Audio(sound[::2], rate)).duration == pytest.approx(3.0)


def test_many_equal_one_by_one_in_every_batch_size(model: Recognizer, sound: np.ndarray) -> None:
    sources = [sound[: round(seconds * RATE)] for seconds in (3.0, 0.4, 1.7, 2.2, 0.9)]
    alone = [model.transcribe(source, RATE) for source in sources]
    for batch_seconds in (0.1, 5.0, 100.0):
        many = model.transcribe_many(sources, sample_rate=RATE, batch_seconds=batch_seconds)
        for (source, together), one, expected in zip(many, alone, sources, strict=True):
            assert source is expected
            assert isinstance(together, Transcript)
            for left, right in zip(together.segments, one.segments, strict=True):
                same(left, right)


@pytest.mark.parametrize("samples", [0, 1, 160, 399, 400, 1600])
def test_the_shortest_sounds_are_no_error(
    model: Recognizer, sound: np.ndarray, samples: int
) -> None:
    transcript = model.transcribe(sound[:samples], RATE)
    assert transcript.duration == pytest.approx(samples / RATE)
    many = model.transcribe_many([sound[:samples], sound], sample_rate=RATE)
    results = [result for _, result in many]
    same(results[1].segments[0], model.transcribe(sound, RATE).segments[0])  # type: ignore[union-attr]


def test_digital_silence_says_nothing(model: Recognizer) -> None:
    transcript = model.transcribe(np.zeros(25 * RATE, np.float32), RATE)
    assert (transcript.text, transcript.segments, transcript.duration) == ("", (), 25.0)


def test_a_long_recording_is_its_stretches(tiny_model: Path, sound: np.ndarray) -> None:
    loaded = module.load_model_folder(tiny_model)
    model = Recognizer(loaded, endpoint=EndpointConfig(max_segment_seconds=4.0))
    long = np.concatenate([sound] * 4)
    transcript = model.transcribe(long, RATE)
    assert len(transcript.segments) >= 3
    assert transcript.segments[-1].end == pytest.approx(12.0)
    for segment in transcript.segments:
        part = long[round(segment.start * RATE) : round(segment.end * RATE)]
        assert model.transcribe(part, RATE).text == segment.text
    assert transcript.text == " ".join(segment.text for segment in transcript.segments)


def test_nbest_gives_alternatives_best_first(model: Recognizer, sound: np.ndarray) -> None:
    [segment] = model.transcribe(sound, RATE, beam=4, nbest=3).segments
    scores = [segment.score, *(other.score for other in segment.alternatives)]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert len({segment.tokens, *(other.tokens for other in segment.alternatives)}) == 3


def test_options_default_to_what_is_saved_with_the_model(
    model: Recognizer, sound: np.ndarray
) -> None:
    assert (model.search.beam, model.search.ctc_weight) == (2, 0.3)
    default = model.transcribe(sound, RATE)
    asked = model.transcribe(sound, RATE, beam=2, ctc_weight=0.3)
    assert default == asked
    assert set(model.transcribe(sound, RATE, ctc_weight=0.0).segments[0].scores) == {"attention"}


def test_chunks_are_whole_frames_of_the_encoder(
    model: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ChunkContext] = []
    original = model.model.encoder.initial_state

    def spy(batch: int, context: ChunkContext) -> Any:
        seen.append(context)
        return original(batch, context)

    monkeypatch.setattr(model.model.encoder, "initial_state", spy)
    tone = np.sin(np.arange(RATE) / 5).astype(np.float32)
    model.transcribe(tone, RATE)
    assert seen == []
    model.transcribe(tone, RATE, chunk_ms=640)
    model.transcribe(tone, RATE, chunk_ms=640, left_ms=0)
    model.transcribe(tone, RATE, chunk_ms=80, left_ms=160)
    model.stream(RATE)
    assert seen == [
        ChunkContext(8, 64),
        ChunkContext(8, 0),
        ChunkContext(1, 2),
        ChunkContext(8, 64),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"chunk_ms": 100}, "chunk_ms must be a multiple of 80 .* the nearest is 80"),
        ({"chunk_ms": 10}, "the nearest is 80"),
        ({"chunk_ms": -640}, "chunk_ms.* greater than 0 .got -640"),
        ({"chunk_ms": 640, "left_ms": 130}, "left_ms .* the nearest is 160"),
        ({"chunk_ms": float("nan")}, "chunk_ms.* finite number"),
        ({"baem": 4}, "options: unknown key 'baem', did you mean 'beam'"),
        ({"hotword_weight": 1.0}, "hotword_weight needs hotwords"),
        ({"left_ms": 640}, "left_ms needs chunk_ms"),
        ({"beam": 0}, "beam"),
        ({"ctc_weight": 1.5}, "ctc_weight"),
        ({"nbest": 3, "beam": 2}, "nbest"),
        ({"batch_seconds": 0}, "batch_seconds must be a number above 0"),
        ({"batch_seconds": float("inf")}, "batch_seconds must be a number above 0"),
        ({"batch_seconds": "a"}, "batch_seconds must be a number above 0 and finite, got 'a'"),
    ],
)
def test_a_wrong_option_is_an_error_at_once(
    model: Recognizer, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        model.transcribe_many([], **options)


def test_one_recording_is_not_a_list_of_them(model: Recognizer, sound: np.ndarray) -> None:
    path = SAMPLES / "quilter.wav"
    for one in (path, str(path), os.fsencode(path), sound, io.BytesIO(path.read_bytes())):
        with pytest.raises(ConfigError, match="takes a list"):
            model.transcribe_many(one)  # type: ignore[arg-type]


@pytest.mark.parametrize("sources", [None, 5])
def test_what_is_no_list_is_refused_at_once(model: Recognizer, sources: Any) -> None:
    with pytest.raises(ConfigError, match=f"list of recordings, got {type(sources).__name__}"):
        model.transcribe_many(sources)


def test_samples_need_their_rate_and_files_have_one(model: Recognizer) -> None:
    with pytest.raises(AudioError, match="sample_rate is missing"):
        model.transcribe(np.zeros(100, np.float32))
    with pytest.raises(AudioError, match="a file says its own"):
        model.transcribe(SAMPLES / "quilter.wav", sample_rate=16000)


def test_samples_that_are_not_a_number_are_refused(model: Recognizer) -> None:
    with pytest.raises(AudioError, match="nan"):
        model.transcribe(np.full(2000, np.nan, np.float32), RATE)


def test_a_file_that_fails_leaves_the_others(model: Recognizer, tmp_path: Path) -> None:
    sources = [SAMPLES / "quilter.wav", tmp_path / "missing.wav", SAMPLES / "verloc.flac"]
    results = list(model.transcribe_many(sources))
    assert [source for source, _ in results] == sources
    kinds = [type(result) for _, result in results]
    assert kinds == [Transcript, AudioError, Transcript]


def test_limits_are_kept(tiny_model: Path) -> None:
    model = load_model(tiny_model, "cpu", limits=AudioLimits(max_seconds=2.0))
    with pytest.raises(AudioError, match=r"quilter\.wav: longer than"):
        model.transcribe(SAMPLES / "quilter.wav")


def test_the_memory_of_the_device_may_be_too_small_for_a_batch(
    model: Recognizer, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [sound, sound[:RATE], sound[: 2 * RATE]]
    expected = [result for _, result in model.transcribe_many(sources, sample_rate=RATE)]
    original = model.model.features

    def small(samples: torch.Tensor, lengths: torch.Tensor) -> Any:
        if len(samples) > 1:
            raise torch.OutOfMemoryError("too much")
        return original(samples, lengths)

    monkeypatch.setattr(model.model, "features", small)
    found = [result for _, result in model.transcribe_many(sources, sample_rate=RATE)]
    assert [one.text for one in found] == [one.text for one in expected]  # type: ignore[union-attr]

    def none(samples: torch.Tensor, lengths: torch.Tensor) -> Any:
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr(model.model, "features", none)
    with pytest.raises(ModelError, match=r"does not hold one segment of 3 s: lower --beam"):
        model.transcribe(sound, RATE)


def test_the_shipped_model_is_the_default(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.folders.SHIPPED", tmp_path / "english")
    with pytest.raises(ModelError, match=r"ships no model; name a model folder"):
        asr.load_model()
    shutil.copytree(tiny_model, tmp_path / "english")
    assert asr.load_model(device="cpu").name == "tiny"


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "mps"])
def test_an_unknown_device_is_an_error(tiny_model: Path, device: str) -> None:
    with pytest.raises(ConfigError, match="there are auto, cpu, cuda and cuda:N"):
        load_model(tiny_model, device)


def test_the_device_may_be_torchs(tiny_model: Path) -> None:
    assert load_model(tiny_model, torch.device("cpu")).device == torch.device("cpu")


def test_a_missing_gpu_is_an_error(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match="sees 0 CUDA devices"):
        load_model(tiny_model, "cuda")


def without(loaded: LoadedModel, part: str) -> Recognizer:
    setattr(loaded.model, part, None)
    return Recognizer(loaded)


def test_a_model_without_a_decoder_is_searched_by_ctc(tiny_model: Path, sound: np.ndarray) -> None:
    model = without(module.load_model_folder(tiny_model), "decoder")
    assert model.search.ctc_weight == 1.0
    segments = model.transcribe(sound, RATE).segments
    assert all(set(segment.scores) == {"ctc"} for segment in segments)
    with pytest.raises(ModelError, match="has no decoder: ctc_weight must be 1"):
        model.transcribe(sound, RATE, ctc_weight=0.5)


@pytest.mark.usefixtures("any_sound_is_speech")
def test_a_model_without_ctc_is_searched_by_attention(tiny_model: Path, sound: np.ndarray) -> None:
    model = without(module.load_model_folder(tiny_model), "ctc")
    [segment] = model.transcribe(sound, RATE).segments
    assert set(segment.scores) == {"attention"}
    with pytest.raises(ModelError, match="without CTC: ctc_weight must be 0"):
        model.transcribe(sound, RATE, ctc_weight=0.5)


def test_a_search_that_does_not_exist_is_a_damaged_model(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("beam: 2", "baem: 2"))
    with pytest.raises(ModelError, match=r"search: unknown key 'baem', did you mean 'beam'"):
        load_model(folder, "cpu")


def test_half_precision_weights_work_on_the_cpu(
    tiny_model: Path, tmp_path: Path, sound: np.ndarray
) -> None:
    from asr.model.folder import load_model_folder, save_model_folder

    loaded = load_model_folder(tiny_model)
    save_model_folder(
        tmp_path / "half",
        loaded.model,
        loaded.tokenizer,
        name="half",
        normalizer=loaded.config.normalizer,
        card="",
        dtype="bfloat16",
    )
    model = load_model(tmp_path / "half", "cpu")
    assert {weights.dtype for weights in model.model.parameters()} == {torch.float32}
    assert model.transcribe(sound, RATE, beam=2).text
