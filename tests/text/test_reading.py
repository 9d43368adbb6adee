from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from asr.errors import ManifestError
from asr.text.reading import read_texts

LINES = "\ufefffirst line\r\n\n  second, with é  \nlast"
MANIFEST = '{"text": "one", "duration": 1}\n\n{"text": ""}\n{"text": "zwei é"}\n'


@pytest.mark.parametrize(
    ("ending", "pack"),
    [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)],
)
def test_texts_are_read_whatever_the_packing(
    ending: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    text, manifest = tmp_path / f"a.txt{ending}", tmp_path / f"a.jsonl{ending}"
    text.write_bytes(pack(LINES.encode()))
    manifest.write_bytes(pack(MANIFEST.encode()))
    assert list(read_texts(text)) == ["first line", "second, with é", "last"]
    assert list(read_texts(manifest)) == ["one", "", "zwei é"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"good\n\xff\xfe\n", "line 2: not UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2: not JSON"),
        ("a.jsonl", b'{"txt": "a"}\n', "line 1: must be a JSON object with a string 'text'"),
        ("a.jsonl", b'{"text": 5}\n', "line 1: must be a JSON object"),
        ("a.jsonl", b"[]\n", "line 1: must be a JSON object"),
        ("a.txt.gz", b"not packed", "cannot be read"),
        ("a.txt.gz", gzip.compress(b"cut off" * 99, mtime=0)[:-9], "cannot be read"),
        ("a.txt.xz", b"not packed", "cannot be read"),
        ("a.txt.xz", lzma.compress(b"cut off" * 99)[:-9], "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=message) as caught:
        list(read_texts(tmp_path / name))
    assert name in str(caught.value)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(ManifestError, match=f"{path}: cannot be read"):
            list(read_texts(path))
