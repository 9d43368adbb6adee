"""TSV, CTM and TextGrid, read back."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from praatio import textgrid

from asr.errors import ConfigError
from asr.output import FORMATS, render
from asr.output.times import words_with_times
from asr.types import Segment, Transcript, Word
from tests.output.transcripts import SILENT, transcripts

TALK = Transcript(
    (
        Segment(
            'he "said" so',
            0.5,
            2.0,
            (Word("he", 0.5, 0.8, 0.9), Word('"said"', 0.8, 1.25, 0.5), Word("so", 1.5, 2.0)),
        ),
        Segment("", 2.0, 3.0),
        Segment("good bye", 3.0, 4.0),
    ),
    duration=5.0,
    source="/talks/my talk.v2.mp3",
)


def test_a_table_of_segments() -> None:
    assert render(TALK, "tsv").splitlines() == [
        "start\tend\ttext",
        '0.500\t2.000\the "said" so',
        "3.000\t4.000\tgood bye",
    ]
    assert render(SILENT, "tsv") == "start\tend\ttext\n"
    tabbed = Transcript((Segment("a\tb\nc", 0.0, 1.0),), 1.0, "a")
    assert render(tabbed, "tsv").splitlines()[1:] == ["0.000\t1.000\ta b c"]


def test_ctm_has_a_line_for_each_word() -> None:
    timed = Transcript(TALK.segments[:2], 5.0, TALK.source)
    assert render(timed, "ctm").splitlines() == [
        "my_talk.v2 1 0.500 0.300 he 0.9000",
        'my_talk.v2 1 0.800 0.450 "said" 0.5000',
        "my_talk.v2 1 1.500 0.500 so",
    ]
    assert render(SILENT, "ctm") == ""
    first, *_, last = render(TALK, "ctm").splitlines()
    assert first.startswith(";; ")
    assert "share the segment's time" in first
    assert last == "my_talk.v2 1 3.556 0.444 bye"


@pytest.mark.parametrize(
    ("source", "name"), [("-", "stdin"), (";;a.wav", "_;;a"), ("a\nb\u3000c.wav", "a_b_c")]
)
def test_ctm_names_are_one_field(source: str, name: str) -> None:
    one = Transcript((Segment("a", 0.0, 1.0, (Word("a", 0.0, 1.0),)),), 1.0, source)
    assert render(one, "ctm") == f"{name} 1 0.000 1.000 a\n"


@given(transcripts())
def test_rows_are_in_order_and_hold_every_word(transcript: Transcript) -> None:
    rows = [line.split() for line in render(transcript, "ctm").splitlines() if line[:2] != ";;"]
    assert [row[4] for row in rows] == [
        word.text for segment in transcript.segments for word in words_with_times(segment)
    ]
    times = [(round(float(row[2]), 3), round(float(row[3]), 3)) for row in rows]
    assert all(length > 0 for _, length in times)
    assert all(start + length <= other + 1e-6 for (start, length), (other, _) in pairwise(times))
    table = [line.split("\t") for line in render(transcript, "tsv").splitlines()[1:]]
    assert [row[2] for row in table] == [one.text for one in transcript.segments if one.text]
    assert all(float(row[0]) < float(row[1]) for row in table)
    assert all(float(row[1]) <= float(other[0]) for row, other in pairwise(table))


def read_grid(content: str, folder: Path) -> textgrid.Textgrid:
    path = folder / "one.TextGrid"
    path.write_text(content, encoding="utf-8")
    return textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")


def test_praatio_reads_the_tiers(tmp_path: Path) -> None:
    grid = read_grid(render(TALK, "TextGrid"), tmp_path)
    assert grid.tierNames == ("segments", "words")
    assert (grid.minTimestamp, grid.maxTimestamp) == (0, 5)
    assert [tuple(one) for one in grid.getTier("segments").entries] == [
        (0, 0.5, ""),
        (0.5, 2, 'he "said" so'),
        (2, 3, ""),
        (3, 4, "good bye"),
        (4, 5, ""),
    ]
    words = [tuple(one) for one in grid.getTier("words").entries if one.label]
    assert words == [(0.5, 0.8, "he"), (0.8, 1.25, '"said"'), (1.5, 2, "so")]


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_a_grid_of_nothing_has_a_length(tmp_path: Path, seconds: float) -> None:
    grid = read_grid(render(Transcript((), seconds, "a"), "TextGrid"), tmp_path)
    for name in ("segments", "words"):
        assert [one.label for one in grid.getTier(name).entries] == [""]


@given(transcripts())
def test_the_intervals_of_a_tier_meet(transcript: Transcript) -> None:
    lines = [line.strip() for line in render(transcript, "TextGrid").splitlines()]
    lengths = {line for line in lines if line.startswith("xmax")}
    end = max(float(line.removeprefix("xmax = ")) for line in lengths)
    tiers = "\n".join(lines).split("item [")[2:]
    words = [word for segment in transcript.segments for word in segment.words]
    for tier, parts in zip(
        tiers, ([one for one in transcript.segments if one.text], words), strict=True
    ):
        body = tier.split("intervals [")[1:]
        values = [[line.split(" = ", 1)[1] for line in one.split("\n")[1:4]] for one in body]
        times = [(float(low), float(high)) for low, high, _ in values]
        assert times[0][0] == 0
        assert times[-1][1] == end
        assert all(low < high for low, high in times)
        assert all(one[1] == other[0] for one, other in pairwise(times))
        texts = [text[1:-1].replace('""', '"') for _, _, text in values]
        assert [text for text in texts if text] == [part.text for part in parts]


def test_a_format_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=f"'doc': there are {', '.join(FORMATS)}"):
        render(TALK, "doc")
