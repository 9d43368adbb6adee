"""Codes of languages and names of tasks, as start sequences select them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

LANGUAGE, TASK = "language", "task"
TRANSCRIBE = "transcribe"
TRANSLATE = "translate"
#: Up to so many codes are listed where none is near.
_MOST_CODES = 12


def near_codes(language: str, known: Collection[str]) -> str:
    """A hint for a code that is not known: those that may have been meant, or where all are.

    Args:
        language: what was given, which may be the English name of a language.
    """
    given = language.strip().lower()
    code = re.split("[-_]", given)[0]
    named = difflib.get_close_matches(given, _CODES, n=1, cutoff=0.9)  # Deutsch is not Dutch
    hint = ""
    if code in known:
        hint = f"the nearest codes are {code}"
    elif len(code) <= 3:
        near = difflib.get_close_matches(code, known, n=4, cutoff=0.4)
        hint = f"the nearest codes are {', '.join(near)}" if near else ""
    elif named and _CODES[named[0]] in known:
        hint = f"did you mean {_CODES[named[0]]} ({named[0].title()})?"
    if len(known) <= _MOST_CODES:
        return hint or f"the codes are {', '.join(known)}"
    joint = "" if not hint else " " if hint.endswith("?") else "; "
    return f"{hint}{joint}'asr info MODEL' lists the {len(known)} codes"


#: Codes by the English names of languages, those of Whisper's labels.
_CODES = {
    name: code
    for code, names in (
        ("af", "afrikaans"), ("am", "amharic"), ("ar", "arabic"), ("as", "assamese"),
        ("az", "azerbaijani"), ("ba", "bashkir"), ("be", "belarusian"), ("bg", "bulgarian"),
        ("bn", "bengali"), ("bo", "tibetan"), ("br", "breton"), ("bs", "bosnian"),
        ("ca", "catalan, valencian"), ("cs", "czech"), ("cy", "welsh"), ("da", "danish"),
        ("de", "german"), ("el", "greek"), ("en", "english"), ("es", "spanish, castilian"),
        ("et", "estonian"), ("eu", "basque"), ("fa", "persian, farsi"), ("fi", "finnish"),
        ("fo", "faroese"), ("fr", "french"), ("gl", "galician"), ("gu", "gujarati"),
        ("ha", "hausa"), ("haw", "hawaiian"), ("he", "hebrew"), ("hi", "hindi"),
        ("hr", "croatian"), ("ht", "haitian creole, haitian"), ("hu", "hungarian"),
        ("hy", "armenian"), ("id", "indonesian"), ("is", "icelandic"), ("it", "italian"),
        ("ja", "japanese"), ("jw", "javanese"), ("ka", "georgian"), ("kk", "kazakh"),
        ("km", "khmer"), ("kn", "kannada"), ("ko", "korean"), ("la", "latin"),
        ("lb", "luxembourgish, letzeburgesch"), ("ln", "lingala"), ("lo", "lao"),
        ("lt", "lithuanian"), ("lv", "latvian"), ("mg", "malagasy"), ("mi", "maori"),
        ("mk", "macedonian"), ("ml", "malayalam"), ("mn", "mongolian"), ("mr", "marathi"),
        ("ms", "malay"), ("mt", "maltese"), ("my", "myanmar, burmese"), ("ne", "nepali"),
        ("nl", "dutch, flemish"), ("nn", "nynorsk"), ("no", "norwegian"), ("oc", "occitan"),
        ("pa", "punjabi, panjabi"), ("pl", "polish"), ("ps", "pashto, pushto"),
        ("pt", "portuguese"), ("ro", "romanian, moldavian, moldovan"), ("ru", "russian"),
        ("sa", "sanskrit"), ("sd", "sindhi"), ("si", "sinhala, sinhalese"), ("sk", "slovak"),
        ("sl", "slovenian"), ("sn", "shona"), ("so", "somali"), ("sq", "albanian"),
        ("sr", "serbian"), ("su", "sundanese"), ("sv", "swedish"), ("sw", "swahili"),
        ("ta", "tamil"), ("te", "telugu"), ("tg", "tajik"), ("th", "thai"), ("tk", "turkmen"),
        ("tl", "tagalog, filipino"), ("tr", "turkish"), ("tt", "tatar"), ("uk", "ukrainian"),
        ("ur", "urdu"), ("uz", "uzbek"), ("vi", "vietnamese"), ("yi", "yiddish"),
        ("yo", "yoruba"), ("yue", "cantonese"), ("zh", "chinese, mandarin"),
    )
    for name in names.split(", ")
}  # fmt: skip
