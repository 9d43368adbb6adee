"""ARPA files: written ones are read back, foreign ones understood, damaged ones named."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest
import torch

from asr.errors import ModelError
from asr.lm.arpa import read_arpa, write_arpa
from asr.text import Labels
from asr.text.characters import CharacterTokenizer
from tests.lm.made import ngram, of_text

TOKENIZER = CharacterTokenizer(["a", "b", "c", "d"])


class OtherNumbers(CharacterTokenizer):
    """Labels a, b, c, d, the end, and the blank if there is one; nothing is unknown."""

    def __init__(self, blank: bool) -> None:
        super().__init__(["a", "b", "c", "d"])
        self.written = ["a", "b", "c", "d", "<end>", *["<blank>"] * blank]
        self.has_blank = blank

    @property
    def size(self) -> int:
        return len(self.written)

    @property
    def labels(self) -> Labels:
        return Labels(blank=5 if self.has_blank else None, unknown=None, end=4, start=(4,))

    def piece(self, token: int) -> str:
        return self.written[token]


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


@pytest.mark.parametrize("blank", [True, False])
def test_labels_of_other_numbers_are_read_and_written(tmp_path: Path, blank: bool):
    tokenizer = OtherNumbers(blank)
    (tmp_path / "lm.arpa").write_text(BY_HAND)
    lm = read_arpa(tmp_path / "lm.arpa", tokenizer)
    write_arpa(lm, tokenizer, tmp_path / "again.arpa")
    for model in (lm, read_arpa(tmp_path / "again.arpa", tokenizer)):
        log_probs, _ = model.prime(
            torch.tensor([[4, 0, 1], [4, 1, 0], [4, 2, 0]]), torch.tensor([3])
        )
        a, b, c, end = (log_probs[..., label] / math.log(10) for label in (0, 1, 2, 4))
        assert [a[0, 0], b[0, 1], end[0, 2]] == pytest.approx([-0.2, -0.1 - 0.8, -1.0], abs=1e-5)
        assert [b[1, 0], a[1, 1], end[1, 2]] == pytest.approx([-0.25 - 0.8, -0.7, -0.3], abs=1e-5)
        assert c[2, 0] == pytest.approx(-0.25 - 0.5, abs=1e-5)  # not in the file: as its <unk>
        assert not blank or log_probs[..., 5].isneginf().all()


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
