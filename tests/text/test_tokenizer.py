"""What holds for every tokenizer, whatever is inside."""

from __future__ import annotations

import json
import pickle
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import ConfigError, ManifestError, ModelError, OutputError
from asr.text import UNKNOWN_MARK, Tokenizer, TokenizerConfig, load_tokenizer, train_tokenizer
from asr.text.special_labels import BLANK, END, UNKNOWN

TEXTS = [
    "she sells sea shells by the sea shore",
    "the shells she sells are surely sea shells",
    "so if she sells shells on the sea shore",
    "i'm sure she sells sea shore shells",
    "how much wood would a woodchuck chuck",
    "if a woodchuck could chuck wood it's said he would",
    "peter piper picked a peck of pickled peppers",
    "betty bought some butter but the butter was bitter",
    "the quick brown fox jumps over the lazy dog",
]
TYPES = ("unigram", "bpe", "char")
SIZES = {"unigram": 60, "bpe": 90, "char": 40}
words = st.lists(st.text("abcdefghijklmnopqrstuvwxyz'", min_size=1, max_size=8), max_size=6)


def config_of(kind: str, **values: object) -> TokenizerConfig:
    return TokenizerConfig(**{"type": kind, "size": SIZES[kind], **values})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {kind: tmp_path_factory.mktemp(kind) for kind in TYPES}
    for kind, folder in made.items():
        train_tokenizer(TEXTS, config_of(kind), folder)
    return made


@pytest.fixture(scope="module", params=TYPES)
def tokenizer(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Tokenizer:
    return load_tokenizer(folders[request.param])


def test_special_labels_are_the_same_everywhere(tokenizer: Tokenizer) -> None:
    assert (BLANK, UNKNOWN, END) == (0, 1, 2)  # models that were saved rely on it
    assert [tokenizer.piece(i) for i in range(3)] == ["<blank>", "<unk>", "<eos>"]


@given(words)
def test_decode_undoes_encode(tokenizer: Tokenizer, parts: list[str]) -> None:
    text = " ".join(parts)
    for sample in (False, random.Random(0)):
        ids = tokenizer.encode(text, sample=sample)
        assert all(UNKNOWN < token < tokenizer.size and token != END for token in ids)
        assert tokenizer.decode(ids) == text


@given(words)
def test_pieces_spell_the_text_with_a_mark_where_words_start(
    tokenizer: Tokenizer, parts: list[str]
) -> None:
    text = " ".join(parts)
    spelled = "".join(map(tokenizer.piece, tokenizer.encode(text)))
    assert spelled.removeprefix("▁") == text.replace(" ", "▁")


def test_spaces_are_counted_once(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("  the   sea ") == tokenizer.encode("the sea")
    assert tokenizer.encode("  the   sea ", random.Random(1)) == tokenizer.encode(
        "the sea", random.Random(1)
    )
    assert tokenizer.encode("") == tokenizer.encode("  ") == []


def test_blank_and_end_write_nothing(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("the sea")
    strewn = [BLANK, END, *(token for one in ids for token in (one, BLANK)), END]
    assert tokenizer.decode(strewn) == "the sea"
    assert tokenizer.decode([BLANK, END]) == tokenizer.decode([]) == ""


def test_names_of_special_labels_are_plain_text(tokenizer: Tokenizer) -> None:
    for text in ("<blank>", "<eos>", "<unk>"):
        assert not {BLANK, END} & set(tokenizer.encode(text))
        assert not {BLANK, END} & set(tokenizer.encode(text, sample=True))


def test_unknown_characters_are_visible_and_counted(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("the éea 漢")
    assert UNKNOWN in ids
    assert tokenizer.decode(ids) == f"the {UNKNOWN_MARK}ea {UNKNOWN_MARK}"
    assert tokenizer.encode("the éea 漢", sample=random.Random(0)).count(UNKNOWN) == 2
    assert tokenizer.unknown("éa 漢é the sea") == Counter({"é": 2, "漢": 1})
    assert tokenizer.unknown("the sea") == Counter()
    assert tokenizer.unknown("") == Counter()


def test_labels_out_of_range_are_refused(tokenizer: Tokenizer) -> None:
    for call in (lambda: tokenizer.decode([tokenizer.size]), lambda: tokenizer.piece(-1)):
        with pytest.raises(ModelError, match="is not one of its"):
            call()


def test_copies_in_other_processes_are_the_same(tokenizer: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    for text in TEXTS:
        assert copy.encode(text) == tokenizer.encode(text)
        assert copy.encode(text, sample=True) == tokenizer.encode(text, sample=True)


@pytest.mark.parametrize("kind", TYPES)
def test_training_twice_gives_the_same_file(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    trained = train_tokenizer(iter([*TEXTS, "", "  "]), config_of(kind), tmp_path / "deep" / "down")
    (again,) = (tmp_path / "deep" / "down").iterdir()
    assert again.read_bytes() == (folders[kind] / again.name).read_bytes()
    assert again == trained.save(tmp_path / "deep" / "down")


@pytest.mark.parametrize("kind", TYPES)
def test_size_is_what_was_asked_for(kind: str, folders: dict[str, Path]) -> None:
    letters = len(set("".join(TEXTS)))
    assert load_tokenizer(folders[kind]).size == (SIZES[kind] if kind != "char" else letters + 3)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_size_too_large_names_the_largest(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"size 5000 is too large .* set size to \d+") as caught:
        train_tokenizer(TEXTS, config_of(kind, size=5000), tmp_path)
    largest = int(str(caught.value).split("set size to ")[1].split()[0])
    assert train_tokenizer(TEXTS, config_of(kind, size=largest), tmp_path).size == largest
    with pytest.raises(ConfigError, match="too large"):
        train_tokenizer(TEXTS, config_of(kind, size=largest + 1), tmp_path)


@pytest.mark.parametrize("kind", TYPES)
def test_size_too_small_names_the_smallest(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"size 10 is too small .* set size to \d+") as caught:
        train_tokenizer(TEXTS, config_of(kind, size=10), tmp_path)
    assert list(tmp_path.iterdir()) == []
    smallest = int(str(caught.value).split("set size to ")[1].split()[0])
    trained = train_tokenizer(TEXTS, config_of(kind, size=smallest), tmp_path)
    assert trained.size == smallest
    assert not trained.unknown(" ".join(TEXTS))


@pytest.mark.parametrize("kind", TYPES)
def test_rare_characters_can_be_left_out(kind: str, tmp_path: Path) -> None:
    texts = [*TEXTS * 20, "qé"]
    everything = train_tokenizer(texts, config_of(kind), tmp_path / "all")
    assert not everything.unknown("é")
    some = train_tokenizer(texts, config_of(kind, character_coverage=0.9995), tmp_path / "some")
    assert some.unknown("the é") == Counter("é")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("texts", [[], ["", " \n"]])
def test_no_text_is_an_error(kind: str, texts: list[str], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no text to train on"):
        train_tokenizer(texts, config_of(kind), tmp_path)


def test_characters_that_the_tokenizer_needs_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="remove them"):
        train_tokenizer(["a ▁ b"], config_of("unigram"), tmp_path)


def test_folder_that_cannot_be_written(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        tokenizer.save(tmp_path / "file")


def damaged(change: Callable[[bytes], bytes], folder: Path, name: str, target: Path) -> Path:
    (target / name).write_bytes(change((folder / name).read_bytes()))
    return target


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", TYPES)
def test_truncated_file_is_named(
    part: float, kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    (file,) = folders[kind].iterdir()
    damaged(lambda all_: all_[: int(part * len(all_))], folders[kind], file.name, tmp_path)
    with pytest.raises(ModelError, match=f"{tmp_path / file.name}: .*damaged"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "char", "version": 2, "symbols": ["a"]},
        {"type": "words", "version": 1, "symbols": ["a"]},
        {"type": "char", "version": 1, "symbols": ["ab"]},
        {"type": "char", "version": 1, "symbols": ["a", "a"]},
        {"type": "char", "version": 1, "symbols": [1]},
        {"type": "char", "version": 1, "symbols": 5},
        {"type": "char", "version": 1},
        ["a"],
        5,
    ],
)
def test_other_json_is_no_tokenizer(content: object, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"tokenizer\.json: not a character tokenizer"):
        load_tokenizer(tmp_path)


def test_foreign_sentencepiece_model_is_refused(tmp_path: Path) -> None:
    import sentencepiece

    with (tmp_path / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS), model_writer=file, vocab_size=60, minloglevel=2
        )
    with pytest.raises(ModelError, match=r"tokenizer\.model: .* special labels are not ours"):
        load_tokenizer(tmp_path)


def test_exactly_one_file_is_needed(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no tokenizer\.model, tokenizer\.json or whisper_"):
        load_tokenizer(tmp_path)
    for kind in ("bpe", "char"):
        load_tokenizer(folders[kind]).save(tmp_path)
    with pytest.raises(ModelError, match="has several of"):
        load_tokenizer(tmp_path)
