"""Where labels are spoken, on attention weights with known peaks, and with models without CTC."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.model import ModelConfig, SpeechModel
from asr.model.folder import FolderConfig, LoadedModel, load_model_folder
from asr.text.whisper import WhisperTokenizer
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.words.attention import align_attention, aligned_by_attention, spoken_labels
from asr.transcribe.words.timing import WordTimer, labelled_words
from asr.types import Hypothesis
from tests.conftest import RATE, SAMPLES
from tests.model.whisper.test_folder import write_folder
from tests.text.test_whisper import SIZE, content


def peaks(places: list[int], frames: int, heads: int = 2) -> np.ndarray:
    """Weights (H, U, T) with a peak of three frames in the middle of each row."""
    weights = np.full((heads, len(places), frames), 0.01)
    for label, place in enumerate(places):
        weights[:, label, place - 1 : place + 2] = (0.5, 1.0, 0.5)
    return weights / weights.sum(axis=2, keepdims=True)


def aligned(weights: np.ndarray, quiet: np.ndarray, spoken: list[int]) -> list[tuple[int, int]]:
    return align_attention([weights], [quiet], [spoken])[0]


def test_labels_are_where_the_peaks_are() -> None:
    quiet = np.zeros(30, bool)
    spans = aligned(peaks([4, 12, 20, 28], 30), quiet, [0, 1, 2])
    for (begin, end), place in zip(spans, (4, 12, 20), strict=True):
        assert begin <= place < end
        assert end - begin <= 4


def test_no_word_is_spoken_in_silence() -> None:
    """The faults of the plain method: attention to silence, before the first word and behind it."""
    weights = peaks([2, 22, 38], 40)
    quiet = np.zeros(40, bool)
    quiet[:15] = quiet[30:] = True
    [first, second] = aligned(weights, quiet, [0, 1])
    assert 15 <= first[0] < first[1] <= second[0]
    assert second == (21, 24)


def test_labels_without_letters_take_no_time() -> None:
    """A comma looks at the word behind it; a quotation mark stands before its word."""
    weights = peaks([5, 5, 13, 13, 28], 30)
    spans = aligned(weights, np.zeros(30, bool), [1, 1, -1, 3])
    assert spans[0] == (spans[1][0],) * 2
    assert spans[2] == (spans[1][1],) * 2
    assert spans[3][0] <= 13 < spans[3][1]


def test_what_is_spoken() -> None:
    def written(labels: object) -> str:
        return "".join(str(label) for label in labels).strip()  # type: ignore[attr-defined]

    labels = ["“", "Yes", ",", " it", "'", "s", " ", "3", ".", " -", " no"]
    spoken = spoken_labels(written, labels)  # type: ignore[arg-type]
    assert spoken == [1, 1, -1, 3, -1, 5, -1, 7, -1, -1, 10]
    assert spoken_labels(written, [".", "."]) == [0, 1]  # type: ignore[list-item]


def test_parts_of_characters_belong_to_their_word() -> None:
    tokenizer = WhisperTokenizer(content(), SIZE)
    labels = [*"né".encode(), *" 天气 ".encode(), *b"a"]
    words = labelled_words(tokenizer.decode, labels)
    assert words == [("né", 0, 2), ("天气", 4, 9), ("a", 11, 11)]
    assert spoken_labels(tokenizer.decode, labels) == [0, 1, 2, -1, *range(4, 10), -1, 11]


@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), min_size=1, max_size=3),
    part=st.floats(0, 1),
)
def test_spans_are_in_order_whatever_the_weights(
    seed: int, sizes: list[tuple[int, int]], part: float
) -> None:
    draw = np.random.default_rng(seed)
    weights = [draw.dirichlet(np.ones(t), (2, u + 1)) if t else np.zeros((2, u + 1, 0))
               for t, u in sizes]  # fmt: skip
    quiet = [draw.random(frames) < part for frames, _ in sizes]
    spoken = [[-1 if draw.random() < 0.3 else n for n in range(count)] for _, count in sizes]
    found = align_attention(weights, quiet, spoken)
    for spans, (frames, count), *alone in zip(found, sizes, weights, quiet, spoken, strict=True):
        assert len(spans) == count
        edges = [edge for span in spans for edge in span]
        assert edges == sorted(edges)
        assert all(0 <= edge <= frames for edge in edges)
        assert spans == aligned(*alone)


def without_ctc(folder: Path) -> Recognizer:
    loaded = load_model_folder(folder)
    loaded.model.ctc = None
    return Recognizer(loaded)


@pytest.mark.usefixtures("any_sound_is_speech")
def test_words_of_a_model_without_ctc(tiny_model: Path, sound: np.ndarray) -> None:
    """Random weights: times are in order, within the segments, and of all words."""
    found = without_ctc(tiny_model).transcribe(sound, RATE, nbest=2)
    assert found.segments
    for segment in found.segments:
        assert [word.text for word in segment.words] == segment.text.split()
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert segment.start <= times[0] <= times[-1] <= segment.end
        assert all({"attention", "level"} <= set(word.evidence) for word in segment.words)
        assert all(not other.words for other in segment.alternatives)


def test_scores_of_labels(tiny_model: Path, sound: np.ndarray) -> None:
    model = without_ctc(tiny_model)
    decoder, labels = model.model.decoder, model.tokenizer.labels
    assert decoder is not None
    timer = WordTimer.of(model.model, model.tokenizer.decode)
    samples = torch.from_numpy(sound)[None].repeat(2, 1)
    with torch.inference_mode():
        memory, lengths = model.model.encode(
            *model.model.features(samples, torch.tensor([len(sound), len(sound) // 2]))
        )
        best = [Hypothesis((5, 9, 7), 0.0), Hypothesis((8,), 0.0)]
        levels = [timer.levels(sound), timer.levels(sound[: len(sound) // 2])]
        found = aligned_by_attention(model.model, timer, labels, best, memory, lengths, levels)
        for row, hypothesis in enumerate(found):
            tokens = torch.tensor([[*labels.start, *hypothesis.tokens]])
            alone = (memory[row : row + 1, : lengths[row]], lengths[row : row + 1])
            expected = decoder(tokens, *alone)[0].log_softmax(-1)
            for place, label in enumerate(hypothesis.tokens):
                score = hypothesis.label_scores["attention"][place]
                assert score == pytest.approx(float(expected[place, label]), abs=1e-5)
            assert len(hypothesis.spans) == len(hypothesis.tokens)
            assert set(hypothesis.label_scores) == {"attention"}
            frames = round(len(levels[row]) * timer.step_samples / RATE / timer.frame_seconds)
            assert hypothesis.spans[-1][1] <= min(frames, int(lengths[row]))


@pytest.mark.usefixtures("any_sound_is_speech")
def test_without_attention_there_are_no_times(tiny_model: Path, sound: np.ndarray) -> None:
    loaded = load_model_folder(tiny_model)
    values = {
        "encoder": {"type": "lstm", "layers": 1, "dim": 8},
        "decoder": {"type": "lstm", "layers": 1, "dim": 8, "attention": "none"},
        "ctc": False,
    }
    config = ModelConfig.model_validate(values)
    torch.manual_seed(0)
    model = SpeechModel(config, loaded.tokenizer.size)
    folder = FolderConfig(model=config, vocabulary=loaded.tokenizer.size)
    found = Recognizer(LoadedModel(model, loaded.tokenizer, folder, tiny_model)).transcribe(
        sound, RATE
    )
    assert found.segments
    assert all(segment.words == () for segment in found.segments)


@pytest.mark.usefixtures("any_sound_is_speech")
def test_translations_have_no_word_times(tmp_path: Path, sound: np.ndarray) -> None:
    """Their words are not in the order of what is spoken."""
    model = load_model(write_folder(tmp_path, "hugging face"), "cpu")
    spoken = model.transcribe(sound, RATE, language="fr", beam=1)
    assert any(segment.words for segment in spoken.segments)
    translated = model.transcribe(sound, RATE, language="fr", task="translate", beam=1)
    assert translated.segments
    assert all(segment.words == () for segment in translated.segments)


@pytest.mark.slow
def test_real_weights() -> None:
    """With tiny.en pauses are where it is quiet, and no word is stretched over one."""
    folder = Path(os.environ.get("ASR_WHISPER", "/tmp/whisper")) / "tiny.en"
    if not (folder / "model.bin").is_file():
        pytest.skip(f"no weights at {folder}: shared/whisper/get.sh DIR fetches them")
    model = load_model(folder, "cpu")
    [segment] = model.transcribe(SAMPLES / "quilter.wav", beam=1).segments
    times = {word.text: (word.start, word.end) for word in segment.words}
    assert times["Mr."][0] == pytest.approx(0.55, abs=0.03)
    assert times["classes,"][1] == pytest.approx(3.26, abs=0.03)
    assert times["and"][0] == pytest.approx(3.33, abs=0.03)
    assert times["gospel."][1] == pytest.approx(5.42, abs=0.05)
    assert max(end - start for start, end in times.values()) < 0.8
