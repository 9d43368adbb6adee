from __future__ import annotations

import sys

import pytest

from asr.errors import ConfigError, DependencyError
from asr.evaluate.scoring import (
    WhisperNormalizerConfig,
    build_normalizer,
    check_scoring,
    difference_of,
    parse_scoring,
    scoring_for,
)
from asr.text import NormalizerConfig

AS_WRITTEN = NormalizerConfig(
    lowercase=False, numbers=False, symbols=False, abbreviations=False, punctuation=False
)


def whisper() -> None:
    pytest.importorskip("whisper_normalizer", reason="asr[scoring] is not installed")


def test_a_model_that_writes_case_and_digits_is_scored_like_one_that_does_not() -> None:
    assert scoring_for(AS_WRITTEN) == scoring_for(NormalizerConfig()) == NormalizerConfig()
    normalize = build_normalizer(scoring_for(AS_WRITTEN))
    assert normalize("Mr. Quilter has 21 cats!") == normalize("MISTER QUILTER HAS TWENTY ONE CATS")


def test_what_a_model_cannot_write_is_taken_away_here_too() -> None:
    model = NormalizerConfig(language="fr", diacritics="fold", apostrophes="remove")
    assert scoring_for(model) == model


def test_a_language_without_number_words_keeps_its_digits() -> None:
    model = NormalizerConfig(language="xx", numbers=False, lowercase=False)
    scoring = scoring_for(model)
    assert build_normalizer(scoring)("Abc 5!") == "abc 5"
    assert build_normalizer(scoring_for(model, "asr", "am"))("1999") == "1999"


def test_the_rules_of_whisper_for_english() -> None:
    whisper()
    normalize = build_normalizer(scoring_for(AS_WRITTEN, "whisper"))
    texts = "Mr. Smith, he didn't pay twenty-one dollars for the [noise] colour.", "Uh, it's!"
    assert [normalize(text) for text in texts] == [
        "mister smith he did not pay $21 for the color",
        "it is",
    ]


@pytest.mark.parametrize(
    ("language", "text", "scored"),
    [("fr", "L'École, été !", "l école été"), ("zh", "你好。", "你 好")],
)
def test_the_rules_of_whisper_for_other_languages(language: str, text: str, scored: str) -> None:
    whisper()
    assert build_normalizer(WhisperNormalizerConfig(language=language))(text) == scored


def test_whispers_rules_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whisper_normalizer", "whisper_normalizer.english", "whisper_normalizer.basic"):
        monkeypatch.setitem(sys.modules, name, None)
    check_scoring("asr")
    for call in (
        lambda: check_scoring("whisper"),
        lambda: build_normalizer(WhisperNormalizerConfig()),
        lambda: build_normalizer(WhisperNormalizerConfig(language="fr")),
    ):
        with pytest.raises(DependencyError, match=r"pip install .*'asr\[scoring\]'"):
            call()


def test_settings_are_read_as_they_are_kept() -> None:
    for scoring in (AS_WRITTEN, WhisperNormalizerConfig(language="fr", version="0.1.15")):
        assert parse_scoring(scoring.model_dump(), "here") == scoring
    with pytest.raises(ConfigError, match=r"here: .*type"):
        parse_scoring({"type": "other"}, "here")


def test_differences_are_named() -> None:
    old, new = (WhisperNormalizerConfig(version=version) for version in ("0.1.14", "0.1.15"))
    assert difference_of(old, new) == "version: 0.1.14 and 0.1.15"
    assert difference_of(new, NormalizerConfig()) == "normalizer: whisper and asr"
    assert difference_of(None, new) == difference_of(new, new) == ""
