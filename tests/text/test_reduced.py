"""Whisper's tokenizer with fewer labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr.errors import ModelError
from asr.text import load_tokenizer
from asr.text.reduced import reduced
from asr.text.whisper import WhisperTokenizer
from tests.text.test_whisper import MERGES, SIZE, SPECIAL, content

HELL = 256 + 3  # the label " hell", made of " hel" and "l"
LO = 256 + 4


def tokenizer() -> WhisperTokenizer:
    return WhisperTokenizer(content(), SIZE, suppress=[LO, 40], suppress_first=[32], language="fr")


def test_a_piece_stays_with_all_that_it_is_made_of() -> None:
    small = reduced(tokenizer(), [HELL])
    pieces = {small.piece(label) for label in range(small.size)}
    assert {"▁hell", "▁hel", "▁h", "el"} <= pieces
    assert "lo" not in pieces
    special = [piece for piece in pieces if piece.startswith("<|")]
    assert len(special) == len(SPECIAL) - 2  # of three languages one
    assert small.size == 256 + 4 + len(special)


def test_texts_are_written_as_before_or_in_smaller_pieces() -> None:
    small = reduced(tokenizer(), [HELL])
    assert [small.piece(label) for label in small.encode("hello")] == ["▁hell", "o"]
    for text in ("hello", "Grüße, 世界!", "a  b"):
        assert small.decode(small.encode(text)) == " ".join(text.split())
    everything = reduced(tokenizer(), range(256 + len(MERGES)))
    text = "hell hello low"
    pieces = [everything.piece(label) for label in everything.encode(text)]
    assert pieces == [tokenizer().piece(label) for label in tokenizer().encode(text)]


def test_special_labels_keep_their_meaning(tmp_path: Path) -> None:
    small = reduced(tokenizer(), [HELL])
    labels = small.labels
    assert small.prompt_fields is not None
    assert [*small.prompt_fields.languages] == ["fr"]
    assert [small.piece(label) for label in labels.start] == [
        "<|startoftranscript|>", "<|fr|>", "<|transcribe|>", "<|notimestamps|>"
    ]  # fmt: skip
    assert small.piece(labels.end) == "<|endoftext|>"
    assert [small.piece(label) for label in small.suppress] == [tokenizer().piece(40)]
    assert small.suppress_first == (32,)
    small.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert [again.piece(n) for n in range(again.size)] == [
        small.piece(n) for n in range(small.size)
    ]


def test_what_is_no_piece_is_refused() -> None:
    with pytest.raises(ModelError, match="label 262 is not a piece of text"):
        reduced(tokenizer(), [262])
