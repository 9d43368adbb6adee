"""English abbreviations as they are spoken."""

from __future__ import annotations

import re

#: Never a word of their own, so the full stop may be missing.
_BARE = {
    "mr": "mister",
    "mrs": "missus",
    "messrs": "messieurs",
    "mme": "madame",
    "mlle": "mademoiselle",
    "dr": "doctor",
}
#: With a full stop.
_DOTTED = {
    "prof": "professor",
    "capt": "captain",
    "lt": "lieutenant",
    "sgt": "sergeant",
    "jr": "junior",
    "sr": "senior",
    "esq": "esquire",
    "vs": "versus",
    "etc": "et cetera",
    "ltd": "limited",
    "blvd": "boulevard",
    "dept": "department",
    "approx": "approximately",
}
#: With a full stop and a capital after it: short forms that are also ends of sentences.
_TITLES = {
    "st": "saint",
    "mt": "mount",
    "ft": "fort",
    "gen": "general",
    "col": "colonel",
    "maj": "major",
    "gov": "governor",
    "sen": "senator",
    "rep": "representative",
    "rev": "reverend",
    "hon": "honorable",
}
#: With a full stop, where they are no title.
_STREETS = {"st": "street", "ave": "avenue", "rd": "road"}


def _either(names: dict[str, str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


#: Word boundaries at which a digit is no letter (5Dr is five doctor), but a mark is.
_START, _END = "(?<![^\\W\\d_])(?<![\u0300-\u036f])", "(?![^\\W\\d_]|[\u0300-\u036f])"
_SPOKEN = {**_BARE, **_DOTTED}
_ALWAYS = re.compile(
    rf"{_START}(?:({_either(_BARE)}){_END}\.?|({_either(_DOTTED)})\.)", re.IGNORECASE
)
_NO_ORDINAL = "(?<![0-9])"  # 1st. and 3rd. end sentences
_BEFORE_NAME = re.compile(rf"{_START}{_NO_ORDINAL}({_either(_TITLES)})\.(?=\s*(\S))", re.IGNORECASE)
_AFTER_NAME = re.compile(rf"{_START}{_NO_ORDINAL}({_either(_STREETS)})\.", re.IGNORECASE)
#: In a text of small letters without digits, what `expand_abbreviations` would change.
BARE = re.compile(rf"\b(?:{_either(_BARE)})\b")


def expand_abbreviations(text: str) -> str:
    """`text` with the abbreviations of this file in words.

    `St.` is a saint before a capital letter and a street elsewhere; initials (U.S.) are left to
    the punctuation rule.
    """
    text = _ALWAYS.sub(lambda found: _apart(found, _SPOKEN[(found[1] or found[2]).lower()]), text)
    text = _BEFORE_NAME.sub(_title, text)
    return _AFTER_NAME.sub(lambda found: _apart(found, _STREETS[found[1].lower()]), text)


def _title(found: re.Match[str]) -> str:
    if found[2] == found[2].lower():  # no capital: the end of a sentence
        return found[0]
    return _apart(found, _TITLES[found[1].lower()])


def _apart(found: re.Match[str], spoken: str) -> str:
    """`spoken` with a space where a digit or a letter touches it, but not before the s of Dr's."""
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    return f"{' ' * before.isalnum()}{spoken}{' ' * after.isalnum()}"
