"""What a stream promises where the encoder needs whole segments: the same as any other.

See `test_guarantees.py`. The models have random weights, so passes over a growing segment disagree
far more often than those of a trained model.
"""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr.audio import load_audio
from asr.errors import ConfigError, StreamError
from asr.model.folder import load_model_folder
from asr.transcribe.files.segment_decoder import SegmentDecoder
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.streams import reencoded_segment as rules
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.reencoding_decoder import ReencodingDecoder
from asr.transcribe.streams.stream import Stream, feed_many, flush_many
from asr.types import Hypothesis, Segment, StreamUpdate
from tests.conftest import RATE, SAMPLES
from tests.model.whisper import checkpoints
from tests.model.whisper.test_folder import weights, write_folder
from tests.text.test_whisper import EN, SIZE
from tests.transcribe.small import saved
from tests.transcribe.streams.test_guarantees import cut, finals, run, same, size, sound_of

pytestmark = pytest.mark.usefixtures("any_sound_is_speech")

ENDPOINT = EndpointConfig(
    max_segment_seconds=3.2, silence_seconds=0.4, noise_seconds=0.6, lead_seconds=0.5
)
CHUNK = 320
WHISPER, GRU = "Whisper", "GRUs that run backwards"


def whisper_folder(folder: Path) -> Path:
    """A small multilingual Whisper that writes up to 40 labels: two letters, and spaces."""
    path = write_folder(folder, "hugging face")
    tensors = weights()
    generator = torch.Generator().manual_seed(3)
    tensors["decoder.positions"] = torch.randn(44, checkpoints.DIM, generator=generator)
    checkpoints.write_hugging_face(path, checkpoints.hugging_face_tensors(tensors))
    never = [*range(EN, SIZE)] + [n for n in range(256) if chr(n) not in " ab"]
    values = {"suppress_tokens": never, "is_multilingual": True}
    (path / "generation_config.json").write_text(json.dumps(values))
    return path


def gru_model(folder: Path) -> Recognizer:
    """Its encoder begins with the last frame, so it cannot stream. It likes to write spaces."""
    encoder = {"type": "gru", "layers": 1, "dim": 16, "backwards": True}
    decoder = {"type": "gru", "layers": 1, "dim": 16}
    loaded = load_model_folder(saved(folder, encoder=encoder, decoder=decoder))
    loaded.model.ctc = None  # it would deny the spaces
    [_, space, _] = loaded.tokenizer.encode("a b")
    with torch.no_grad():
        loaded.model.decoder.to_logits.bias[space] += 1.5
    return Recognizer(loaded)


@pytest.fixture(scope="module", params=[WHISPER, GRU])
def model(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Recognizer:
    folder = tmp_path_factory.mktemp("models") / "model"
    if request.param == WHISPER:
        recognizer = load_model(whisper_folder(folder), "cpu")
    else:
        recognizer = gru_model(folder)
    recognizer.endpoint = ENDPOINT
    return recognizer


@pytest.fixture(autouse=True)
def _early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is stable so early that later passes disagree with it, and in short segments."""
    monkeypatch.setattr(rules, "AGREEMENT_SECONDS", 1.0)


SPEECH = [(1.1, True), (0.5, False), (0.5, True)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[list[np.ndarray]]:
    """The segments of each call of `SegmentDecoder`."""
    calls, original = list[list[np.ndarray]](), SegmentDecoder.__call__

    def watched(self: SegmentDecoder, segments: Sequence[np.ndarray]) -> Any:
        calls.append(list(segments))
        return original(self, segments)

    monkeypatch.setattr(SegmentDecoder, "__call__", watched)
    return calls


def word_labels(text: str) -> tuple[int, ...]:
    return tuple(text.encode())


@pytest.fixture
def doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that writes a word for each 0.2 s; passes often disagree, about old words too."""

    def decode(self: SegmentDecoder, segments: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        return [[Hypothesis(word_labels(doubtful_text(samples)), -1.0)] for samples in segments]

    monkeypatch.setattr(SegmentDecoder, "__call__", decode)


def doubtful_text(samples: np.ndarray) -> str:
    random = np.random.default_rng(len(samples))
    words = ["ab", "a", "bab", "b", "aab"]
    places = range(len(samples) // round(0.2 * RATE))
    wrong = [len(places) - 1, *(place for place in places if random.random() < 0.04)]
    kept = [place for place in places if place not in wrong or random.random() < 0.7]
    return " ".join(words[(place + (place in wrong)) % 5] + "b" * (place // 5) for place in kept)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    recognizer = load_model(whisper_folder(tmp_path_factory.mktemp("models") / "model"), "cpu")
    recognizer.endpoint = ENDPOINT
    return recognizer


def check_promises(updates: Sequence[StreamUpdate], seconds: float) -> tuple[int, int]:
    """Guarantees 1 and 2; returns how often a word was stable, and how many segments ended."""
    stable, time, promises, ended = "", 0.0, 0, 0
    for update in updates:
        shown = list(update.final) + ([update.partial] if update.partial else [])
        if shown:
            assert shown[0].text.startswith(stable)
        for segment in update.final:
            inside = [edge for word in segment.words for edge in (word.start, word.end)]
            times = [time, segment.start, *inside, segment.end, seconds + 1e-9]
            assert times == sorted(times)
            time, stable, ended = segment.end, "", ended + 1
        if update.partial:
            assert time <= update.partial.start <= update.partial.end
            stable = update.partial.text[: update.stable]
            assert len(stable) == update.stable
            promises += update.stable > 0
        else:
            assert update.stable == 0
    return promises, ended


def test_what_is_final_or_stable_never_changes_and_times_never_decrease(model: Recognizer) -> None:
    sound = sound_of([(2.5, True), (0.5, False), (0.4, True)])
    updates = run(model.stream(RATE, chunk_ms=CHUNK), cut(sound, np.linspace(0, 1, 20).tolist()))
    promises, ended = check_promises(updates, len(sound) / RATE)
    assert promises >= 2
    assert ended == 2


def test_stable_text_holds_against_a_decoder_that_changes_its_mind(
    whisper: Recognizer, doubtful: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    disagreements, original = list[str](), rules.continued

    def watched(stable: Hypothesis, best: Hypothesis, text_of: Any) -> Hypothesis:
        result = original(stable, best, text_of)
        disagreements.extend([text_of(best.tokens)] if result is not best else [])
        return result

    for module in (rules, "asr.transcribe.streams.reencoding_decoder"):
        target = (module, "continued") if module is rules else (f"{module}.continued",)
        monkeypatch.setattr(*target, watched)
    promises = 0
    for seed in range(10):
        random = np.random.default_rng(seed)
        parts = [(random.uniform(0.2, 3.0), n % 3 > 0) for n in range(8)]
        sound = sound_of(parts, seed)
        updates = run(whisper.stream(RATE, chunk_ms=160), cut(sound, np.linspace(0, 1, 60)))
        promises += check_promises(updates, len(sound) / RATE)[0]
    assert promises > 50
    assert len(disagreements) >= 5


def test_any_cut_of_the_samples_gives_what_transcribe_gives(model: Recognizer) -> None:
    sound = sound_of(SPEECH)
    whole = model.transcribe(sound, RATE, chunk_ms=CHUNK)
    assert len(whole.segments) == 2
    places = [0.01, 0.013, 0.5, 0.52, 0.9]
    pieces = finals(run(model.stream(RATE, chunk_ms=CHUNK), cut(sound, places)))
    assert tuple(pieces) == whole.segments  # to the bit


def test_finals_are_what_transcribe_gives_for_the_same_segments(
    model: Recognizer, decoded: list[list[np.ndarray]]
) -> None:
    sound = sound_of(SPEECH)
    result = model.transcribe(sound, RATE, chunk_ms=6400)  # so that no pass is over an open segment
    segments = [samples for call in decoded for samples in call]
    assert len(result.segments) == len(segments) == 2
    np.testing.assert_array_equal(np.concatenate(segments), sound)
    for segment, samples in zip(result.segments, segments, strict=True):
        [alone] = model.transcribe(samples, RATE).segments
        assert (alone.text, alone.tokens) == (segment.text, segment.tokens)
        assert alone.score == pytest.approx(segment.score, abs=1e-4)
        assert alone.language == segment.language


def test_streams_in_one_batch_are_as_alone(
    model: Recognizer, decoded: list[list[np.ndarray]]
) -> None:
    sounds = [sound_of(SPEECH, 1), sound_of([(0.7, True), (0.6, False), (0.4, True)], 2)]
    expected = [model.transcribe(sound, RATE, chunk_ms=CHUNK).segments for sound in sounds]
    decoded.clear()
    streams = [model.stream(RATE, chunk_ms=CHUNK) for _ in sounds]
    feeds: list[tuple[Stream, Any]] = list(zip(streams, sounds, strict=True))
    received = [feed_many(feeds, max_chunks=2)]
    while any(stream.ready for stream in streams):
        received.append(feed_many([(stream, b"") for stream in streams], max_chunks=1))
    received.append(flush_many(streams))
    for updates, segments in zip(zip(*received, strict=True), expected, strict=True):
        same(finals(updates), segments)
    assert max(map(len, decoded)) == 2


def test_a_state_can_be_pickled_between_any_two_blocks(whisper: Recognizer, doubtful: None) -> None:
    sound = sound_of(SPEECH)
    stream = whisper.stream(RATE, chunk_ms=160)
    received = list[Segment]()
    for block in np.array_split(sound, 25):
        received += stream.feed(block).final
        stream._run.state = pickle.loads(pickle.dumps(stream._run.state))
    received += stream.flush().final
    assert tuple(received) == whisper.transcribe(sound, RATE, chunk_ms=160).segments


@pytest.mark.parametrize("samples", [0, 1, 319, 320, 5119, 5120, 5121])
def test_the_shortest_streams(model: Recognizer, samples: int) -> None:
    sound = sound_of([(1.0, True)])[:samples]
    [update] = run(model.stream(RATE, chunk_ms=CHUNK), [sound])[-1:]
    assert tuple(update.final) == model.transcribe(sound, RATE, chunk_ms=CHUNK).segments
    assert update.partial is None


@pytest.mark.parametrize("chunk", [20, 160, 640])
def test_the_cost_of_a_second_is_bounded(
    whisper: Recognizer, doubtful: None, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    endpoint = EndpointConfig(max_segment_seconds=12.0)
    seconds, original = list[float](), ReencodingDecoder.search_many

    def counted(self: ReencodingDecoder, requests: Sequence[Any]) -> Any:
        seconds.extend(len(request.samples) / RATE for request in requests)
        return original(self, requests)

    monkeypatch.setattr(ReencodingDecoder, "search_many", counted)
    stream = whisper.stream(RATE, chunk_ms=chunk, endpoint=endpoint)
    sizes = []
    for second in range(40):
        stream.feed(sound_of([(1.0, True)], second))
        sizes.append(size(stream))
    stream.flush()
    assert 3 < sum(seconds) / 40 <= rules.ENCODED_PER_SECOND
    assert max(seconds) <= 12.0
    assert max(sizes[20:]) < 1.1 * max(sizes[:20]) < 1.2 * 12 * RATE * 4


def test_silence_costs_nothing(model: Recognizer, decoded: list[list[np.ndarray]]) -> None:
    stream = model.stream(RATE)
    for _ in range(10):
        assert stream.feed(np.zeros(RATE, np.int16)) == StreamUpdate()
    assert stream.flush() == StreamUpdate()
    assert decoded == []
    assert size(stream) < 2 * RATE * 4


def test_only_the_stream_that_fails_alone_ends(
    whisper: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, bad = sound_of([(0.9, True)]), sound_of([(0.9, True)], 1)
    original = SegmentDecoder.__call__

    def broken(self: SegmentDecoder, segments: Sequence[np.ndarray]) -> Any:
        if any(samples[0] == bad[0] for samples in segments):
            raise ZeroDivisionError("a bug")
        return original(self, segments)

    monkeypatch.setattr(SegmentDecoder, "__call__", broken)
    streams = [whisper.stream(RATE) for _ in range(3)]
    first, failed, third = feed_many(list(zip(streams, [sound, bad, sound], strict=True)))
    assert isinstance(failed, StreamError)
    assert isinstance(failed.__cause__, ZeroDivisionError)
    expected = whisper.transcribe(sound, RATE, chunk_ms=640).segments
    for stream, update in ((streams[0], first), (streams[2], third)):
        same(finals([update, stream.flush()]), expected)


class TestLanguage:
    def test_passes_keep_the_language_that_enough_sound_had(
        self, whisper: Recognizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before, each pass detects its own; the final one does too, as files do."""
        monkeypatch.setattr(rules, "LANGUAGE_SECONDS", 1.0)
        languages, original = list[tuple[float, str | None]](), ReencodingDecoder.search_many

        def watched(self: ReencodingDecoder, requests: Sequence[Any]) -> Any:
            languages.extend((len(one.samples) / RATE, one.language) for one in requests)
            return original(self, requests)

        monkeypatch.setattr(ReencodingDecoder, "search_many", watched)
        stream = whisper.stream(RATE, chunk_ms=CHUNK)
        stream.feed(sound_of([(2.3, True)]))
        [final] = stream.flush().final
        *passes, (_, last) = languages
        assert [language is None for _, language in passes[:-1]] == [
            seconds < 1.3 for seconds, _ in passes[:-1]
        ]
        assert last is None
        assert final.language in ("en", "fr", "yue")

    def test_one_that_is_named_is_that_of_all_passes(self, whisper: Recognizer) -> None:
        sound = sound_of([(1.2, True)])
        [final] = whisper.transcribe(sound, RATE, chunk_ms=CHUNK, language="fr").segments
        [file] = whisper.transcribe(sound, RATE, language="fr").segments
        assert (final.text, final.language) == (file.text, "fr")


def test_what_means_nothing_or_does_not_fit_is_refused(model: Recognizer) -> None:
    with pytest.raises(ConfigError, match=r"left_ms .*the whole of each segment; leave it out"):
        model.stream(RATE, left_ms=640)
    with pytest.raises(ConfigError, match="chunk_ms must be a multiple of"):
        model.stream(RATE, chunk_ms=33)


def test_segments_may_not_be_longer_than_the_encoder_takes(whisper: Recognizer) -> None:
    long = EndpointConfig(max_segment_seconds=40)
    with pytest.raises(ConfigError, match=r"max_segment_seconds is 40, .* at most 30 s at once"):
        whisper.stream(RATE, endpoint=long)


class TestContinued:
    @pytest.mark.parametrize(
        ("stable", "best", "result"),
        [
            ("a b", "a b ab", "a b ab"),
            ("a b", "a ab ab", "a b ab"),  # another word in its place
            ("a b", "a bb ab", "a bb ab"),  # the last one may grow
            ("a b ab", "a ab b", "a b ab b"),  # one is missing
            ("a b", "a ab", "a b"),  # rather another word than one that is missing
            ("a b", "aa a b ab", "a b ab"),  # one too many
            ("a b", "", "a b"),
            ("a b", "bab", "a b"),
            ("", "a b", "a b"),
        ],
    )
    def test_stable_words_stand_before_those_behind_them(
        self, whisper: Recognizer, stable: str, best: str, result: str
    ) -> None:
        # As Whisper's labels have it, a space belongs to the word behind it.
        text_of = whisper.tokenizer.decode
        known, last = (Hypothesis(word_labels(text), -1.0) for text in (stable, best))
        assert text_of(rules.continued(known, last, text_of).tokens).split() == result.split()

    def test_a_pass_without_text_leaves_what_was_stable(self, whisper: Recognizer) -> None:
        """A segment that was given up has no labels, and a score of minus infinity."""
        text_of = whisper.tokenizer.decode
        stable = Hypothesis(word_labels("a b"), -1.0, {"x": -1.0}, language="fr")
        empty = Hypothesis((), -math.inf)
        assert rules.continued(stable, empty, text_of) is stable
        assert rules.continued(rules.NOTHING, empty, text_of) is empty
        segment = rules.ReencodedSegment(0.02, stable=stable)
        partial = segment.update(round(rules.LANGUAGE_SECONDS / 0.02), [empty], text_of)
        assert (partial.tokens, partial.score) == (stable.tokens, -1.0)
        assert (segment.stable, segment.language) == (stable, "fr")

    def test_spans_and_scores_go_with_their_labels(self, whisper: Recognizer) -> None:
        known = Hypothesis(word_labels("a b"), -1.0, {}, ((0, 1), (1, 2), (2, 3)), {"x": (1, 2, 3)})
        labels = word_labels("a aa ab")
        spans = tuple((n, n + 1) for n in range(10, 17))
        last = Hypothesis(labels, -2.0, {}, spans, {"x": tuple(range(10, 17))})
        result = rules.continued(known, last, whisper.tokenizer.decode)
        assert len(result.spans) == len(result.tokens) == len(result.label_scores["x"])
        assert result.spans[:3] == known.spans
        assert result.spans[-2:] == spans[-2:]
        assert result.label_scores["x"][:3] == (1, 2, 3)
        assert result.score == -2.0


@pytest.mark.slow
def test_a_real_model(decoded: list[list[np.ndarray]]) -> None:
    folder = Path(os.environ.get("ASR_WHISPER", "/tmp/whisper")) / "tiny.en"
    if not (folder / "model.bin").is_file():
        pytest.skip(
            f"no weights at {folder}; fetch them with shared/whisper/get.sh DIR, and set "
            "ASR_WHISPER=DIR"
        )
    recognizer = load_model(folder, "cpu")
    speech = load_audio(SAMPLES / "quilter.wav", RATE).samples
    sound = np.concatenate([speech, np.zeros(RATE, np.float32)])
    blocks = cut(sound, np.linspace(0, 1, 40).tolist())
    updates = run(recognizer.stream(RATE, chunk_ms=1280), blocks)
    promises, _ = check_promises(updates, len(sound) / RATE)
    assert promises > 0
    [final] = finals(updates)
    assert final.text.startswith("Mr. Quilter is the apostle of the middle classes")
    assert recognizer.transcribe(decoded[-1][0], RATE).text == final.text
