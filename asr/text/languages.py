"""Codes of languages and names of tasks, as start sequences select them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

LANGUAGE, TASK = "language", "task"
TRANSCRIBE = "transcribe"
TRANSLATE = "translate"


def near_codes(language: str, known: Collection[str]) -> str:
    """A hint for a code that is not known: those that may have been meant, or all of them."""
    code = re.split("[-_]", language.strip().lower())[0]
    if code in known:
        near = [code]
    elif len(code) <= 3:
        near = difflib.get_close_matches(code, known, n=4, cutoff=0.4)
    else:  # the name of a language, which says little of its code
        near = []
    if near:
        return f"the nearest codes are {', '.join(near)}"
    return f"the codes are {', '.join(known)}"
