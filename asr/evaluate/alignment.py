"""Which word was heard for which: the alignment that error rates count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["hit", "substitution", "deletion", "insertion"]


@dataclass(frozen=True)
class Edit:
    """One place of an alignment: the word `said` and the word `heard` there, "" for none.

    `at_said` and `at_heard` count the words of reference and hypothesis before it.
    """

    kind: Kind
    said: str
    heard: str
    at_said: int
    at_heard: int


def aligned(reference: str, hypothesis: str) -> tuple[Edit, ...]:
    """The alignment with the fewest edits (Levenshtein; of several, the one that jiwer takes)."""
    import jiwer

    said, heard = reference.split(), hypothesis.split()
    if not said or not heard:  # jiwer refuses empty references
        return tuple(_run("deletion", said, 0, 0)) + tuple(_run("insertion", heard, 0, 0))
    edits: list[Edit] = []
    for part in jiwer.process_words(" ".join(said), " ".join(heard)).alignments[0]:
        at_said, at_heard = part.ref_start_idx, part.hyp_start_idx
        if part.type == "delete":
            edits += _run("deletion", said[at_said : part.ref_end_idx], at_said, at_heard)
        elif part.type == "insert":
            edits += _run("insertion", heard[at_heard : part.hyp_end_idx], at_said, at_heard)
        else:
            kind: Kind = "hit" if part.type == "equal" else "substitution"
            edits += [
                Edit(kind, said[at_said + n], heard[at_heard + n], at_said + n, at_heard + n)
                for n in range(part.ref_end_idx - at_said)
            ]
    return tuple(edits)


def _run(
    kind: Literal["deletion", "insertion"], words: Sequence[str], at_said: int, at_heard: int
) -> list[Edit]:
    """Words that have none on the other side."""
    if kind == "deletion":
        return [Edit(kind, word, "", at_said + n, at_heard) for n, word in enumerate(words)]
    return [Edit(kind, "", word, at_said, at_heard + n) for n, word in enumerate(words)]
