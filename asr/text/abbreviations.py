"""English abbreviations as they are spoken."""

from __future__ import annotations

import re

#: Never a word of their own, so the full stop may be missing.
_BARE = {"mr": "mister", "mrs": "missus", "messrs": "messieurs", "dr": "doctor"}
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


_SPOKEN = {**_BARE, **_DOTTED}
_ALWAYS = re.compile(
    rf"\b(?:({_either(_BARE)})\b(?!')\.?|({_either(_DOTTED)})\.)(?!\w)", re.IGNORECASE
)
_BEFORE_NAME = re.compile(rf"\b((?i:{_either(_TITLES)}))\.(?=\s+[A-Z])")
_AFTER_NAME = re.compile(rf"\b({_either(_STREETS)})\.(?!\w)", re.IGNORECASE)
BARE = re.compile(rf"\b(?:{_either(_BARE)})\b")


def expand_abbreviations(text: str) -> str:
    """`text` with the abbreviations of this file in words.

    `St.` is a saint before a capital letter and a street elsewhere; initials (U.S.) are left to
    the punctuation rule.
    """
    text = _ALWAYS.sub(lambda found: _SPOKEN[(found[1] or found[2]).lower()] + " ", text)
    text = _BEFORE_NAME.sub(lambda found: _TITLES[found[1].lower()], text)
    return _AFTER_NAME.sub(lambda found: _STREETS[found[1].lower()] + " ", text)
