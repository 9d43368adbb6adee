"""recipes/english: transcripts with the case and punctuation of a teacher."""

from __future__ import annotations

import pytest

from recipes.english.cased import cased


@pytest.mark.parametrize(
    ("reference", "teacher", "text"),
    [
        ("he saw mister quilter", "He saw Mr. Quilter.", "He saw Mr. Quilter."),
        ("yes it is", "yes, it was!", "Yes, it is!"),  # the transcript is right
        ("they came in eighteen forty", "They came in 1840.", "They came in 1840."),
        ("go home anna now please", "Go home, Hanna, now", "Go home, Anna, now please"),
        ("a b c d e", "A b c d", "A b c d e"),
        ("one two three four", "Something else altogether.", None),
        ("hello", "", None),
        ("", "Hello.", None),
    ],
)
def test_common_words_are_written_as_the_teacher_writes_them(
    reference: str, teacher: str, text: str | None
) -> None:
    assert cased(reference, teacher, most=0.4) == text
