"""The language of segments: named, detected, or refused."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from asr.audio import from_samples
from asr.errors import ModelError
from asr.evaluate.attention import look
from asr.output import FORMATS, OutputOptions
from asr.text import Labels, PromptFields
from asr.text.reduced import reduced
from asr.transcribe.language import LanguageSetting, detect_languages
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.recognizer import Recognizer, load_model
from asr.types import Transcript
from tests.model.whisper import checkpoints
from tests.model.whisper.test_folder import weights, write_folder
from tests.text.test_whisper import EN, FR, NO_STAMPS, START, TRANSCRIBE, TRANSLATE, YUE

pytestmark = pytest.mark.usefixtures("any_sound_is_speech")

RATE = 16000
FRAMES = 200
#: Tones at these frequencies (Hz), for each of which the small model detects another language.
TONES = (2000, 3000, 2500)


def sounds() -> list[np.ndarray]:
    seconds = np.arange(2 * RATE) / RATE
    return [(0.3 * np.sin(2 * np.pi * tone * seconds)).astype(np.float32) for tone in TONES]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """A small multilingual Whisper whose memory depends strongly on the sound.

    The memory of random weights hardly depends on the sound, so its difference from the memory of
    silence is multiplied.
    """
    folder = write_folder(tmp_path_factory.mktemp("whisper") / "small", "hugging face")
    recognizer = load_model(folder, "cpu")
    model, encode = recognizer.model, recognizer.model.encode
    with torch.inference_mode():
        silent = torch.zeros(1, len(sounds()[0]))
        silence, _ = encode(*model.features(silent, torch.tensor([silent.shape[1]])))

    def enlarged(features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        memory, _ = encode(features, lengths)
        return 20 * (memory[:, :FRAMES] - silence[:, :FRAMES]), torch.full((len(memory),), FRAMES)

    model.encode = enlarged  # type: ignore[method-assign, assignment]
    return recognizer


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """A small Whisper that knows English only."""
    return load_model(write_folder(tmp_path_factory.mktemp("whisper") / "en", "ctranslate2"), "cpu")


def results(recognizer: Recognizer, **values: Any) -> list[Transcript]:
    found = [
        result
        for _, result in recognizer.transcribe_many(sounds(), sample_rate=RATE, **values)
        if isinstance(result, Transcript)
    ]
    assert [len(result.segments) for result in found] == [1] * len(TONES)
    return found


def start_of(recognizer: Recognizer, **values: Any) -> tuple[int, ...]:
    return LanguageSetting.of(recognizer.loaded, TranscribeOptions(**values)).labels.start


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"language": "fr"}, (START, FR, TRANSCRIBE, NO_STAMPS)),
        ({"language": "yue", "task": "transcribe"}, (START, YUE, TRANSCRIBE, NO_STAMPS)),
        ({"language": "en", "task": "translate"}, (START, EN, TRANSLATE, NO_STAMPS)),
    ],
)
def test_the_start_names_language_and_task(
    several: Recognizer, values: dict[str, Any], start: tuple[int, ...]
) -> None:
    assert start_of(several, **values) == start


def test_the_task_goes_with_a_detected_language(several: Recognizer) -> None:
    setting = LanguageSetting.of(several.loaded, TranscribeOptions(task="translate"))
    assert setting.detects
    assert setting.labels_of("fr").start == (START, FR, TRANSLATE, NO_STAMPS)


def test_segments_are_searched_in_their_language(several: Recognizer) -> None:
    """A batch of three segments whose detected languages differ, against each with it named."""
    together = results(several)
    languages = [result.segments[0].language for result in together]
    assert sorted(map(str, languages)) == ["en", "fr", "yue"]
    tokens = {
        code: [result.segments[0].tokens for result in results(several, language=code)]
        for code in ("en", "fr", "yue")
    }
    for place, result in enumerate(together):
        segment = result.segments[0]
        assert segment.tokens == tokens[str(segment.language)][place]
    # otherwise the language would not matter to the comparison
    assert any(len({tokens[code][place] for code in tokens}) > 1 for place in range(len(TONES)))
    assert results(several, language="auto") == together
    [fixed] = results(several, language="fr", nbest=2)[0].segments
    assert [fixed.language, *(other.language for other in fixed.alternatives)] == ["fr", "fr"]


def test_a_model_that_names_one_language_has_no_choice(several: Recognizer) -> None:
    """Its start sequence names it all the same, and nothing is detected."""
    loaded = several.loaded
    tokenizer = reduced(loaded.tokenizer, [])  # keeps one language
    single = replace(loaded, tokenizer=tokenizer)
    setting = LanguageSetting.of(single, TranscribeOptions())
    assert (setting.language, setting.detects) == (tokenizer.language, False)
    assert setting.labels.start == tokenizer.labels.start
    with pytest.raises(ModelError, match="knows one language"):
        LanguageSetting.of(single, TranscribeOptions(language="auto"))
    with pytest.raises(ModelError, match="does not know the language 'yue'"):
        LanguageSetting.of(single, TranscribeOptions(language="yue"))


def test_the_likeliest_of_the_languages_is_detected(several: Recognizer) -> None:
    """Against a softmax over the languages' labels of the decoder's parallel form."""
    fields, decoder = several.tokenizer.prompt_fields, several.model.decoder
    assert fields is not None
    assert decoder is not None
    generator = torch.Generator().manual_seed(3)
    memory = 10 * torch.randn(20, 6, checkpoints.DIM, generator=generator)
    lengths = torch.randint(1, 7, (20,), generator=generator)
    with torch.inference_mode():
        found = detect_languages(decoder, fields, memory, lengths)
        logits = decoder(torch.full((20, 1), START), memory, lengths)[:, 0]
    best = logits[:, [EN, FR, YUE]].softmax(1).argmax(1).tolist()
    assert found == [("en", "fr", "yue")[place] for place in best]
    assert len(set(found)) > 1
    # labels that are no languages are likelier, and must not be chosen
    assert (logits.argmax(1) < START).any()


def test_a_start_of_several_labels_before_the_language(several: Recognizer) -> None:
    decoder = several.model.decoder
    assert decoder is not None
    fields = PromptFields({"language": {"fr": FR, "en": EN}}, (65, START))
    memory, lengths = torch.randn(1, 6, checkpoints.DIM), torch.tensor([6])
    with torch.inference_mode():
        [found] = detect_languages(decoder, fields, memory, lengths)
        logits = decoder(torch.tensor([[65, START]]), memory, lengths)[0, -1]
    assert found == ("fr" if logits[FR] > logits[EN] else "en")


def test_json_says_the_language(several: Recognizer, english: Recognizer) -> None:
    for recognizer, codes in ((several, {"en", "fr", "yue"}), (english, {None})):
        found = results(recognizer, nbest=2)
        written = [json.loads(FORMATS["json"](result, OutputOptions())) for result in found]
        segments = [segment for values in written for segment in values["segments"]]
        assert {segment.get("language") for segment in segments} == codes
        assert all(("language" in segment) == (codes != {None}) for segment in segments)
        assert not any("language" in other for s in segments for other in s["alternatives"])


def test_attention_is_that_of_the_language(several: Recognizer) -> None:
    """`look` feeds the decoder the start sequence that the segment was searched with."""
    decoder = several.model.decoder
    assert decoder is not None
    fed: list[list[int]] = []
    attention = decoder.attention

    def spy(tokens: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        fed.append(tokens[0].tolist())
        return attention(tokens, memory, lengths)

    decoder.attention = spy  # type: ignore[method-assign]
    try:
        look(several, from_samples(sounds()[0], RATE, RATE), TranscribeOptions(language="yue"))
    finally:
        del decoder.attention
    assert [labels[:4] for labels in fed] == [[START, YUE, TRANSCRIBE, NO_STAMPS]]


@pytest.fixture
def with_ctc(tiny_model: Path) -> Recognizer:
    """A streaming model with CTC and a prompt field of two languages."""
    recognizer = load_model(tiny_model, "cpu")
    start = recognizer.tokenizer.labels.start
    labels = {"language": {"en": 5, "fr": 6}, "task": {"transcribe": 7}}
    fields = PromptFields(labels, start, defaults={"task": "transcribe"})
    recognizer.tokenizer.prompt_fields = fields  # type: ignore[misc]
    return recognizer


def test_streams_take_a_language_and_do_not_detect_it(
    with_ctc: Recognizer, sound: np.ndarray
) -> None:
    stream = with_ctc.stream(RATE, language="fr")
    segments = (*stream.feed(sound).final, *stream.flush().final)
    assert {segment.language for segment in segments} == {"fr"}
    assert with_ctc.transcribe(sound, RATE, language="fr", chunk_ms=640).segments == segments
    for values in ({}, {"language": "auto"}):
        with pytest.raises(ModelError, match=r"does not detect .* of a stream or of chunks: name"):
            with_ctc.stream(RATE, **values)  # type: ignore[arg-type]
        with pytest.raises(ModelError, match=r"does not detect .* of a stream or of chunks: name"):
            with_ctc.transcribe(sound, RATE, chunk_ms=640, **values)  # type: ignore[arg-type]


def test_words_are_those_of_the_language(with_ctc: Recognizer, sound: np.ndarray) -> None:
    """Times and scores of words are computed with the start that the segment was searched with."""
    [found] = with_ctc.transcribe(sound, RATE, ctc_weight=0.1).segments
    assert found.words
    named = with_ctc.transcribe(sound, RATE, ctc_weight=0.1, language=found.language)
    assert named.segments == (found,)
    other = {"en": "fr", "fr": "en"}[str(found.language)]
    [unlike] = with_ctc.transcribe(sound, RATE, ctc_weight=0.1, language=other).segments
    assert unlike.scores["attention"] != found.scores["attention"]


class TestRefusals:
    CASES: ClassVar[Sequence[tuple[dict[str, Any], str]]] = [
        ({"language": "de"}, r"does not know the language 'de'; .* only one, is 'en'"),
        ({"language": "auto"}, "knows one language, 'en', and cannot detect others"),
        ({"task": "translate"}, "cannot translate: leave the task out"),
    ]

    @pytest.mark.parametrize(("values", "message"), CASES)
    def test_by_models_of_one_language(
        self, english: Recognizer, tiny_model: Path, values: dict[str, Any], message: str
    ) -> None:
        for recognizer in (english, load_model(tiny_model, "cpu")):
            with pytest.raises(ModelError, match=f"^model '{recognizer.name}' .*{message}"):
                recognizer.transcribe_many([], **values)
        with pytest.raises(ModelError, match=message):
            recognizer.stream(RATE, **values)

    def test_the_own_language_is_accepted(self, english: Recognizer, tiny_model: Path) -> None:
        shipped_like = load_model(tiny_model, "cpu")
        for recognizer in (english, shipped_like):
            assert results(recognizer) == results(recognizer, language="en", task="transcribe")
        shipped_like.stream(RATE, language="en")

    def test_unknown_codes(self, several: Recognizer) -> None:
        message = "^model 'small': no language 'fx'; the nearest codes are fr"
        with pytest.raises(ModelError, match=message):
            several.transcribe(sounds()[0], RATE, language="fx")

    def test_translation_by_a_model_with_a_shorter_decoder(self, tmp_path: Path) -> None:
        """Turbo and the distilled models write the language that is spoken."""
        folder = write_folder(tmp_path / "turbo", "hugging face")
        tensors = checkpoints.hugging_face_tensors(shorter_decoder())
        checkpoints.write_hugging_face(folder, tensors)
        turbo = load_model(folder, "cpu")
        assert start_of(turbo, language="fr") == (START, FR, TRANSCRIBE, NO_STAMPS)
        with pytest.raises(ModelError, match="was not trained for the task 'translate'"):
            turbo.transcribe(sounds()[0], RATE, task="translate")


def shorter_decoder() -> dict[str, Tensor]:
    """Weights of a small model with two layers in its encoder and one in its decoder."""
    kept = {key: t for key, t in weights().items() if not key.startswith("decoder.layers.1.")}
    first = {key: t for key, t in kept.items() if key.startswith("encoder.layers.0.")}
    return kept | {key.replace("layers.0", "layers.1"): t.clone() for key, t in first.items()}


def test_labels_of_a_model_without_a_choice() -> None:
    labels = Labels(blank=0, unknown=1, end=2, start=(2,))
    setting = LanguageSetting(labels)
    assert not setting.detects
    assert setting.labels_of(None) is labels


@pytest.fixture(scope="module")
def base() -> Recognizer:
    folder = Path(os.environ.get("ASR_WHISPER", "/tmp/whisper")) / "base"
    if not (folder / "model.bin").is_file():
        pytest.skip(f"no weights at {folder}: shared/whisper/get.sh DIR fetches them")
    return load_model(folder, "cpu")


@pytest.mark.slow
def test_real_weights_detect_french_and_english(base: Recognizer, corpora: Path) -> None:
    manifest = corpora / "french" / "dev" / "manifest.jsonl"
    if not manifest.is_file():
        pytest.skip(f"no French speech at {manifest}")
    lines = manifest.read_text(encoding="utf-8").splitlines()[:5]
    french = [manifest.parent / json.loads(line)["audio_filepath"] for line in lines]
    english = Path(__file__).parents[2] / "samples" / "quilter.wav"
    languages = []  # of the first segment: silence behind the speech may be one of its own
    for _, result in base.transcribe_many([*french, english], beam=1):
        assert isinstance(result, Transcript)
        languages.append(result.segments[0].language)
    assert languages == [*["fr"] * 5, "en"]


@pytest.mark.slow
def test_real_weights_translate(base: Recognizer, corpora: Path) -> None:
    """The second utterance of French dev begins "En France, seuls quatre exemplaires"."""
    audio = corpora / "french" / "dev" / "audio" / "common_voice_fr_39741644.opus"
    if not audio.is_file():
        pytest.skip(f"no French speech at {audio}")
    french = base.transcribe(audio, beam=1, language="fr").text
    translated = base.transcribe(audio, beam=1, language="fr", task="translate").text
    assert "exemplaires ont été officiellement" in french
    assert "officially" in translated
