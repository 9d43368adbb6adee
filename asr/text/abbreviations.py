"""English abbreviations as they are spoken."""

from __future__ import annotations

import re
from functools import lru_cache

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
#: With a full stop, where they are no ordinal (3rd.). `st` may also be a saint.
_STREETS = {"ave": "avenue", "rd": "road", "st": "street"}
#: With a capital, a full stop and a name after it: they are words and ends of sentences too.
_TITLES = {
    "Mt": "mount",
    "Ft": "fort",
    "Gen": "general",
    "Col": "colonel",
    "Maj": "major",
    "Gov": "governor",
    "Sen": "senator",
    "Rep": "representative",
    "Rev": "reverend",
    "Hon": "honorable",
}
#: What stands before a name, in small letters without the full stop.
BEFORE_NAMES = frozenset(
    {*_BARE, *map(str.lower, _TITLES), "prof", "capt", "lt", "sgt", "st", "ms"}
)
#: Words that begin sentences and no names.
_ARTICLE = re.compile("an?|the|this|that|our|my|your|his|her|their", re.IGNORECASE)
_SMALL = re.compile(
    f"{_ARTICLE.pattern}|and|but|or|nor|so|if|when|where|while|who|why|whom|whose|which|what|how|"
    "then|there|these|those|he|she|it|we|you|they|i|him|its|them|us|me|is|was|are|were|be|been|has|had|"
    "have|do|does|did|can|could|would|should|must|no|not|yes|in|on|at|of|to|from|by|for|with|near|"
    "behind|opposite|into|onto|over|under|after|before|since|until|as|than|about|around|along|"
    "across|through|between|towards?",
    re.IGNORECASE,
)


def _either(names: dict[str, str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


#: Word boundaries at which a digit is no letter (5Dr is five doctor), but a mark is.
_START, _END = "(?<![^\\W\\d_])(?<![\u0300-\u036f])", "(?![^\\W\\d_]|[\u0300-\u036f])"
_SPOKEN = {**_BARE, **_DOTTED}
_ALWAYS = re.compile(
    rf"{_START}(?:({_either(_BARE)}){_END}\.?|({_either(_DOTTED)})\.)", re.IGNORECASE
)
_NO_ORDINAL = "(?<![0-9])"  # 1st. and 3rd. end sentences
_WORD = "[^\\W_]+(?:'[^\\W_]+)*"
_TITLE = re.compile(rf"{_START}({'|'.join(f'{title}|{title.upper()}' for title in _TITLES)})\.")
_STREET = re.compile(
    rf"{_START}{_NO_ORDINAL}(?:(?i:({_either(_STREETS)}))\.|(?<![^\W_]')(S[tT])(?!'?[^\W_]){_END})"
)
_NEXT = re.compile(rf"[\s'\"–-]*({_WORD})")
_LAST = re.compile(rf"({_WORD})\s*$")
#: The same over marks: without a full stop they may be gone when a text is read again.
_NEXT_OVER_MARKS = re.compile(rf"[\W_]*({_WORD})")
_LAST_OVER_MARKS = re.compile(rf"({_WORD})[\W_]*$")
_ORDINAL = re.compile(
    r"(?:.*-)?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|"
    r"\w+teenth|\w+tieth|hundredth|\d+(?:st|nd|rd|th))",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"\s*\S")
_AHEAD = re.compile(r"(\S)\s*$")
#: How far to look back for the word before.
_FAR = 40
#: In a text of small letters without digits, what `expand_abbreviations` would change.
BARE = re.compile(rf"\b(?:{_either(_BARE)})\b")
#: And what it might change in one with capitals.
BARE_WITH_CAPITAL = re.compile(r"\bS[tT]\b")


def expand_abbreviations(text: str) -> str:
    """`text` with the abbreviations of this file in words.

    Titles such as `Gen.` need a name after them: a word with a capital that does not merely begin
    a sentence. `St.` is a saint before a name, and a street behind one (Main St. is) and behind an
    ordinal; `St` without full stop is either only where a capital tells which. `Dr.` is a drive
    behind a name, unless one follows. Initials (U.S.) are left to the punctuation rule.
    """
    for pattern, spoken in ((_TITLE, _title), (_ALWAYS, _always), (_STREET, _street)):
        text = pattern.sub(spoken, text)
    return text


def _always(found: re.Match[str]) -> str:
    short = (found[1] or found[2]).lower()
    return _apart(found, "drive" if short == "dr" and _is_drive(found) else _SPOKEN[short])


def _is_drive(found: re.Match[str]) -> bool:
    """Of `Dr.`. At the end of a text it is none: sentences are often cut behind the full stop."""
    goes_on = _GOES_ON.match(found.string, found.end())
    return goes_on is not None and not _names(_following(found, _NEXT)) and _behind_a_name(found)


def _title(found: re.Match[str]) -> str:
    if not _names(_following(found, _NEXT)):
        return found[0]
    return _apart(found, _TITLES[found[1].capitalize()])


def _street(found: re.Match[str]) -> str:
    if found[2]:
        return _street_without_stop(found)
    short = found[1].lower()
    saint = short == "st" and _is_saint(found)
    return _apart(found, "saint" if saint else _STREETS[short])


def _is_saint(found: re.Match[str]) -> bool:
    """Of `St.`, which is always one or the other."""
    before, after = _before(found, _LAST), _following(found, _NEXT)
    if _ORDINAL.fullmatch(before):
        return False
    if after and not _SMALL.fullmatch(after):
        return _names(after) or not _names(before)  # Main St. bridge
    return bool(
        _SMALL.fullmatch(before) and not _ARTICLE.fullmatch(before)
    )  # the church of St. | on Main St. | the St. is


def _street_without_stop(found: re.Match[str]) -> str:
    behind_a_name = _names(_before(found, _LAST_OVER_MARKS))
    ends = found.string.startswith(",", found.end())  # Main St, Boston
    if not (behind_a_name and ends) and _names(_following(found, _NEXT_OVER_MARKS)):
        return _apart(found, "saint")
    return _apart(found, "street") if behind_a_name else found[0]


def _behind_a_name(found: re.Match[str]) -> bool:
    """Whether the word before has a capital that is not that of a sentence."""
    word = _LAST.search(found.string, max(0, found.start() - _FAR), found.start())
    if word is None or not _names(word[1]) or _in_capitals(found.string):
        return False
    ahead = _AHEAD.search(found.string, max(0, word.start() - _FAR), word.start())
    return ahead is not None and ahead[1] not in ".!?:"


@lru_cache(maxsize=1)
def _in_capitals(text: str) -> bool:
    """Kept for the next abbreviation of the same text: else time rises with the text's square."""
    return text.isupper()


def _before(found: re.Match[str], pattern: re.Pattern[str]) -> str:
    """The word that stands before an abbreviation, "" for none."""
    word = pattern.search(found.string, max(0, found.start() - _FAR), found.start())
    return word[1] if word else ""


def _following(found: re.Match[str], pattern: re.Pattern[str]) -> str:
    """The word that stands behind an abbreviation, "" for none."""
    word = pattern.match(found.string, found.end())
    return word[1] if word else ""


def _names(word: str) -> bool:
    """Whether a word, by its capital, may be a name."""
    return word[:1] != word[:1].lower() and not _SMALL.fullmatch(word)


def _apart(found: re.Match[str], spoken: str) -> str:
    """`spoken` with a space where a digit or a letter touches it, but not before the s of Dr's."""
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    return f"{' ' * before.isalnum()}{spoken}{' ' * after.isalnum()}"
