"""What a model that writes capitals and punctuation learns from texts without them."""

from __future__ import annotations

import re

import pytest

from asr.text import NormalizerConfig
from asr.train.adapt.written import fit_case
from tests.train.whisper import AS_WRITTEN


@pytest.mark.parametrize(
    ("texts", "lowercase", "told"),
    [
        (["It rains.", "Yes!"], False, None),
        (["IT RAINS", "YES"], True, "capitals only .* forget capitals and punctuation"),
        (["IT RAINS.", "YES"], True, "capitals only .* forget capitals;"),
        (["it rains", "yes"], False, "no capitals and punctuation: "),
        (["it rains."], False, "no capitals: "),
        (["It rains", "Yes"], False, "no punctuation: "),
        (["雨が降る。"], False, None),
        (["雨が降る"], False, None),
        (["1 2 3"], False, None),
        ([], False, None),
    ],
)
def test_texts_say_how_to_write(texts: list[str], lowercase: bool, told: str | None) -> None:
    config, notes = fit_case(AS_WRITTEN, texts)
    assert config.lowercase is lowercase
    assert config == AS_WRITTEN.model_copy(update={"lowercase": lowercase})
    assert len(notes) == (told is not None)
    if told is not None:
        assert re.search(told, notes[0])


def test_models_that_write_small_letters_are_left_alone() -> None:
    config = NormalizerConfig()
    assert fit_case(config, ["IT RAINS"]) == (config, ())
