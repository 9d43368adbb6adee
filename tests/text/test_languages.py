"""Hints for codes of languages that are not known."""

from __future__ import annotations

import pytest

from asr.text.languages import near_codes


@pytest.mark.parametrize(
    ("language", "hint"),
    [
        ("EN", ("the nearest codes are en",)),
        ("fr_FR", ("the nearest codes are fr",)),
        (" fr-CA", ("the nearest codes are fr",)),
        ("fx", ("the nearest codes are fr, fa", "the nearest codes are fa, fr")),
        ("yu", ("the nearest codes are yue",)),
        ("French", ("did you mean fr (French)?",)),
        (" cantonesse ", ("did you mean yue (Cantonese)?",)),
        ("Dutch", ("the codes are en, fr, fa, yue",)),
        ("Cantonese", ("did you mean yue (Cantonese)?",)),
        ("german", ("the codes are en, fr, fa, yue",)),  # which is not among them
        ("zz", ("the codes are en, fr, fa, yue",)),
        ("", ("the codes are en, fr, fa, yue",)),
    ],
)
def test_unknown_codes(language: str, hint: tuple[str, ...]) -> None:
    assert near_codes(language, ["en", "fr", "fa", "yue"]) in hint


@pytest.mark.parametrize(
    ("language", "hint"),
    [
        ("French", "did you mean fr (French)? 'asr info MODEL' lists the 20 codes"),
        ("fr-CA", "the nearest codes are fr; 'asr info MODEL' lists the 20 codes"),
        ("klingon", "'asr info MODEL' lists the 20 codes"),
    ],
)
def test_many_codes_are_not_listed(language: str, hint: str) -> None:
    assert near_codes(language, ["fr", *(f"q{letter}" for letter in "abcdefghijklmnopqrs")]) == hint
