from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from asr.errors import ManifestError
from asr.evaluate.vocabulary import read_vocabulary

WORDS = frozenset({"the", "knight", "came"})


def test_texts_and_manifests_packed_or_not_have_the_same_words(tmp_path: Path) -> None:
    text = "The knight\n\ncame\n"
    lines = '{"text": "The knight"}\n{"text": "came"}\n'
    for name, content in (("a.txt", text), ("a.jsonl", lines), ("a.json.txt", text)):
        path = tmp_path / name
        path.write_text(content)
        assert read_vocabulary(path, str.lower) == WORDS
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress(content.encode()))
        assert read_vocabulary(packed, str.lower) == WORDS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no words in it"),
        ('{"text": null}\n', "line 1: must be a JSON object"),
        ('{"text": "a"}\n{"words": 3}\n', "line 2: must be a JSON object"),
        ("the knight\n", "line 1: not JSON"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(ManifestError, match=said):
        read_vocabulary(path, str.lower)
    with pytest.raises(ManifestError, match="no such file"):
        read_vocabulary(tmp_path / "gone.txt", str.lower)
