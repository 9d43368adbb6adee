"""Segmentation of subtitles: words to cues, and the words of a cue to lines.

A cue holds words of one segment with no long pause between them. Among all ways to cut such a
stretch that keep to the limits, the one with the least cost is taken (a shortest path): few cues,
of even length, cut where the speaker pauses or the text has a comma or a stop, each with time to
be read. Lines of a cue are as even as they can be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asr.output.options import SubtitleConfig
from asr.output.times import milliseconds_apart, one_line, words_with_times
from asr.types import Segment, Transcript, Word

#: What a cut costs where nobody pauses and no sentence ends; a cue costs 1.
CUT_COST = 1.0
#: What a pause within a cue costs.
PAUSE_COST = 0.7
#: How uneven two lines may get for a line to end at a pause: half the square of ten letters.
LINE_BONUS = 50.0
#: A pause so long, in ms, costs nothing to cut at.
EASY_PAUSE = 400
STOPS, COMMAS = ".?!…。？！", ",;:—、，；："


@dataclass(frozen=True)
class CueWord:
    """A word, or a part of one that is longer than a line; times in milliseconds."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Cue:
    """What is shown from `start` to `end`, in milliseconds; pieces stand in `lines` in order."""

    start: int
    end: int
    lines: tuple[tuple[CueWord, ...], ...]

    def texts(self) -> tuple[str, ...]:
        """The lines as text."""
        return tuple(" ".join(piece.text for piece in line) for line in self.lines)


def cues(transcript: Transcript, config: SubtitleConfig) -> list[Cue]:
    """Cuts a transcript into cues that follow each other and never overlap.

    Where the words of a segment have no times, they share its time by their letters.
    """
    parts = [
        cut for stretch in _stretches(transcript.segments, config) for cut in _cut(stretch, config)
    ]
    starts = [part[0].start for part in parts]
    last = max([round(1000 * transcript.duration), *(part[-1].end for part in parts)], default=0)
    return [
        Cue(part[0].start, _end(part, following, config), balanced(part, config.line_chars))
        for part, following in zip(parts, [*starts, last][1:], strict=True)
    ]


def _stretches(segments: Sequence[Segment], config: SubtitleConfig) -> Iterator[list[CueWord]]:
    """The pieces of all segments, cut where a segment ends and at long pauses."""
    owned = [
        (number, word)
        for number, segment in enumerate(segments)
        for whole in words_with_times(segment)
        for word in _short(whole, config.line_chars)
    ]
    times = milliseconds_apart([(word.start, word.end) for _, word in owned])
    open_: list[CueWord] = []
    before = -1
    for (number, word), (start, end) in zip(owned, times, strict=True):
        paused = open_ and start - open_[-1].end >= 1000 * config.pause_seconds
        if open_ and (number != before or paused):
            yield open_
            open_ = []
        open_.append(CueWord(word.text, start, end))
        before = number
    if open_:
        yield open_


def _short(word: Word, most: int) -> Iterator[Word]:
    """A word, in parts that fill a line where it is longer than one (a script without spaces)."""
    text = one_line(word.text)
    each = (word.end - word.start) / max(1, len(text))
    for first in range(0, len(text), most):
        part = text[first : first + most]
        start = word.start + each * first
        yield Word(part, start, min(word.end, start + each * len(part)))


def _cut(pieces: list[CueWord], config: SubtitleConfig) -> Iterator[list[CueWord]]:
    """The cuts of a stretch with the least cost in all."""
    count = len(pieces)
    costs = [0.0] + [math.inf] * count  # of the best cuts of what is before each piece
    begins = [0] * (count + 1)  # where the last cue of them begins
    for first in range(count):
        for last, characters, pauses in _allowed(pieces, first, config):
            cost = costs[first] + _cost(pieces, first, last, characters, config)
            cost += PAUSE_COST * pauses
            if cost < costs[last]:
                costs[last], begins[last] = cost, first
    places = [count]
    while places[-1]:
        places.append(begins[places[-1]])
    for first, last in itertools.pairwise(reversed(places)):
        yield pieces[first:last]


def _allowed(
    pieces: list[CueWord], first: int, config: SubtitleConfig
) -> Iterator[tuple[int, int, float]]:
    """Where a cue may end that begins with piece `first`.

    Yields the place behind its last piece, its characters, and how much it pauses within.
    """
    lines, room, characters, pauses = 0, 0, 0, 0.0
    for last in range(first + 1, len(pieces) + 1):
        piece = pieces[last - 1]
        needed = len(piece.text) + 1
        if needed > room:
            lines, room = lines + 1, config.line_chars + 1
        room -= needed
        characters += needed
        long = piece.end - pieces[first].start > 1000 * config.max_seconds
        if last > first + 1:
            if lines > config.lines or long:
                return
            pauses += _pause(pieces[last - 2], piece)
        yield last, characters - 1, pauses


def _cost(
    pieces: list[CueWord], first: int, last: int, characters: int, config: SubtitleConfig
) -> float:
    """What it costs to show the pieces `first` to before `last` as one cue, but for its pauses."""
    full = characters / (config.lines * config.line_chars)
    cost = 1.0 + full**2
    if last == len(pieces):
        return cost
    cost += CUT_COST * (1 - _ease(pieces[last - 1], pieces[last]))
    # Of the time that it takes to read, how much is missing?
    needed = max(config.min_seconds, characters / config.chars_per_second)
    seconds = (pieces[last].start - pieces[first].start) / 1000
    return cost + max(0.0, needed - seconds) / max(needed, 1e-3)


def _pause(piece: CueWord, following: CueWord) -> float:
    """How long the pause between two pieces is, as a part of an easy one, at most 1."""
    return min(1.0, (following.start - piece.end) / EASY_PAUSE)


def _ease(piece: CueWord, following: CueWord) -> float:
    """How well text is cut between two pieces, in 0..1."""
    mark = 1.0 if piece.text[-1] in STOPS else 0.7 if piece.text[-1] in COMMAS else 0.0
    return max(mark, _pause(piece, following))


def _end(pieces: list[CueWord], following: int, config: SubtitleConfig) -> int:
    """When a cue disappears: when it is said and read, at the latest when the next one comes."""
    start, spoken_end = pieces[0].start, pieces[-1].end
    characters = sum(len(piece.text) + 1 for piece in pieces) - 1
    needed = max(config.min_seconds, characters / config.chars_per_second)
    wanted = max(spoken_end, start + math.ceil(1000 * needed))
    latest = min(following, start + max(1, math.floor(1000 * config.max_seconds)))
    return min(wanted, latest)


def balanced(pieces: Sequence[CueWord], most: int) -> tuple[tuple[CueWord, ...], ...]:
    """Pieces as the fewest lines of at most so many characters, as even as they can be.

    Of all cuts to that number of lines the one with the least sum of squared lengths, where a cut
    at a pause or a stop counts less.
    """
    count = len(pieces)
    best: list[tuple[float, float, int]] = [(0, 0.0, 0)]  # lines, squares, begin of the last line
    for last in range(1, count + 1):
        choices, length = list[tuple[float, float, int]](), -1
        for first in range(last - 1, -1, -1):
            length += len(pieces[first].text) + 1
            if length > most and choices:
                break
            lines, squares, _ = best[first]
            ease = LINE_BONUS * _ease(pieces[first - 1], pieces[first]) if first else 0.0
            choices.append((lines + 1, squares + length**2 - ease, first))
        best.append(min(choices))
    places = [count]
    while places[-1]:
        places.append(best[places[-1]][2])
    cuts = itertools.pairwise(reversed(places))
    return tuple(tuple(pieces[first:last]) for first, last in cuts)
