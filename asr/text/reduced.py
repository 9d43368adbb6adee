"""A Whisper tokenizer with fewer labels: those that a language or a domain needs.

Most of Whisper's labels stand for other languages, and each costs a row of the decoder's largest
matrix. Every text can still be written: all single bytes stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from asr.errors import ModelError
from asr.text.whisper import WhisperTokenizer

_STAMP = re.compile(r"<\|\d+\.\d\d\|>")


def reduced(tokenizer: WhisperTokenizer, labels: Iterable[int]) -> WhisperTokenizer:
    """The tokenizer with `labels`, single bytes, and what their merges are made of.

    Special labels stay, except time stamps and all languages but that of the tokenizer: without the
    start sequence that it was trained with, a decoder predicts hardly anything. Labels have new
    numbers, in the same order.

    Raises:
        ModelError: one of `labels` is not a piece of text of this tokenizer, or the tokenizer's
            merges do not make it.
    """
    values = json.loads(tokenizer.content)
    vocabulary: dict[str, int] = values["model"]["vocab"]
    special = {str(t["content"]): int(t["id"]) for t in values["added_tokens"]}
    pieces = {label: piece for piece, label in vocabulary.items() if piece not in special}
    merges = [tuple(m.split(" ") if isinstance(m, str) else m) for m in values["model"]["merges"]]
    made_of = {"".join(pair): pair for pair in reversed(merges)}  # the first merge makes it
    kept = {piece for piece in pieces.values() if len(piece) == 1}
    waiting = []
    for label in labels:
        if label not in pieces:
            raise ModelError(f"{tokenizer.source}: label {label} is not a piece of text")
        waiting.append(pieces[label])
    while waiting:
        piece = waiting.pop()
        if piece in kept:
            continue
        if piece not in made_of:
            raise ModelError(f"{tokenizer.source}: no merge makes its piece '{piece}'")
        kept.add(piece)
        waiting.extend(made_of[piece])
    kept_special = [
        name
        for name in special
        if not (_STAMP.fullmatch(name) or _is_other_language(name, tokenizer))
    ]
    old = sorted([vocabulary[piece] for piece in kept] + [special[name] for name in kept_special])
    new = {label: number for number, label in enumerate(old)}
    values["model"]["vocab"] = {
        p: new[vocabulary[p]] for p in sorted(kept, key=vocabulary.__getitem__)
    }
    values["model"]["merges"] = [list(pair) for pair in merges if {*pair, "".join(pair)} <= kept]
    values["added_tokens"] = [
        {**token, "id": new[int(token["id"])]}
        for token in values["added_tokens"]
        if token["content"] in kept_special
    ]
    values.pop("post_processor", None)
    return WhisperTokenizer(
        json.dumps(values, ensure_ascii=False),
        len(old),
        [new[label] for label in tokenizer.suppress if label in new],
        [new[label] for label in tokenizer.suppress_first if label in new],
        language=tokenizer.language,
        tasks=tokenizer.tasks,
        source=tokenizer.source,
    )


def _is_other_language(name: str, tokenizer: WhisperTokenizer) -> bool:
    fields = tokenizer.prompt_fields
    return fields is not None and name[2:-2] in {*fields.languages} - {tokenizer.language}
