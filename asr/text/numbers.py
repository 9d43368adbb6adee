"""Numbers in words: English as it is read aloud, other languages number by number.

English, in this order:

    1,234           one thousand two hundred and thirty four
    $5, £2.50       five dollars, two pounds and fifty pence; $3M, $3.5 million, 5€
    50%             fifty percent
    5:30 pm, 5:00   five thirty p m, five o'clock; 5:05 is five oh five, 17:00 seventeen hundred
    21st            twenty first
    1980s, '80s     nineteen eighties, eighties
    5½, 3/4         five and one half, three quarters (denominators 2 to 10, below one)
    #1, No. 5       number one, number five
    1914–1918       nineteen fourteen to nineteen eighteen (a hyphen is only a gap: 555-1234)
    -5              minus five
    1984            nineteen eighty four (1100 to 2099: as years are read)
    3.14, .5        three point one four, point five
    007             zero zero seven (a leading zero, or more than 15 digits: one by one)
    mp3, B2B        mp three, b two b
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

Spell = Callable[[re.Match[str]], str]

_WHOLE = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = rf"(?:{_WHOLE}(?:\.[0-9]+)?|(?<![^\W_])\.[0-9]+)"
#: The end of a word: no letter, digit or mark of its last letter follows.
_END = "(?![^\\W_]|[\u0300-\u036f])"
_SCALES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion"}
_SCALE = rf"(?:hundred|thousand|million|billion|trillion|{'|'.join(_SCALES)})"
#: Symbol, one and many of it, one and many of its hundredth.
_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}
_SIGNS = "[" + "".join(map(re.escape, _MONEY)) + "]"
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
#: Longer ones are codes and telephone numbers.
_LONGEST_CARDINAL = 15
_FIRST_YEAR, _LAST_YEAR = 1100, 2099


def english_numbers(text: str) -> str:
    """`text` with every digit in words; the rules are those of this file's docstring."""
    if not _HAS_DIGIT.search(text):
        return text
    for pattern, spell in _RULES:
        text = pattern.sub(spell, text)
    return text


def other_numbers(text: str, language: str) -> str:
    """`text` with its numbers in the words of `language`, a code of num2words.

    1.000, 1,000 and 1 000 are a thousand, 1.5 and 1,5 one and a half. Anything longer (dates,
    versions) is spelled number by number.
    """
    return _OTHER.sub(lambda found: f" {_spell_other(found[0], language)} ", text)


@lru_cache(maxsize=10_000)
def cardinal(digits: str) -> str:
    """Digits as one number, or one by one where that is how they are read."""
    if (len(digits) > 1 and digits[0] == "0") or len(digits) > _LONGEST_CARDINAL:
        return _one_by_one(digits)
    return _words(digits, "cardinal")


def year(digits: str) -> str:
    """Four digits as a year: nineteen eighty four, nineteen oh five, two thousand five."""
    century, rest = divmod(int(digits), 100)
    if century % 10 == 0 and rest < 10:
        return f"{_DIGITS[century // 10]} thousand {_DIGITS[rest] if rest else ''}".strip()
    first = cardinal(str(century))
    if rest == 0:
        return f"{first} hundred"
    return f"{first} oh {_DIGITS[rest]}" if rest < 10 else f"{first} {cardinal(str(rest))}"


def _number(text: str) -> str:
    """A cardinal or a decimal."""
    whole, point, fraction = text.replace(",", "").partition(".")
    if point:
        return f"{cardinal(whole) if whole else ''} point {_one_by_one(fraction)}".strip()
    return cardinal(whole)


def _points(text: str) -> str:
    """A decimal, or more than one point: versions and addresses, number by number."""
    if text.count(".") == 1:
        return _number(text)
    return " point ".join(cardinal(run) for run in text.split(".") if run)


def _one_by_one(digits: str) -> str:
    return " ".join(_DIGITS[int(digit)] for digit in digits)


@lru_cache(maxsize=10_000)
def _words(digits: str, kind: str, language: str = "en") -> str:
    from num2words import num2words

    spelled = str(num2words(Decimal(digits), to=kind, lang=language))
    return " ".join(re.sub(r"[-,]", " ", spelled).split())


def _money(found: re.Match[str]) -> str:
    sign, amount, scale = found["before"] or found["after"], found["amount"], found["scale"]
    if not sign:
        return found[0]
    one, many, small_one, small_many = _MONEY[sign]
    if scale:
        size = scale.strip(" -")
        return f" {_number(amount)} {_SCALES.get(size.lower(), size)} {many} "
    whole, _, fraction = amount.replace(",", "").partition(".")
    if len(fraction) != 2 or not small_one:
        return f" {_number(amount)} {one if amount == '1' else many} "
    parts = []
    if int(whole or 0):
        parts.append(f"{cardinal(whole)} {one if whole == '1' else many}")
    if int(fraction):
        count = str(int(fraction))
        parts.append(f"{cardinal(count)} {small_one if count == '1' else small_many}")
    return f" {' and '.join(parts) or f'zero {many}'} "


def _percent(found: re.Match[str]) -> str:
    return f" {_number(found['number'])} percent " if found["sign"] else found[0]


def _time(found: re.Match[str]) -> str:
    hour, minute, second, half = found["hour"], found["minute"], found["second"], found["half"]
    parts = [cardinal(str(int(hour)))]
    if int(minute) or second:
        parts.append(_minutes(minute))
    elif not half:
        parts.append("o'clock" if 1 <= int(hour) <= 12 else "hundred")
    if second:
        parts.append(_minutes(second))
    if half:
        parts.append(f"{half[0]} m")
    return f" {' '.join(parts)} "


def _minutes(digits: str) -> str:
    if digits == "00":
        return "zero zero"
    return f"oh {_DIGITS[int(digits)]}" if digits[0] == "0" else cardinal(digits)


def _ordinal(found: re.Match[str]) -> str:
    if not found["ending"]:
        return found[0]
    digits = found["digits"].replace(",", "")
    if len(digits) > _LONGEST_CARDINAL:
        return f" {_one_by_one(digits)} {found['ending']} "
    return f" {_words(digits, 'ordinal')} "


def _decade(found: re.Match[str]) -> str:
    digits = found["digits"]
    spoken = year(digits) if len(digits) == 4 else cardinal(digits)
    return f" {spoken[:-1]}ies " if spoken.endswith("y") else f" {spoken}s "


def _fraction(found: re.Match[str]) -> str:
    above, below = int(found["above"]), int(found["below"])
    if not 0 < above < below:
        return found[0]
    part = {2: "half", 4: "quarter"}.get(below) or _words(str(below), "ordinal")
    mixed = f"{cardinal(found['whole'])} and " if found["whole"] else ""
    return f" {mixed}{_DIGITS[above]} {part}{'s' if above > 1 else ''} "


def _plain(found: re.Match[str]) -> str:
    digits = found[0]
    if len(digits) == 4 and _FIRST_YEAR <= int(digits) <= _LAST_YEAR:
        return f" {year(digits)} "
    return f" {cardinal(digits)} "


def _spell_other(number: str, language: str) -> str:
    if any(len(run) > _LONGEST_CARDINAL for run in re.split(r"[., ]", number)):
        return " ".join(_words(digit, "cardinal", language) for digit in re.findall(r"\d", number))
    grouped = re.fullmatch(r"\d{1,3}(?:([., ])\d{3})(?:\1\d{3})*", number)
    if grouped:
        return _words(re.sub(r"\D", "", number), "cardinal", language)
    runs = re.split(r"[., ]", number)
    if len(runs) == 2 and " " not in number:
        return _words(".".join(runs), "cardinal", language)
    return " ".join(_words(run, "cardinal", language) for run in runs)


def _rule(pattern: str, spell: Spell) -> tuple[re.Pattern[str], Spell]:
    return re.compile(pattern, re.IGNORECASE), spell


# What makes an amount or an ordinal of a number is optional below, so that each number is read over
# once: tried again from every digit of a long one, time would rise with the square of its length.
_HAS_DIGIT = re.compile(r"[0-9]")
_OTHER = re.compile(r"[0-9]{1,3}(?: [0-9]{3})+(?![0-9])|[0-9]+(?:[.,][0-9]+)*")
_RULES = (
    _rule(
        rf"(?P<before>{_SIGNS}) ?(?P<amount>{_NUMBER})(?P<scale>[ -]?{_SCALE}{_END})?(?P<after>)",
        _money,
    ),
    _rule(rf"(?P<before>)(?P<amount>{_NUMBER})(?P<scale>)(?: ?(?P<after>{_SIGNS}))?", _money),
    _rule(rf"(?P<number>{_NUMBER})(?P<sign> ?%)?", _percent),
    _rule(
        r"(?<![0-9:.])(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])"
        r"(?::(?P<second>[0-5][0-9]))?(?![0-9:])"
        rf"(?: ?(?P<half>[ap])\.? ?m{_END}\.?)?",
        _time,
    ),
    _rule(
        rf"\b(?P<hour>1[0-2]|[1-9])(?P<minute>) ?(?P<half>[ap])\.? ?m{_END}\.?",
        lambda found: f" {cardinal(found['hour'])} {found['half']} m ",
    ),
    _rule(rf"(?<![0-9.])(?P<digits>{_WHOLE})(?:(?P<ending>st|nd|rd|th){_END})?", _ordinal),
    _rule(rf"(?<![0-9.])'?(?P<digits>(?:1[1-9]|20)[0-9]0|[2-9]0)'?s{_END}", _decade),
    _rule(
        r"(?<![0-9./])(?:(?P<whole>[0-9]+)(?: and)? +)?(?P<above>[0-9])/(?P<below>10|[2-9])"
        r"(?![0-9/]|\.[0-9])",
        _fraction,
    ),
    _rule(r"(?:#|\bno\.) ?(?=[0-9])", lambda found: " number "),
    _rule(r"(?<=[0-9]) ?– ?(?=[0-9])", lambda found: " to "),
    _rule(r"(?:(?<=\s)|^)[-−](?=\.?[0-9])", lambda found: " minus "),
    _rule(
        r"(?<![0-9])[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])",
        lambda found: f" {_number(found[0])} ",
    ),
    _rule(r"(?:(?<![0-9])[0-9]+|(?<![^\W_]))(?:\.[0-9]+)+", lambda found: f" {_points(found[0])} "),
    _rule(r"[0-9]+", _plain),
)
