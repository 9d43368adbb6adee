"""Start sequences for languages and tasks."""

from __future__ import annotations

import pytest

from asr.errors import ModelError
from asr.text import Languages

LANGUAGES = Languages({"en": 5, "fr": 6, "fa": 7, "yue": 8}, {"transcribe": 3}, (1, 2), (4,))


def test_the_start() -> None:
    assert LANGUAGES.start("fr") == (1, 2, 6, 3, 4)
    assert Languages({"en": 0}, {"translate": 1}, (2,)).start("en", "translate") == (2, 0, 1)


@pytest.mark.parametrize(
    ("language", "hint"),
    [
        ("EN", "the nearest codes are en$"),
        ("fr_FR", "the nearest codes are fr$"),
        (" fr-CA", "the nearest codes are fr$"),
        ("fx", "the nearest codes are (fr, fa|fa, fr)$"),
        ("yu", "the nearest codes are yue$"),
        ("french", "the codes are en, fr, fa, yue$"),
        ("zz", "the codes are en, fr, fa, yue$"),
        ("", "the codes are en, fr, fa, yue$"),
    ],
)
def test_unknown_codes(language: str, hint: str) -> None:
    with pytest.raises(ModelError, match=f"^no language '{language}'; {hint}"):
        LANGUAGES.start(language)


def test_unknown_tasks() -> None:
    with pytest.raises(ModelError, match=r"^no task 'translate'; there are: transcribe$"):
        LANGUAGES.start("fr", "translate")
