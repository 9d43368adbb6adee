"""Names in a transcript that has capitals."""

from __future__ import annotations

import re
from collections.abc import Callable

from asr.text.abbreviations import BEFORE_NAMES

#: Languages that write other nouns with capitals too.
_CAPITAL_NOUNS = ("de", "lb")
_SENTENCE_END = re.compile(r"[.!?:;…—–\"“”„»«(\[]$|^$")


def names_in(text: str, language: str, normalize: Callable[[str], str]) -> tuple[str, ...]:
    """The words of names, as `normalize` writes them; of each once, sorted.

    A name begins with a capital within a sentence. A text in one case tells nothing, and so do
    languages that write all nouns with capitals. "I" is no name.
    """
    if language in _CAPITAL_NOUNS or text.isupper() or text.islower():
        return ()
    found: set[str] = set()
    before = ""
    for word in text.split():
        bare = word.lstrip("\"'“‘«„([¡¿")
        title = bare.endswith(".") and bare[:-1].lower() in BEFORE_NAMES  # ends no sentence
        opens = bare != word or bool(_SENTENCE_END.search(before))
        capital = bare[:1].isupper() and not bare.isupper() and not re.match(r"I['’]", bare)
        if capital and not opens and not title:
            found |= set(normalize(re.sub(r"['’]s$", "", bare.rstrip('.,!?;:"”»)]'))).split())
        before = bare.rstrip(".") if title else word
    return tuple(sorted(found))
