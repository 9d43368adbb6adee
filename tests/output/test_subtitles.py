"""Subtitles: what is promised of every cue, and what people would want of real ones."""

from __future__ import annotations

import html
import re
from itertools import accumulate, combinations, pairwise

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.config import parse
from asr.errors import ConfigError
from asr.output import SubtitleConfig, render
from asr.output.cues import PAUSE_COST, CueWord, _allowed, _cost, _cut, balanced, cues
from asr.types import Segment, Transcript, Word
from tests.output.transcripts import SILENT, shown_cues, transcripts

configs = st.builds(
    SubtitleConfig,
    line_chars=st.sampled_from((8, 20, 42)),
    lines=st.integers(1, 3),
    max_seconds=st.sampled_from((1.0, 2.5, 7.0)),
    min_seconds=st.sampled_from((0.0, 1.0)),
    pause_seconds=st.sampled_from((0.2, 1.0, 100.0)),
)


def spoken(text: str, *, start: float = 0.0, each: float = 0.3, pauses: str = "|") -> Segment:
    """A segment whose words take `each` seconds; a `|` is a pause of half a second."""
    words, now = [], start
    for part in text.split():
        if part == pauses:
            now += 0.5
        else:
            words.append(Word(part, now, now + each))
            now += each
    return Segment(" ".join(word.text for word in words), start, now, tuple(words))


def lines_of(*segments: Segment, **choices: object) -> list[str]:
    transcript = Transcript(segments, segments[-1].end, "talk.wav")
    config = SubtitleConfig.model_validate(choices)
    return ["/".join(cue.texts()) for cue in cues(transcript, config)]


@given(transcripts(), configs)
def test_every_cue_keeps_to_the_limits(transcript: Transcript, config: SubtitleConfig) -> None:
    found = cues(transcript, config)
    for cue in found:
        assert 0 < cue.end - cue.start <= max(1, round(1000 * config.max_seconds))
        assert 1 <= len(cue.lines) <= config.lines
        assert all(0 < len(line) <= config.line_chars for line in cue.texts())
    for cue, following in pairwise(found):
        assert cue.end <= following.start
    written = "".join("".join(cue.texts()) for cue in found)
    assert written.replace(" ", "") == transcript.text.replace(" ", "")


@given(transcripts(), configs)
def test_a_cue_that_cannot_be_read_in_time_has_no_room_left(
    transcript: Transcript, config: SubtitleConfig
) -> None:
    for cue, following in pairwise(cues(transcript, config)):
        needed = max(config.min_seconds, len(" ".join(cue.texts())) / config.chars_per_second)
        room = min((following.start - cue.start) / 1000, config.max_seconds)
        assert (cue.end - cue.start) / 1000 >= min(needed, room) - 0.001


@given(transcripts(), st.booleans())
def test_files_hold_the_cues(transcript: Transcript, highlight: bool) -> None:
    config = SubtitleConfig(highlight_words=highlight)
    expected = [
        (cue.start / 1000, cue.end / 1000, list(cue.texts())) for cue in cues(transcript, config)
    ]
    assert shown_cues(render(transcript, "srt", subtitles=config), ",") == expected
    written = shown_cues(render(transcript, "vtt", subtitles=config), ".")
    for _, _, lines in written:
        assert all(
            "-->" not in line and "<" not in line.replace("<u>", "").replace("</u>", "")
            for line in lines
        )
    plain = [
        (start, end, [html.unescape(re.sub("</?u>", "", line)) for line in lines])
        for start, end, lines in written
    ]
    if not highlight:
        assert plain == expected
        return
    # Cues of one word each, that follow each other: together they are the cues without marks.
    marked = [re.findall("<u>(.*?)</u>", "\n".join(lines)) for _, _, lines in written]
    assert all(len(one) == 1 for one in marked)
    assert "".join(html.unescape(one[0]) for one in marked) == transcript.text.replace(" ", "")
    assert all(one[1] <= other[0] and one[0] < one[1] for one, other in pairwise(plain))
    assert {start for start, _, _ in expected} <= {start for start, _, _ in plain}
    assert {end for _, end, _ in expected} <= {end for _, end, _ in plain}
    assert [one for one in expected if one[2] not in [lines for _, _, lines in plain]] == []


def test_pysubs2_reads_what_is_written() -> None:
    text = "well i think that it is rather late | but you may come in all the same | can you"
    transcript = Transcript((spoken(text), spoken("naïve “café”", start=30)), 40.0, "a.wav")
    config = SubtitleConfig()
    expected = [(one.start, one.end, "\\N".join(one.texts())) for one in cues(transcript, config)]
    for name in ("srt", "vtt"):
        read = pysubs2.SSAFile.from_string(render(transcript, name), format_=name)
        assert [(event.start, event.end, event.text) for event in read] == expected
    assert len(expected) >= 3


def test_cuts_are_at_pauses_and_stops_and_lines_are_even() -> None:
    text = "we could not see them from the road so we went on | until the farmer came to us"
    assert lines_of(spoken(text)) == [
        "we could not see them from/the road so we went on",
        "until the farmer came to us",
    ]
    stop = "we could not see them from the road. so we went on until the farmer came to us"
    assert lines_of(spoken(stop)) == [
        "we could not see them from the road./so we went on until the farmer came to us"
    ]
    even = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    first, second = lines_of(spoken(even, each=0.2), lines=1)
    assert abs(len(first) - len(second)) <= 8


@given(
    st.lists(st.tuples(st.text("ab,.", min_size=1, max_size=5), st.integers(0, 900)), max_size=7),
    st.sampled_from((8, 12)),
)
def test_no_other_cuts_cost_less(words: list[tuple[str, int]], line_chars: int) -> None:
    config = SubtitleConfig(line_chars=line_chars, lines=2, max_seconds=3)
    pieces, now = [], 0
    for text, pause in words:
        pieces.append(CueWord(text, now, now + 300))
        now += 300 + pause

    def cost(places: tuple[int, ...]) -> float:
        total = 0.0
        for first, last in pairwise(places):
            allowed = {end: rest for end, *rest in _allowed(pieces, first, config)}
            if last not in allowed:
                return float("inf")
            characters, pauses = allowed[last]
            total += _cost(pieces, first, last, characters, config) + PAUSE_COST * pauses
        return total

    count = len(pieces)
    ways = [
        (0, *inner, count) for size in range(count) for inner in combinations(range(1, count), size)
    ]
    found = list(_cut(pieces, config)) if pieces else []
    assert [piece for part in found for piece in part] == pieces
    if pieces:
        places = (0, *accumulate(len(part) for part in found))
        assert cost(places) == pytest.approx(min(map(cost, ways)))


@given(st.lists(st.text("ab", min_size=1, max_size=7), min_size=1, max_size=8))
def test_no_other_lines_are_more_even(words: list[str]) -> None:
    pieces = [CueWord(word, 300 * place, 300 * place + 300) for place, word in enumerate(words)]
    best = min(
        (len(lines), sum(len(line) ** 2 for line in lines))
        for size in range(len(words))
        for inner in combinations(range(1, len(words)), size)
        for lines in [[" ".join(words[a:b]) for a, b in pairwise((0, *inner, len(words)))]]
        if max(map(len, lines)) <= 12
    )
    found = [" ".join(piece.text for piece in line) for line in balanced(pieces, 12)]
    assert (len(found), sum(len(line) ** 2 for line in found)) == best


def test_a_long_pause_and_a_new_segment_end_a_cue() -> None:
    assert lines_of(spoken("one | | | two three")) == ["one", "two three"]
    assert lines_of(spoken("one | | | two"), pause_seconds=2) == ["one two"]
    assert lines_of(spoken("one two"), spoken("three", start=0.6)) == ["one two", "three"]


def test_short_words_stay_until_they_are_read() -> None:
    alone = Transcript((spoken("yes", each=0.2), spoken("no", start=0.7, each=0.2)), 5.0, "a")
    assert [(one.start, one.end) for one in cues(alone, SubtitleConfig())] == [
        (0, 700),
        (700, 1700),
    ]


def test_nothing_is_shown_for_longer_than_allowed() -> None:
    slow = Transcript((spoken("a", each=60.0),), 60.0, "a")
    [cue] = cues(slow, SubtitleConfig(max_seconds=5))
    assert (cue.start, cue.end) == (0, 5000)


def test_words_without_times_share_the_time_of_their_segment() -> None:
    untimed = Transcript((Segment("abcd " * 30, 10.0, 40.0),), 40.0, "a")
    found = cues(untimed, SubtitleConfig())
    assert found[0].start == 10_000
    assert found[-1].end == 40_000
    assert max(one.end - one.start for one in found) <= 7000
    assert all(one.end == other.start for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("aaaa", "bbbb", "cc"), (("aaaa",), ("bbbb", "cc"))),
        (("aa", "bb", "cc"), (("aa", "bb", "cc"),)),
        (("a", "bbbbbbbbbb", "c"), (("a",), ("bbbbbbbbbb",), ("c",))),
    ],
)
def test_lines_are_few_and_even(words: tuple[str, ...], lines: tuple[tuple[str, ...]]) -> None:
    found = balanced([CueWord(word, 0, 1) for word in words], 10)
    assert tuple(tuple(piece.text for piece in line) for line in found) == lines


def test_past_ninety_nine_hours() -> None:
    late = Transcript((spoken("late", start=360_000.25),), 360_001.0, "a")
    assert "100:00:00,250 --> " in render(late, "srt")
    assert "100:00:00.250 --> " in render(late, "vtt")


def test_what_vtt_takes_for_syntax_is_escaped() -> None:
    odd = Transcript((spoken("a<b> & --> c"),), 2.0, "a")
    assert "a&lt;b&gt; &amp; --&gt; c\n" in render(odd, "vtt")
    highlighted = render(odd, "vtt", subtitles=SubtitleConfig(highlight_words=True))
    assert "<u>a&lt;b&gt;</u> &amp; --&gt; c\n" in highlighted
    assert highlighted.count("-->") == 4


def test_nothing_said_gives_valid_empty_files() -> None:
    assert render(SILENT, "srt") == ""
    assert render(SILENT, "vtt") == "WEBVTT\n\n"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"line_char": 20}, "did you mean 'line_chars'?"),
        ({"line_chars": 3}, "must be at least 8"),
        ({"lines": 1.5}, "must be a whole number"),
        ({"min_seconds": 8}, "min_seconds (8) is more than max_seconds (7): lower it"),
    ],
)
def test_limits_that_make_no_sense_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse(SubtitleConfig, values, "--subtitles")
