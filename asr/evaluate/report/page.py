"""Fills the templates: everything that was said, heard or named is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any

from asr.evaluate.alignment import Edit
from asr.evaluate.breakdown import Breakdown
from asr.evaluate.classes import Known, kinds_of
from asr.evaluate.comparison import Comparison, Pair
from asr.evaluate.error_rate import Scored, percent
from asr.evaluate.evaluation import Evaluation
from asr.evaluate.report.charts import bars, diagram
from asr.evaluate.report.sound import Sounds
from asr.evaluate.scoring import scoring_name

#: Speakers that are drawn; the page lists all of them.
SPEAKERS = 12


@dataclass(frozen=True)
class Cell:
    """A word of an alignment: its edit, when it begins, how sure it is, its kinds of error."""

    edit: Edit
    start: float | None
    confidence: float | None
    kinds: str


@dataclass(frozen=True)
class Row:
    """An utterance on the page."""

    scored: Scored
    cells: tuple[Cell, ...]
    kinds: tuple[str, ...]
    sound: str | None


def evaluation_page(
    found: Evaluation, parts: Breakdown, known: Known, title: str, sounds: Sounds
) -> str:
    """The page of an evaluation, as HTML.

    Args:
        known: what errors are told apart by, as in `breakdown`.
    """
    urls = sounds.urls(found.scored)
    return _rendered(
        "evaluation.html",
        title=title,
        language=_tag(known.language),
        found=found,
        scoring=scoring_name(found.normalizer),
        parts=parts,
        rows=[_row(one, known, urls) for one in found.scored],
        lengths=bars(parts.lengths),
        speakers=bars(parts.speakers[:SPEAKERS]),
        diagram=diagram(parts.confidence) if parts.confidence else None,
    )


def comparison_page(found: Comparison, names: tuple[str, str], title: str, sounds: Sounds) -> str:
    """The page of a comparison, as HTML: only what changed is listed."""
    changed = [one for one in found.pairs if one.first.hypothesis != one.second.hypothesis]
    urls = sounds.urls([one.first for one in changed])
    known = Known.of(found.language)
    rows = [(one, *_both(one, known, urls)) for one in changed]
    return _rendered(
        "comparison.html",
        title=title,
        language=_tag(found.language),
        found=found,
        names=names,
        rows=rows,
    )


def _tag(language: str | None) -> str:
    """How HTML names the language of texts (BCP 47); "" is one that is not known."""
    return (language or "").replace("_", "-")


def _both(pair: Pair, known: Known, urls: dict[str, str]) -> tuple[Row, Row]:
    return _row(pair.first, known, urls), _row(pair.second, known, urls)


def _row(one: Scored, known: Known, urls: dict[str, str]) -> Row:
    kinds = kinds_of(one, known)
    return Row(one, tuple(_cells(one, kinds)), tuple(kinds), urls.get(one.id))


def _cells(one: Scored, kinds: dict[str, set[int]]) -> Sequence[Cell]:
    cells = []
    for place, edit in enumerate(one.edits):
        word = (
            one.hypothesis_words[edit.at_hypothesis]
            if one.hypothesis_words and edit.hypothesis
            else None
        )
        named = ", ".join(name for name, places in kinds.items() if place in places)
        start, sure = (word.start, word.confidence) if word else (None, None)
        cells.append(Cell(edit, start, sure, named))
    return cells


def _rendered(template: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("asr.evaluate.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = partial(percent, digits=1)
    here = files("asr.evaluate.report")
    script = here.joinpath("page.js").read_text(encoding="utf-8")
    # nothing but this script runs, whatever a transcript says
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        style=Markup(here.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=digest,
        **values,
    )
