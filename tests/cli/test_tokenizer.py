from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr.cli.console import DONE, SOME_FAILED, WRONG_CALL
from asr.text import load_tokenizer
from tests.cli.conftest import Run

TEXT = "She sells sea-shells, by the sea shore!\nThe shells she sells: 21 sea shells.\n\n" * 3


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


@pytest.mark.parametrize(("kind", "size"), [("unigram", 23), ("bpe", 40), ("char", 99)])
def test_trains_and_reports(run: Run, text: Path, tmp_path: Path, kind: str, size: int) -> None:
    done = run("tokenizer", "--type", kind, "--size", size, "-o", tmp_path / "out", text)
    assert done.exit_code == DONE, done.stderr
    assert done.stderr == ""
    trained = load_tokenizer(tmp_path / "out")
    assert f"labels      {trained.size} ({kind})" in done.stdout
    assert "texts       6, and 0 empty" in done.stdout
    assert "not written nothing" in done.stdout
    assert not trained.unknown("twenty one sea shells")  # normalised
    assert trained.unknown("S!2") == {"S": 1, "!": 1, "2": 1}


def test_manifests_and_texts_together(run: Run, text: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(json.dumps({"text": t}) + "\n" for t in ("Zoo", "...")))
    done = run("tokenizer", "--type", "char", "-o", tmp_path / "out", text, manifest)
    assert "texts       7, and 1 empty" in done.stdout
    assert not load_tokenizer(tmp_path / "out").unknown("zoo")


def test_texts_as_they_are(run: Run, text: Path, tmp_path: Path) -> None:
    run("tokenizer", "--type", "char", "--no-normalize", "-o", tmp_path / "out", text)
    assert not load_tokenizer(tmp_path / "out").unknown("S!2")


def test_sections_of_a_recipe_with_options_on_top(run: Run, text: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "model: {}\ntokenizer: {type: char, size: 4}\nnormalizer: {lowercase: false}\n"
    )
    done = run("tokenizer", "--config", recipe, "-o", tmp_path / "out", text)
    assert "size 4 is too small" in done.stderr
    done = run("tokenizer", "--config", recipe, "--size", 90, "-o", tmp_path / "out", text)
    assert done.exit_code == DONE
    assert not load_tokenizer(tmp_path / "out").unknown("S")


def test_what_cannot_be_written_is_listed(run: Run, text: Path, tmp_path: Path) -> None:
    text.write_text(TEXT * 200 + "xé\n")
    done = run(
        "tokenizer", "--type", "char", "--character-coverage", 0.9999, "-o", tmp_path / "o", text
    )
    assert "not written 2 characters: 'x' 1, 'é' 1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--size", 5000], WRONG_CALL, "size 5000 is too large for this little text; set size to"),
        (["--size", 2], WRONG_CALL, "key 'size'"),
        (["--type", "word"], WRONG_CALL, "key 'type': must be 'unigram', 'bpe' or 'char'"),
        (["--config", "none.yaml"], WRONG_CALL, "none.yaml: cannot be read"),
        (["none.txt"], SOME_FAILED, "none.txt: cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, text: Path, tmp_path: Path, arguments: list[object], status: int, message: str
) -> None:
    done = run("tokenizer", "-o", tmp_path / "out", text, *arguments)
    assert done.exit_code == status
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tokenizer: {tipe: char}", "unknown key 'tipe', did you mean 'type'?"),
        ("tokenizer: some/folder", "needs a section 'tokenizer' or 'normalizer'"),
        ("[1, 2]", "holds no keys and values"),
        ("a: [", "not YAML"),
    ],
)
def test_wrong_recipe_is_named(
    run: Run, text: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "r.yaml").write_text(content)
    done = run("tokenizer", "--config", tmp_path / "r.yaml", "-o", tmp_path / "out", text)
    assert done.exit_code == WRONG_CALL
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_empty_text_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("...\n")
    done = run("tokenizer", "-o", tmp_path / "out", tmp_path / "empty.txt")
    assert done.exit_code == SOME_FAILED
    assert "no text to train on" in done.stderr
