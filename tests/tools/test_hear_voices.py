"""Which utterances are heard, and how voices are told apart."""

from __future__ import annotations

from asr.evaluate.corpus import ReferenceUtterance
from asr.evaluate.error_rate import score
from tools.hear_voices import sample, table


def test_every_voice_is_heard_and_no_more_than_asked_for():
    speakers = ["flite:slt"] * 50 + ["espeak:en-us+f2"] * 4 + ["espeak:en-gb+f2"] * 3
    spoken = [ReferenceUtterance(f"u{at}", "text", speaker=who) for at, who in enumerate(speakers)]
    heard = [one.speaker for one in sample(spoken, 5)]
    assert heard.count("flite:slt") == 5
    assert heard.count("espeak:en-us+f2") + heard.count("espeak:en-gb+f2") == 7
    assert [one.id for one in sample(spoken[::-1], 5)] == [one.id for one in sample(spoken, 5)]


def test_the_worst_voice_is_first_and_an_accent_and_a_variant_count_apart():
    scored = [
        score("1", "abcd", "abcd", "flite:slt"),
        score("2", "abcd", "abxx", "espeak:en-us+f2"),
        score("3", "abcd", "abcx", "espeak:en-gb+f2"),
    ]
    lines = [line.split() for line in table(scored).splitlines()]
    assert [(line[0], line[1]) for line in lines] == [
        ("espeak:en-us+*", "50.0"),
        ("espeak:*+f2", "37.5"),
        ("espeak:en-gb+*", "25.0"),
        ("flite:slt", "0.0"),
        ("all", "25.0"),
    ]
