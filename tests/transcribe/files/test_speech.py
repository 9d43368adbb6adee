"""Speech is found where there is some, and nothing is written beyond it or that it cannot hold."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.audio import load_audio
from asr.errors import ModelError
from asr.folders import SHIPPED
from asr.model.folder import load_model_folder
from asr.text import TokenizerConfig, train_tokenizer
from asr.text.timestamps import Timestamps
from asr.transcribe.files.speech import (
    DIGIT,
    LIKELY,
    MARGIN_SECONDS,
    Speech,
    SpeechDetector,
    _letters,
    _spoken,
)
from asr.transcribe.recognizer import Recognizer, load_model
from tests.conftest import RATE, SAMPLES
from tests.model.whisper.test_folder import SECONDS_30, write_folder

FRAME = 320
ships = pytest.mark.skipif(not (SHIPPED / "config.yaml").is_file(), reason="no model ships here")


def test_an_installation_without_the_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models without CTC need the shipped one; the error says how to go without it."""
    monkeypatch.setattr("asr.folders.SHIPPED", tmp_path / "english")
    recognizer = load_model(write_folder(tmp_path / "small", "ctranslate2"), "cpu")
    silence = np.zeros(RATE, np.float32)
    with pytest.raises(ModelError, match=r"'small' has no CTC.* set search\.heard_only to false"):
        recognizer.transcribe(silence, RATE)
    recognizer.search = recognizer.search.model_copy(update={"heard_only": False})
    assert recognizer.transcribe(silence, RATE).text == ""


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    loaded = load_model_folder(SHIPPED)
    return SpeechDetector(loaded.model, loaded.tokenizer.labels.ctc_blank, loaded.tokenizer)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(SAMPLES / "quilter.wav", RATE).samples


def noise(seconds: float, level: float) -> np.ndarray:
    draw = np.random.default_rng(2)
    return draw.normal(0, level, round(seconds * RATE)).astype(np.float32)


@ships
def test_speech_and_what_is_none(detector: SpeechDetector, speech: np.ndarray) -> None:
    """White noise at -20 dB behind speech, alone, and silence; speech at -60 dB is speech."""
    alone, loud, quiet, none, silent = detector(
        [
            speech,
            np.concatenate([noise(3, 0.1), speech, noise(6, 0.1)]),
            speech * np.float32(1e-3),
            noise(4, 0.1),
            np.zeros(4 * RATE, np.float32),
        ],
        RATE,
        FRAME,
    )
    assert (none, silent) == (None, None)
    assert alone is not None
    assert loud is not None
    assert quiet is not None
    assert loud.start % FRAME == 0
    assert loud.start == pytest.approx(3 * RATE + alone.start, abs=RATE)
    assert loud.end == pytest.approx(3 * RATE + alone.end, abs=RATE)
    assert quiet.end == pytest.approx(alone.end, abs=0.2 * RATE)
    written = sum(map(str.isalnum, "Mr. Quilter is the apostle of the middle classes and we are "
                                   "glad to welcome his gospel"))  # fmt: skip
    assert written < alone.letters < 6 * written
    assert written / 2 < alone.expected < written


@ships
def test_a_segment_does_not_depend_on_the_others(
    detector: SpeechDetector, speech: np.ndarray
) -> None:
    parts = [speech, speech[: RATE // 2], noise(7, 0.01), speech[RATE:], speech[:1]]
    together = detector(parts, RATE, FRAME)
    for part, found in zip(parts, together, strict=True):
        [alone] = detector([part], RATE, FRAME)
        if alone is None:
            assert found is None
            continue
        assert found is not None
        assert (found.start, found.end, found.certain) == (alone.start, alone.end, alone.certain)
        assert found.letters == pytest.approx(alone.letters, abs=1e-2)
    assert together[4] is None


@ships
def test_other_rates_find_the_same_speech(detector: SpeechDetector, speech: np.ndarray) -> None:
    [found] = detector([speech], RATE, FRAME)
    [half] = detector([speech[::2].copy()], RATE // 2, FRAME // 2)
    assert found is not None
    assert half is not None
    assert 2 * half.start == pytest.approx(found.start, abs=MARGIN_SECONDS * RATE)
    assert 2 * half.end == pytest.approx(found.end, abs=MARGIN_SECONDS * RATE)


def test_what_may_be_speech_is_so_where_its_text_is_likely() -> None:
    labels = 3
    unsure = Speech(0, RATE, 10.0, certain=False)
    assert unsure.holds((LIKELY + 0.01) * (labels + 1), labels)
    assert not unsure.holds((LIKELY - 0.01) * (labels + 1), labels)
    assert Speech(0, RATE, 10.0).holds(-99.0, labels)


def test_letters_of_labels(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["ab 1, ab"], TokenizerConfig(type="char", size=12), tmp_path / "t")
    letters = SpeechDetector(torch.nn.Linear(1, 1), 0, tokenizer).letters  # type: ignore[arg-type]
    ids = tokenizer.encode("ab 1")
    assert letters.shape == (tokenizer.size,)
    assert letters[ids].sum() == 2 + DIGIT
    assert letters.max() == DIGIT


def test_letters_of_other_scripts(tmp_path: Path) -> None:
    """A Chinese character is a syllable; parts of characters, as bytes, count one each."""
    tokenizer = load_model(write_folder(tmp_path, "ctranslate2"), "cpu").tokenizer
    letters = SpeechDetector(torch.nn.Linear(1, 1), 0, tokenizer).letters  # type: ignore[arg-type]
    assert letters[tokenizer.encode("語")].sum() == len("語".encode())  # it has bytes only
    assert [_letters(character) for character in "語aA\u093f7,"] == [1, 1, 1, 1, DIGIT, 0]


def test_letters_that_a_character_may_stand_for() -> None:
    """ "IBM" is spoken like nine letters, and a Chinese character is a syllable."""
    assert [_spoken(character) for character in "語aA\u093f7,"] == [DIGIT, 1, DIGIT, 1, DIGIT, 0]


class FoundSpeech:
    """In place of a detector: each segment's speech begins at 0.1 s and has so many letters."""

    def __init__(self, most: float, size: int) -> None:
        self.most = most
        self.letters = self.spoken = torch.ones(size)

    def __call__(self, segments: list[np.ndarray], rate: int, step: int) -> list[Speech]:
        return [Speech(5 * step, len(segment), self.most) for segment in segments]


def recognizer_with(folder: Path, most: float) -> Recognizer:
    recognizer = load_model(write_folder(folder, "ctranslate2"), "cpu")
    found = FoundSpeech(most, recognizer.tokenizer.size)
    recognizer.__dict__["_speech_detector"] = found
    return recognizer


def test_what_says_too_much_is_decoded_as_a_window_and_then_left_empty(
    tmp_path: Path, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = recognizer_with(tmp_path, 0.0)
    sizes, encode = [], recognizer.model.encode

    def recorded(features: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, ...]:
        sizes.append(lengths.tolist())
        return encode(features, lengths)

    monkeypatch.setattr(recognizer.model, "encode", recorded)
    transcript = recognizer.transcribe(sound, RATE)
    assert (transcript.segments, transcript.text) == ((), "")
    assert transcript.notes == (
        "0.0 to 3.0 s: left empty, because no text that the model writes fits the speech there",
    )
    assert sizes == [[(len(sound) - 5 * FRAME) // 160], [2 * SECONDS_30]]


def test_a_model_without_ctc_writes_what_the_sound_can_hold(
    tmp_path: Path, sound: np.ndarray
) -> None:
    recognizer = recognizer_with(tmp_path, 100.0)
    transcript = recognizer.transcribe(sound, RATE)
    assert transcript.segments
    assert transcript.notes == ()
    assert (transcript.segments[0].start, transcript.segments[0].end) == (0.0, 3.0)


@ships
def test_noise_is_not_decoded(tmp_path: Path, sound: np.ndarray) -> None:
    recognizer = load_model(write_folder(tmp_path, "ctranslate2"), "cpu")
    assert recognizer.transcribe(sound, RATE).segments == ()
    recognizer.search = recognizer.search.model_copy(update={"heard_only": False})
    assert recognizer.transcribe(sound, RATE).segments


@pytest.mark.usefixtures("any_sound_is_speech")
def test_segments_do_not_depend_on_those_before_them(tmp_path: Path, sound: np.ndarray) -> None:
    """No text is carried from one segment to the next, and a batch changes nothing."""
    recognizer = load_model(write_folder(tmp_path, "ctranslate2"), "cpu")
    pause = np.zeros(2 * RATE, np.float32)
    long = np.concatenate([sound, pause, sound[: 2 * RATE], pause, sound[RATE:]])
    segments = recognizer.transcribe(long, RATE).segments
    assert len(segments) >= 3
    several = recognizer.transcribe_many([long, sound], sample_rate=RATE)
    for (_, together), alone in zip(several, (long, sound), strict=True):
        expected = recognizer.transcribe(alone, RATE).segments
        assert [(s.start, s.end, s.tokens) for s in together.segments] == [
            (s.start, s.end, s.tokens) for s in expected
        ]
    for segment in segments:
        part = long[round(segment.start * RATE) : round(segment.end * RATE)]
        [alone] = recognizer.transcribe(part, RATE).segments
        assert alone.tokens == segment.tokens


def test_time_stamps_count_from_the_start_of_the_segment() -> None:
    """The decoder counts from where the speech begins that it is given."""
    stamps = Timestamps(first=100, count=1501, seconds=0.02, off=99)
    assert [stamps.later(label, 0.5) for label in (7, 99, 100, 150, 1600)] == [
        7, 99, 125, 175, 1600,
    ]  # fmt: skip


def test_speech_without_pauses_is_written_to_its_end() -> None:
    """A beam finds "to" likelier than the forty words of its segment: the log probability of a text
    falls with its length. Real weights (shared/whisper/get.sh).
    """
    folder = Path(os.environ.get("ASR_WHISPER", "/tmp/whisper")) / "tiny.en"
    if not folder.is_dir():
        pytest.skip("Whisper's weights are not here (ASR_WHISPER)")
    samples = np.tile(load_audio(SAMPLES / "quilter.wav", RATE).samples, 10)
    blocks = samples[: len(samples) // 800 * 800].reshape(-1, 800)  # of 50 ms
    spoken = blocks[np.abs(blocks).max(1) > 0.05].reshape(-1)[: 40 * RATE]
    segments = load_model(folder, "cpu").transcribe(spoken, RATE).segments
    assert len(segments) >= 2
    for segment in segments:  # three words a second are spoken
        assert len(segment.text.split()) > 1.5 * (segment.end - segment.start)
