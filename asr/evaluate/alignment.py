"""Which words of reference and hypothesis correspond: the alignment that error rates count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["hit", "substitution", "deletion", "insertion"]


@dataclass(frozen=True)
class Edit:
    """One place of an alignment: a word of reference and of hypothesis, "" for none.

    `at_reference` and `at_hypothesis` count the words before it in each.
    """

    kind: Kind
    reference: str
    hypothesis: str
    at_reference: int
    at_hypothesis: int


def aligned(reference: str, hypothesis: str) -> tuple[Edit, ...]:
    """The alignment with the fewest edits (Levenshtein; of several, the one that jiwer takes)."""
    import jiwer

    ref, hyp = reference.split(), hypothesis.split()
    if not ref or not hyp:  # jiwer refuses empty references
        return tuple(_run("deletion", ref, 0, 0)) + tuple(_run("insertion", hyp, 0, 0))
    edits: list[Edit] = []
    for part in jiwer.process_words(" ".join(ref), " ".join(hyp)).alignments[0]:
        at_ref, at_hyp = part.ref_start_idx, part.hyp_start_idx
        if part.type == "delete":
            edits += _run("deletion", ref[at_ref : part.ref_end_idx], at_ref, at_hyp)
        elif part.type == "insert":
            edits += _run("insertion", hyp[at_hyp : part.hyp_end_idx], at_ref, at_hyp)
        else:
            kind: Kind = "hit" if part.type == "equal" else "substitution"
            edits += [
                Edit(kind, ref[at_ref + n], hyp[at_hyp + n], at_ref + n, at_hyp + n)
                for n in range(part.ref_end_idx - at_ref)
            ]
    return tuple(edits)


def _run(
    kind: Literal["deletion", "insertion"], words: Sequence[str], at_ref: int, at_hyp: int
) -> list[Edit]:
    """Words that have none on the other side."""
    if kind == "deletion":
        return [Edit(kind, word, "", at_ref + n, at_hyp) for n, word in enumerate(words)]
    return [Edit(kind, "", word, at_ref, at_hyp + n) for n, word in enumerate(words)]
