"""Columns of a corpus with other names than ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from asr.cli.main import program
from asr.config import parse
from asr.data.columns import parse_columns, renamed
from asr.data.config import DataConfig
from asr.data.corpus import load_corpus
from asr.data.manifest import read_manifest
from asr.data.utterance import text_of
from asr.errors import ConfigError, ManifestError
from tests.data.sound import write

COMMON_VOICE = {"audio_filepath": "clips/{path}", "text": "sentence", "speaker": "client_id"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """`validated.tsv` as Common Voice has it, and its clip."""
    (tmp_path / "clips").mkdir()
    write(tmp_path / "clips" / "a.wav", 1.0)
    path = tmp_path / "validated.tsv"
    path.write_text("client_id\tpath\tsentence\tup_votes\nann\ta.wav\tgood morning\t2\n")
    return path


def test_a_table_of_common_voice_is_read(table: Path) -> None:
    (cut,) = read_manifest(table, columns=COMMON_VOICE)
    assert text_of(cut) == "good morning"
    assert cut.recording.sources[0].source == str(table.parent / "clips" / "a.wav")
    assert cut.supervisions[0].speaker == "ann"
    assert cut.custom == {"path": "a.wav", "up_votes": "2"}


def test_numbers_are_read_where_their_column_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    path.write_text("wav,text,length\na.wav,ab,2.5\n")
    (cut,) = read_manifest(path, columns={"audio_filepath": "wav", "duration": "length"})
    assert cut.duration == 2.5


def test_keys_of_json_lines_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(json.dumps({"wav": "a.wav", "words": "ab", "duration": 1}) + "\n")
    (cut,) = read_manifest(path, columns={"audio_filepath": "wav", "text": "words"})
    assert text_of(cut) == "ab"


def test_a_recipe_maps_them(table: Path) -> None:
    train = {"manifest": str(table), "columns": COMMON_VOICE}
    config = parse(DataConfig, {"train": train}, "recipe")
    assert [text_of(cut) for cut in load_corpus(config.train, config, True).cuts] == [
        "good morning"
    ]


def test_validate_maps_them(table: Path) -> None:
    columns = "audio_filepath=clips/{path},text=sentence"
    result = CliRunner().invoke(program, ["validate", str(table), "--columns", columns])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(program, ["validate", str(table), "--columns", "sentence"])
    assert result.exit_code == 2
    assert "write FIELD=COLUMN" in result.stderr


def test_the_refusal_says_how_to_map_them(table: Path) -> None:
    with pytest.raises(ManifestError, match="not among the columns") as caught:
        read_manifest(table)
    assert "--columns audio_filepath=path,text=sentence" in str(caught.value)
    assert "columns: {audio_filepath: path, text: sentence}" in str(caught.value)


def test_what_cannot_be_mapped_is_named(table: Path) -> None:
    with pytest.raises(ManifestError, match=r"tsv, line 2: no column 'words', .* for 'text' \(th"):
        read_manifest(table, columns={**COMMON_VOICE, "text": "words"})
    with pytest.raises(ManifestError, match="a folder, which has no columns"):
        read_manifest(table.parent, columns=COMMON_VOICE)


def test_two_columns_can_change_places() -> None:
    assert renamed({"a": 1, "b": 2}, {"a": "b", "b": "a"}, "line 1") == {"a": 2, "b": 1}


def test_columns_of_the_command_line() -> None:
    assert parse_columns("text = words, id=n") == {"text": "words", "id": "n"}
    for wrong in ("text", "text=", "=words", ""):
        with pytest.raises(ConfigError, match="write FIELD=COLUMN"):
            parse_columns(wrong)
