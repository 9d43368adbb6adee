"""Whisper's tokenizer: bytes, special labels, what is suppressed."""

from __future__ import annotations

import itertools
import json
import pickle
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.text import load_tokenizer
from asr.text.whisper import WhisperTokenizer

#: How tokenizer.json writes the bytes 0 to 255, as GPT-2 has it: printing ones as they are.
PRINTING = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [byte for byte in range(256) if byte not in PRINTING]
WRITTEN = {byte: chr(byte) for byte in PRINTING} | {b: chr(256 + n) for n, b in enumerate(OTHERS)}
SPACE = WRITTEN[32]
MERGES = [(SPACE, "h"), ("e", "l"), (SPACE + "h", "el"), (SPACE + "hel", "l"), ("l", "o")]
SPECIAL = [
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|fr|>", "<|yue|>", "<|translate|>",
    "<|transcribe|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
]  # fmt: skip
FIRST_SPECIAL = 256 + len(MERGES)
END, START, EN, FR, YUE, TRANSLATE, TRANSCRIBE, PREVIOUS, NO_SPEECH, NO_STAMPS = range(
    FIRST_SPECIAL, FIRST_SPECIAL + len(SPECIAL)
)
SIZE = NO_STAMPS + 1 + 4


def content(**changes: Any) -> str:
    """A small tokenizer.json: all bytes, and some merges."""
    letters = [WRITTEN[byte] for byte in range(256)] + ["".join(merge) for merge in MERGES]
    values = {
        "version": "1.0",
        "added_tokens": [
            {
                "id": FIRST_SPECIAL + n, "content": name, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False, "special": True,
            }
            for n, name in enumerate(SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True
        },
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True
        },
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": False,
            "vocab": {letter: n for n, letter in enumerate(letters)},
            "merges": [list(merge) for merge in MERGES],
        },
    }  # fmt: skip
    return json.dumps(values | changes)


def tokenizer(language: str | None = None, **more: Any) -> WhisperTokenizer:
    return WhisperTokenizer(content(), SIZE, language=language, **more)


def test_special_labels() -> None:
    labels = tokenizer(suppress=(5, START), suppress_first=(32, END)).labels
    assert labels.blank == FIRST_SPECIAL + SPECIAL.index("<|nospeech|>")
    assert labels.unknown is None
    assert labels.end == END
    assert labels.start == (START, NO_STAMPS)
    assert labels.never_first == (32, END)
    assert set(labels.never) == {5} | set(range(START, SIZE))  # time stamps too
    assert labels.forbidden == {5} | set(range(END, SIZE))


@pytest.mark.parametrize(
    ("language", "task", "start"),
    [
        ("en", "transcribe", (START, EN, TRANSCRIBE, NO_STAMPS)),
        ("yue", "translate", (START, YUE, TRANSLATE, NO_STAMPS)),
        (None, "transcribe", (START, NO_STAMPS)),
    ],
)
def test_the_start_names_language_and_task(
    language: str | None, task: str, start: tuple[int, ...]
) -> None:
    assert tokenizer(language, task=task).labels.start == start
    if language is not None:
        fields = tokenizer("fr").prompt_fields
        assert fields is not None
        assert fields.start({"language": language, "task": task}) == start


def test_languages() -> None:
    assert tokenizer().prompt_fields is None  # English only, though there are labels of others
    fields = tokenizer("en").prompt_fields
    assert fields is not None
    assert fields.labels == {
        "language": {"en": EN, "fr": FR, "yue": YUE},
        "task": {"transcribe": TRANSCRIBE, "translate": TRANSLATE},
    }
    assert fields.before == (START,)
    with pytest.raises(ModelError, match="tokenizer: no language 'fx'; the nearest codes are fr"):
        tokenizer("fx")
    with pytest.raises(ModelError, match="tokenizer: no task 'translate'; there are: transcribe"):
        tokenizer("fr", task="translate", tasks=("transcribe",))
    with pytest.raises(ModelError, match=r"has no label <\|sing\|>"):
        tokenizer("fr", tasks=("sing",))


def test_text_of_labels() -> None:
    some = tokenizer()
    hello = [256 + 3, 256 + 4]  # " hell", "lo"
    assert some.decode([START, EN, NO_STAMPS, *hello, END]) == "helllo"
    assert some.decode([]) == ""
    accent = list("é".encode())
    assert some.decode([*hello, *accent]) == "hellloé"
    assert some.decode([*hello, accent[0]]) == "helllo"  # the other part is to come
    assert some.decode([*hello, accent[0], *accent]) == "hellloé".replace("é", "�é")
    assert some.decode([accent[1], *hello]) == "� helllo"
    assert some.decode([*hello, accent[1]]) == "helllo�"  # no beginning of a character
    for label in (-1, SIZE):
        with pytest.raises(ModelError, match="is not one of its"):
            some.decode([label])


def test_a_text_that_grows_by_bytes_is_never_taken_back() -> None:
    some = tokenizer()
    labels = list("a é 語🙂 naïve 語".encode())
    texts = [some.decode(labels[:count]) for count in range(len(labels) + 1)]
    for text, longer in itertools.pairwise(texts):
        assert longer.startswith(text)
        assert "�" not in longer
    assert texts[-1] == "a é 語🙂 naïve 語"


def test_pieces() -> None:
    some = tokenizer()
    assert some.size == SIZE
    assert some.piece(256 + 3) == "▁hell"
    assert some.piece(32) == "▁"
    assert some.piece(0xC3) == "<0xC3>"
    assert some.piece(EN) == "<|en|>"
    assert [some.piece(NO_STAMPS + n) for n in (1, 2)] == ["<|0.00|>", "<|0.02|>"]
    with pytest.raises(ModelError, match="is not one of its"):
        some.piece(SIZE)


def test_encoding() -> None:
    some = tokenizer()
    assert some.encode(" hell  lo\n") == [256 + 3, 32, 256 + 4]
    assert some.encode("  ") == []
    assert some.encode("<|en|>") == [32, *b"<|en|>"]  # text as any
    assert some.unknown("any ⁇ 語") == Counter()


@given(text=st.text())
def test_every_text_can_be_written(text: str) -> None:
    expected = " ".join(text.encode("utf-8", "replace").decode().split())
    some = tokenizer()
    labels = some.encode(expected)
    assert some.decode(labels) == expected
    assert not set(labels) & some.labels.forbidden


def test_it_can_be_kept(tmp_path: Path) -> None:
    some = tokenizer("fr", suppress=(5, 6), suppress_first=(32, END), task="translate")
    assert some.save(tmp_path) == tmp_path / "whisper_tokenizer.json"
    for other in (load_tokenizer(tmp_path), pickle.loads(pickle.dumps(some))):
        assert isinstance(other, WhisperTokenizer)
        assert other.labels == some.labels
        assert other.size == some.size
        assert other.decode([256 + 3, 256 + 4]) == "helllo"
    saved = json.loads((tmp_path / "whisper_tokenizer.json").read_text(encoding="utf-8"))
    (tmp_path / "whisper_tokenizer.json").write_text(json.dumps(saved | {"version": 2}))
    with pytest.raises(ModelError, match="not a tokenizer of Whisper"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "[]",
        "{}",
        content()[:-1],
        content(model={"vocab": ["a"]}),
        content(model={"vocab": {"語": 1}}),
        content(model={"vocab": {"a": SIZE}}),
        content(model={"vocab": {"a": 1, "b": 1}}),
        content(model={"vocab": {"a": "1"}}),
        content(added_tokens=[{"id": 3}]),
        content(added_tokens=None),
        "[" * 100_000,
    ],
)
def test_damaged_files(damaged: str) -> None:
    with pytest.raises(ModelError, match="the file: not a byte-level BPE tokenizer"):
        WhisperTokenizer(damaged, SIZE, source="the file")


def test_a_tokenizer_that_is_not_whispers() -> None:
    with pytest.raises(ModelError, match=r"has no label <\|endoftext\|>"):
        WhisperTokenizer(content(added_tokens=[]), SIZE)
    for label in (SIZE, -1):
        with pytest.raises(ModelError, match=rf"suppresses labels \[{label}\], .* not among its"):
            tokenizer(suppress=(5, label))


def test_the_same_text_as_the_library() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    values = json.loads(content())
    merges = [
        ("l", "l"),
        ("ll", "l"),
        ("'", "t"),
        ("a", "a"),
        (SPACE, SPACE),
        ("0", "1"),
        ("h", "a"),
    ]
    pieces = values["model"]["vocab"] | {"".join(m): SIZE + n for n, m in enumerate(merges)}
    values["model"] |= {"vocab": pieces, "merges": [*MERGES, *merges]}
    theirs = tokenizers.Tokenizer.from_str(json.dumps(values))
    some = WhisperTokenizer(json.dumps(values), SIZE + len(merges))
    cased = "he'll isn't 'tis 've’s lllll aaa aaaa 0101a a01 _a_ ½² x² Ⅷ ǅ ªº é語🙂, ...!? ♪ "
    cased += "h\u0301a \xa0ha"
    generator = random.Random(3)
    texts = ["".join(generator.choices(cased, k=12)) for _ in range(200)]
    for text in ("hello, hello é語 ♪", "a  b", "it's 12:30", cased, *texts):
        labels = some.encode(text)
        written = " ".join(text.split())
        assert labels == (theirs.encode(" " + written).ids if written else [])
        assert some.decode(labels) == written


def test_a_tokenizer_that_cuts_text_in_another_way() -> None:
    model = json.loads(content())["model"]
    missing = {"merges": [["a", "b"]]}
    for changes in (
        {"pre_tokenizer": None},
        {"normalizer": {"type": "NFC"}},
        {"model": model | missing},
        {"model": model | {"merges": None}},
        {"model": model | {"end_of_word_suffix": "</w>"}},
    ):
        some = WhisperTokenizer(content(**changes), SIZE, source="the file")
        assert some.decode([256 + 3]) == "hell"
        with pytest.raises(ModelError, match="the file: cannot be used to encode"):
            some.encode("hello")
