"""Prompts: what the decoder is fed before the start of each segment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr.errors import ConfigError, ModelError
from asr.search import SearchConfig, all_scorers, search
from asr.transcribe.language import LanguageSetting
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.recognizer import Recognizer, load_model
from asr.transcribe.words.evidence import with_label_scores
from tests.model.whisper import checkpoints
from tests.model.whisper.test_folder import write_folder
from tests.text.test_whisper import FR, NO_STAMPS, PREVIOUS, START, TRANSCRIBE

RATE = 16000
POSITIONS = 40


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """A small multilingual Whisper with room for prompts."""
    folder = write_folder(tmp_path_factory.mktemp("whisper") / "small", "hugging face")
    recognizer = load_model(folder, "cpu")
    decoder: Any = recognizer.model.decoder
    generator = torch.Generator().manual_seed(2)
    positions = 2 * torch.randn(POSITIONS, checkpoints.DIM, generator=generator)
    decoder.positions, decoder.max_labels = torch.nn.Parameter(positions), POSITIONS
    # The sound is noise, which is given no text otherwise.
    recognizer.search = recognizer.search.model_copy(update={"heard_only": False})
    return recognizer


def sound(seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def setting(recognizer: Recognizer, **values: Any) -> LanguageSetting:
    return LanguageSetting.of(recognizer.loaded, TranscribeOptions(**values))


def test_the_prompt_is_labels_before_the_start(several: Recognizer) -> None:
    some = setting(several, language="fr", prompt=" hell\n lo ")
    assert some.prompt == (PREVIOUS, *several.tokenizer.encode("hell lo"))
    assert some.labels.start == (START, FR, TRANSCRIBE, NO_STAMPS)
    assert setting(several, prompt="<|en|>").prompt[1:] == (32, *b"<|en|>")  # text as any
    assert setting(several).prompt == ()


def test_a_prompt_changes_what_is_written(several: Recognizer) -> None:
    plain = several.transcribe(sound(), RATE, beam=1)
    prompted = several.transcribe(sound(), RATE, beam=1, prompt="hell lo ab")
    assert plain.segments[0].tokens != prompted.segments[0].tokens
    assert plain.segments[0].language == prompted.segments[0].language  # detected without it


def test_label_scores_are_those_of_the_search(several: Recognizer) -> None:
    some = setting(several, language="fr", prompt="hell lo ab")
    model, config = several.model, SearchConfig(beam=3, ctc_weight=0.0, heard_only=False)
    generator = torch.Generator().manual_seed(5)
    memory = 3 * torch.randn(2, 12, checkpoints.DIM, generator=generator)
    lengths = torch.tensor([12, 7])
    with torch.inference_mode():
        scorers = all_scorers(model, some.labels, config, prompt=some.prompt)
        found = [best for [best] in search(scorers, memory, lengths, some.labels, config)]
        assert all(best.tokens for best in found)
        scored = with_label_scores(
            model, some.labels, found, memory, lengths, [np.zeros((0, 1))] * 2, prompt=some.prompt
        )
        for row, best in enumerate(scored):
            fed = torch.tensor([[*some.prompt, *some.labels.start, *best.tokens]])
            logits = model.decoder(fed, memory[row : row + 1], lengths[row : row + 1])  # type: ignore[misc]
            ending = logits[0, -1].log_softmax(-1)[some.labels.end].item()
            labels = sum(best.label_scores["attention"])
            assert labels + ending == pytest.approx(best.scores["attention"], abs=1e-4)


def test_what_is_wrong_with_a_prompt(several: Recognizer, tiny_model: Path) -> None:
    assert len(setting(several, prompt="x" * 18).prompt) == POSITIONS // 2
    with pytest.raises(ModelError, match=r"the prompt has 20 labels, .* at most 19: shorten it"):
        setting(several, prompt="x" * 19)
    for empty in ("", " \n"):
        with pytest.raises(ConfigError, match="the prompt is empty: give it text, or leave it"):
            TranscribeOptions(prompt=empty)
    other, advice = load_model(tiny_model, "cpu"), r"was not trained with prompts: .*\(--hotwords"
    with pytest.raises(ModelError, match=advice):
        other.transcribe(sound(), RATE, prompt="hello")
    with pytest.raises(ModelError, match=advice):
        other.stream(RATE, prompt="hello")
