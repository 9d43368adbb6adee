"""Texts as labels: nothing that will be measured is trained on, nothing else is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ManifestError
from asr.text import NormalizerConfig, TextNormalizer
from asr.text.characters import CharacterTokenizer
from asr.text.special_labels import END
from asr.train.lm.batches import epoch_of, labels_of
from asr.train.lm.recipe import TextConfig
from asr.train.lm.texts import Sources, TextCorpus, prepare

TOKENIZER = CharacterTokenizer([*"abcdefghijklmnopqrstuvwxyz", " "])
NORMALIZE = TextNormalizer(NormalizerConfig())
LONG = "we heard the old clock in the hall strike twelve"


def prepared(folder: Path, lines: list[str], config: TextConfig | None = None, **more: list[Path]):
    path = folder / "texts.txt"
    path.write_text("\n".join(lines))
    return prepare(Sources([path], **more), NORMALIZE, TOKENIZER, config or TextConfig())


def read(corpus: TextCorpus) -> list[str]:
    return [TOKENIZER.decode(text) for text in corpus.texts()]


def test_texts_are_normalised_and_joined_with_a_space(tmp_path: Path):
    found = prepared(tmp_path, ["Good morning!", "...", "It's 5 o'clock."]).train
    assert TOKENIZER.decode(found.span(0, 1)) == "good morning"
    assert TOKENIZER.decode(found.span(0, 2)).startswith("good morning it")
    assert found.words.tolist() == [2, 3]


def test_what_shares_seven_words_with_a_test_set_is_left_out(tmp_path: Path):
    test_set = tmp_path / "test.jsonl"
    test_set.write_text(json.dumps({"text": f"Yes, {LONG}."}) + "\n")
    six = " ".join(LONG.split()[:6])
    lines = [f"that night {LONG} again", f"{six} ring", "something else"]
    found = prepared(tmp_path, lines, without=[test_set])
    assert read(found.train) == lines[1:]
    assert "1 texts left out: they share 7 words in a row with test.jsonl" in found.notes


def test_what_is_measured_on_is_not_trained_on(tmp_path: Path):
    letters = [*"abcdefghij"]
    lines = [f"{one} {other} {third}" for one in letters for other in letters for third in letters]
    found = prepared(tmp_path, [*lines, *lines], TextConfig(held_out=0.1))
    dev, train = read(found.dev), read(found.train)
    assert 50 < len(dev) < 150  # each once, though the texts were given twice
    assert not set(dev) & set(train)
    assert len(train) == 2 * (len(lines) - len(dev))
    given_dev = tmp_path / "dev.txt"
    given_dev.write_text(LONG)
    found = prepared(tmp_path, [LONG, *lines], dev=[given_dev])
    assert read(found.dev) == [LONG]
    assert read(found.train) == lines


def test_long_texts_are_cut_at_words(tmp_path: Path):
    words = [letter * 2 for letter in "abcdefghijk"]
    parts = read(prepared(tmp_path, [" ".join(words)], TextConfig(words=4)).train)
    assert " ".join(parts).split() == words
    assert [len(part.split()) for part in parts] == [3, 4, 4]


def test_no_text_is_told(tmp_path: Path):
    with pytest.raises(ManifestError, match="no text is left to train on"):
        prepared(tmp_path, ["..."])


def corpus_of(lengths: list[int]) -> TextCorpus:
    labels = np.concatenate([np.full(length, 3 + n, np.uint16) for n, length in enumerate(lengths)])
    return TextCorpus(labels, np.cumsum([0, *lengths]), np.array(lengths), 0)


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60),
    most=st.integers(1, 300),
    join=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_an_epoch_has_every_text_once_in_rows_that_fit(lengths, most, join, seed):
    corpus, config = corpus_of(lengths), TextConfig(join=join, words=40)
    epoch = epoch_of(corpus, config, most, seed)
    rows = sorted(tuple(row) for batch in epoch.batches for row in batch.tolist())
    assert [first for first, _ in rows] == [0, *(last for _, last in rows[:-1])]
    assert rows[-1][1] == len(lengths)
    assert all(last - first <= join for first, last in rows)
    assert all(last == first + 1 or sum(lengths[first:last]) <= 40 for first, last in rows)
    for batch in epoch.batches:
        tokens, following = labels_of(corpus, batch, END)
        assert len(batch) == 1 or tokens.numel() <= most
        for row, (first, last) in enumerate(batch):
            text = corpus.span(first, last).tolist()
            assert tokens[row, : len(text) + 1].tolist() == [END, *text]
            assert following[row, : len(text) + 1].tolist() == [*text, END]
            assert (following[row, len(text) + 1 :] == -100).all()
    again = epoch_of(corpus, config, most, seed)
    assert all(np.array_equal(a, b) for a, b in zip(epoch.batches, again.batches, strict=True))
