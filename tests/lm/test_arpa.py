"""ARPA files: written ones are read back, foreign ones understood, damaged ones named."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest

from asr.errors import ModelError
from asr.lm.arpa import read_arpa, write_arpa
from asr.text.characters import CharacterTokenizer
from tests.lm.made import ngram, of_text

TOKENIZER = CharacterTokenizer(["a", "b", "c", "d"])

BY_HAND = """
\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-0.5\t<unk>
-99\t<s>\t-0.25
-1.0\t</s>
-0.7\ta\t-0.1
-0.8\tb

\\2-grams:
-0.2\t<s> a
-0.3\ta </s>

\\end\\
"""


def test_what_is_written_is_read_back(tmp_path: Path):
    lm = ngram(1, TOKENIZER.size, order=4, prune=1e-4)
    write_arpa(lm, TOKENIZER, tmp_path / "lm.arpa")
    again = read_arpa(tmp_path / "lm.arpa", TOKENIZER)
    assert again.words.tolist() == lm.words.tolist()
    for text in ([3, 4, 5], [6, 6, 6, 3], []):
        assert of_text(again, text) == pytest.approx(of_text(lm, text), abs=1e-4)


def test_a_file_of_another_tool_is_understood(tmp_path: Path):
    path = tmp_path / "lm.arpa.gz"
    path.write_bytes(gzip.compress(BY_HAND.encode()))
    lm = read_arpa(path, TOKENIZER)
    a, b, c = 3, 4, 5
    said = [one / math.log(10) for one in of_text(lm, [a, b])]
    assert said == pytest.approx([-0.2, -0.1 - 0.8, -1.0])  # <s> a, backoff(a) b, </s>
    said = [one / math.log(10) for one in of_text(lm, [b, a])]
    assert said == pytest.approx([-0.25 - 0.8, -0.7, -0.3])
    said = [one / math.log(10) for one in of_text(lm, [c])]  # not in the file: as <unk>
    assert said == pytest.approx([-0.25 - 0.5, -1.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "no ARPA file: it has no n-grams"),
        (BY_HAND.replace("\tb", "\tball"), "'ball' is no piece"),
        (BY_HAND.replace("-0.8\tb", "-0.8\tb c d"), "no n-gram of 1 words"),
        (BY_HAND.replace("-0.8\tb", "x\tb"), "line 11"),
        (BY_HAND + "\\3-grams:\n-0.1\tb c a\n", "not its beginning"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "lm.arpa").write_text(text)
    with pytest.raises(ModelError, match=message):
        read_arpa(tmp_path / "lm.arpa", TOKENIZER)
    with pytest.raises(ModelError, match=r"missing\.arpa: cannot be read"):
        read_arpa(tmp_path / "missing.arpa", TOKENIZER)
