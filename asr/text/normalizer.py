"""One way to write what was said: for training texts, references and hypotheses alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from asr.text.abbreviations import BARE, BARE_WITH_CAPITAL, expand_abbreviations
from asr.text.config import NormalizerConfig
from asr.text.numbers import english_numbers, other_numbers

#: Letters, single spaces and apostrophes between letters: no rule has anything to do here.
_PLAIN = re.compile(r"[a-z]+(?:[ '][a-z]+)*")
_PLAIN_NO_APOSTROPHE = re.compile(r"[a-z]+(?: [a-z]+)*")
_INNER_APOSTROPHE = re.compile(r"(?<=[^\W_])'(?=[^\W_])")
_MARKED = re.compile("([^\u0300-\u036f]?)[\u0300-\u036f]+")
_SYMBOLS = {
    "&": " and ",
    "+": " plus ",
    "=": " equals ",
    "@": " at ",
    "%": " percent ",
    "°": " degrees ",
}
#: Latin letters that are no letter with a mark to Unicode.
_FOLDED = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ı": "i"}
    | {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ß": "ss", "ẞ": "SS", "þ": "th", "Þ": "TH"}
)


class _ByCharacter(dict[int, str]):
    """A table for `str.translate` that asks `choose` once a character and remembers."""

    def __init__(self, choose: Callable[[str], str]) -> None:
        super().__init__()
        self._choose = choose

    def __missing__(self, code: int) -> str:
        self[code] = chosen = self._choose(chr(code))
        return chosen


def _one_form(character: str) -> str:
    """Typography as ASCII; what no reader sees goes."""
    if character in "‘’‚‛ʼ′´`＇":
        return "'"
    if character in "“”„‟«»″":
        return '"'
    if character in "‐‑‒—―−":
        return "-"
    category = unicodedata.category(character)
    if category == "Nd":  # digits of every script
        return str(unicodedata.decimal(character))
    if category == "No" and "⁄" in (parts := unicodedata.normalize("NFKC", character)):
        return f" {parts.replace('⁄', '/')} "  # ½; 5½ must not become 51/2
    if category in ("Zs", "Zl", "Zp"):
        return " "
    if category == "Sk" and not character.isascii():
        return " "  # an accent that stands alone
    if category in ("Cf", "Me") or unicodedata.name(character, "").startswith("VARIATION SELECTOR"):
        return ""
    return character


def _no_punctuation(character: str) -> str:
    keep = character == "'" or unicodedata.category(character)[0] in "LN"
    return character if keep or unicodedata.category(character) in ("Mn", "Mc") else " "


_ONE_FORM = _ByCharacter(_one_form)
_NO_PUNCTUATION = _ByCharacter(_no_punctuation)


class TextNormalizer:
    """Rewrites text as it is spoken: by default small letters, apostrophes and single spaces.

    The rules, in order; each has a key in `NormalizerConfig`:

    - `unicode`: compatibility forms (NFKC); typographic quotes, dashes and spaces become their
      ASCII forms, invisible characters and accents that stand on no letter go, digits of other
      scripts become 0 to 9.
    - `diacritics`: "fold" writes Latin letters without marks (é e, ß ss, ø o). Letters of other
      scripts are never touched.
    - `numbers`: see `asr.text.numbers`.
    - `abbreviations`: see `asr.text.abbreviations`.
    - `symbols`: & + = @ % ° are spoken.
    - `lowercase`.
    - `punctuation`: everything but letters, marks, numbers and apostrophes becomes a space, so
      hyphens part words and initials are spelled (U.S. is u s). Apostrophes that do not stand
      between two letters are quotation marks and go too.
    - `apostrophes`: "remove" writes don't as dont.
    - white space: runs become one space, none remains at the ends. Always.

    Applying it twice changes nothing more. Texts that are already normal cost next to nothing.
    """

    def __init__(self, config: NormalizerConfig | None = None) -> None:
        self.config = config or NormalizerConfig()
        self._plain = _PLAIN if self.config.apostrophes == "keep" else _PLAIN_NO_APOSTROPHE
        self._english = self.config.language == "en"
        self._turkic = self.config.language in ("tr", "az")
        self._expands = self.config.abbreviations and self._english
        self._rules = self._chosen_rules()

    def __call__(self, text: str) -> str:
        """The normalised text; may be empty."""
        if self._is_plain(text):
            return text
        if self._only_needs_small_letters(text):
            return text.lower()
        for rule in self._rules:
            text = rule(text)
        return " ".join(text.split())

    def _only_needs_small_letters(self, text: str) -> bool:
        if not (self.config.lowercase and text.isascii() and self._is_plain(text.lower())):
            return False
        if self._turkic and "I" in text:
            return False
        return not (self._expands and BARE_WITH_CAPITAL.search(text))

    def _is_plain(self, text: str) -> bool:
        return self._plain.fullmatch(text) is not None and not (self._expands and BARE.search(text))

    def _chosen_rules(self) -> list[Callable[[str], str]]:
        config = self.config
        normal_forms = config.unicode or config.diacritics == "fold"
        rules: list[Callable[[str], str]] = []
        if config.unicode:
            rules.append(_unicode)
        if config.diacritics == "fold":
            rules.append(_fold)
        if config.numbers:
            rules.append(english_numbers if self._english else self._other_numbers)
        if self._expands:
            rules.append(expand_abbreviations)
        if config.unicode:
            rules.append(_en_dash)  # now that the numbers have read it as a range
        if config.symbols and self._english:
            rules.append(_speak_symbols)
        if config.lowercase:
            if self._turkic:
                rules.append(_lower_turkic)
            else:
                rules.append(_lower if normal_forms else str.lower)
        if config.punctuation:
            rules.append(_remove_punctuation)
        if config.apostrophes == "remove":
            rules.append(_remove_apostrophes)
        if normal_forms:
            rules.append(_drop_stray_marks)  # of letters that a number has taken: 80s
        return rules

    def _other_numbers(self, text: str) -> str:
        spelled = other_numbers(text, self.config.language)
        return _fold(spelled) if self.config.diacritics == "fold" else spelled  # fünf


def _unicode(text: str) -> str:
    if text.isascii():
        return text.replace("`", "'")
    for _ in range(2):  # a compatibility form can hold a typographic one: ŉ is ʼn
        text = unicodedata.normalize("NFKC", text.translate(_ONE_FORM))
    return _drop_stray_marks(text)


def _drop_stray_marks(text: str) -> str:
    if text.isascii():
        return text
    return _MARKED.sub(lambda found: found[0] if _is_letter(found[1]) else found[1], text)


def _lower(text: str) -> str:
    lower = text.lower()
    return lower if lower.isascii() else unicodedata.normalize("NFC", lower)


def _lower_turkic(text: str) -> str:
    """In Turkish and Azerbaijani i and ı are different letters: I is the capital of ı."""
    return _lower(text.replace("I\u0307", "i").replace("İ", "i").replace("I", "ı"))


def _is_letter(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "LM"  # M: marks of its own


def _en_dash(text: str) -> str:
    return text.replace("–", "-")


def _speak_symbols(text: str) -> str:
    for symbol, spoken in _SYMBOLS.items():
        text = text.replace(symbol, spoken)
    return text


def _fold(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text.translate(_FOLDED))
    folded = _MARKED.sub(
        lambda found: found[0] if _is_letter(found[1]) and not found[1].isascii() else found[1],
        decomposed,
    )
    return unicodedata.normalize("NFC", folded)


def _remove_punctuation(text: str) -> str:
    held = _INNER_APOSTROPHE.sub("\0", text.translate(_NO_PUNCTUATION))
    return held.replace("'", " ").replace("\0", "'")


def _remove_apostrophes(text: str) -> str:
    return _INNER_APOSTROPHE.sub("", text)
