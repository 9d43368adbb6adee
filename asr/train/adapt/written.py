"""How texts are written, where a model writes them as they are."""

from __future__ import annotations

from collections.abc import Iterable

from asr.text import NormalizerConfig

#: Marks that sentences end or are parted with, in the scripts that have some.
_MARKS = frozenset(".,?!;:…。、，？！؟،।")


def fit_case(
    config: NormalizerConfig, texts: Iterable[str]
) -> tuple[NormalizerConfig, tuple[str, ...]]:
    """The normaliser for texts that were typed in capitals only, or without any punctuation.

    A model that writes capitals and punctuation learns from the texts how to write. Those in
    capitals only are read in small letters, which it writes far better.

    Returns:
        `config`, perhaps with `lowercase`, and lines about what the model will forget.
    """
    if config.lowercase:
        return config, ()
    capitals = small = marks = False
    for text in texts:
        capitals |= text != text.lower()
        small |= text != text.upper()
        marks |= not _MARKS.isdisjoint(text)
    what = "capitals and punctuation" if not marks else "capitals"
    advice = "give texts as they should be written to keep them"
    if capitals and not small:
        line = (
            "texts are in capitals only and are trained in small letters "
            f"(normalizer.lowercase): the model will forget {what}; {advice}"
        )
        return config.model_copy(update={"lowercase": True}), (line,)
    if small and not capitals:
        return config, (f"texts have no {what}: the model will forget them; {advice}",)
    if not marks and (capitals or small):
        return config, (f"texts have no punctuation: the model will forget it; {advice}",)
    return config, ()
