from __future__ import annotations

import os
from pathlib import Path

import pytest

from asr.errors import AsrError, ManifestError
from asr.transcribe.files.jobs import STDIN, Input, check_corpora, find_inputs, missing

ENDINGS = (".wav", ".mp3")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.wav", "A.MP3", "notes.txt", ".hidden.wav", "2020/c.wav", "2020/deep/d.mp3"):
        path = tmp_path / "talks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "talks"


def found(*arguments: str, recursive: bool = False) -> list[str]:
    """Source -> output of each input, or the message of an error."""
    items = find_inputs(arguments, ENDINGS, recursive)
    return [
        str(item) if isinstance(item, AsrError) else f"{item.source} -> {item.output}"
        for item in items
    ]


def test_a_file_is_itself_whatever_its_name(folder: Path) -> None:
    assert found("talks/notes.txt", "nowhere.xyz") == [
        "talks/notes.txt -> notes",
        "nowhere.xyz -> nowhere",
    ]


def test_a_folder_is_its_recordings_in_order(folder: Path) -> None:
    assert found("talks") == ["talks/A.MP3 -> A", "talks/b.wav -> b"]


def test_recursive_keeps_the_folders_in_between(folder: Path) -> None:
    assert found("talks", recursive=True) == [
        "talks/2020/c.wav -> 2020/c",
        "talks/2020/deep/d.mp3 -> 2020/deep/d",
        "talks/A.MP3 -> A",
        "talks/b.wav -> b",
    ]


def test_patterns_are_expanded(folder: Path) -> None:
    assert found("talks/*.wav") == ["talks/b.wav -> b"]
    assert found("talks/**/*.wav") == ["talks/2020/c.wav -> c", "talks/b.wav -> b"]
    assert found("talks/20*") == ["talks/2020/c.wav -> c"]
    assert found("talks/[xyz]*") == ["talks/[xyz]*: no file matches this pattern"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(folder: Path) -> None:
    (folder / "what[1].wav").write_text("")
    assert found("talks/what[1].wav") == ["talks/what[1].wav -> what[1]"]


def test_a_folder_without_recordings_says_what_it_has(folder: Path) -> None:
    empty = folder / "empty"
    empty.mkdir()
    (empty / ".hidden").write_text("")
    said = "talks/empty: no audio in this folder: it is empty"
    assert found("talks/empty") == found("talks/empty", recursive=True) == [said]
    (empty / "more").mkdir()
    assert found("talks/empty") == [
        "talks/empty: no audio in this folder: it has only folders; "
        "add --recursive to look into the folders in it"
    ]
    for name in "a.a", "b.a", "c.b", "d.c", "e.d", "f.e", "g.f":
        (empty / name).write_text("")
    assert found("talks/empty", recursive=True) == [
        "talks/empty: no audio in this folder: it has 7 other files (.a, .b, .c, .d, .e, ...); "
        "name a file to have it read whatever its ending"
    ]


def test_a_url_keeps_its_slashes_and_says_what_to_do(folder: Path) -> None:
    for url in "https://example.com/a.mp3?x=[1]", "s3://bucket/a.mp3":
        said = (
            f"{url}: a URL, and recordings are read from files; download it first, or pipe it: "
            f"curl -L '{url}' | asr transcribe -"
        )
        assert found(url) == [said]
        assert str(missing(Path(url))) == said
    assert str(missing(Path("C:/talks/a.mp3"))) == "C:/talks/a.mp3: no such file; check the path"
    with pytest.raises(ManifestError, match="s3://bucket/a: a URL, and corpora are files"):
        check_corpora(Path("s3://bucket/a"))


def test_a_link_that_leads_back_is_an_error_and_the_rest_is_found(folder: Path) -> None:
    (folder / "2020" / "back").symlink_to(folder)
    items = found("talks", recursive=True)
    assert items[0].startswith("talks/2020/back: a link back to a folder that it is in")
    assert items[1:] == [
        "talks/2020/c.wav -> 2020/c",
        "talks/2020/deep/d.mp3 -> 2020/deep/d",
        "talks/A.MP3 -> A",
        "talks/b.wav -> b",
    ]
    assert found("talks/**/c.wav") == ["talks/2020/c.wav -> c"]


def test_a_link_to_another_folder_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more").symlink_to(folder / "2020")
    assert found("more") == ["more/c.wav -> c"]


def test_a_link_to_itself_is_passed_on_as_a_file(folder: Path) -> None:
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    assert "talks/loop.wav -> loop" in found("talks")


def test_a_pipe_in_a_folder_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.wav")
    items = found("talks")
    assert "talks/b.wav -> b" in items
    assert [one for one in items if one.startswith("talks/pipe.wav: a pipe, socket or device")]
    assert found("talks/pipe.wav") == ["talks/pipe.wav -> pipe"]


def test_standard_input_is_not_a_file_of_that_name(folder: Path) -> None:
    [item] = find_inputs(["-"], ENDINGS, False)
    assert isinstance(item, Input)
    assert item.source == STDIN
    assert item.label == "standard input"
    [item] = find_inputs(["./-"], ENDINGS, False)
    assert isinstance(item, Input)
    assert item.source == Path("-")
