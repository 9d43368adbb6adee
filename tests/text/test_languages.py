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
        ("french", ("the codes are en, fr, fa, yue",)),
        ("zz", ("the codes are en, fr, fa, yue",)),
        ("", ("the codes are en, fr, fa, yue",)),
    ],
)
def test_unknown_codes(language: str, hint: tuple[str, ...]) -> None:
    assert near_codes(language, ["en", "fr", "fa", "yue"]) in hint
