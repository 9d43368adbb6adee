"""The results of the two models of the recipe, as a page with a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.atomic import write_atomic
from asr.evaluate.error_rate import count_words, total
from asr.text import NormalizerConfig, TextNormalizer

BEAM = 4
#: Marks that are counted; apostrophes and hyphens are part of words.
MARKS = frozenset(",.;:!?")
ABOUT = """# Prompts: results

    python recipes/prompts/prepare.py ../shared/corpora
    python recipes/prompts/run.py --limit {limit}

One model of English and French, and beside it a model that was trained on the same data without
prompts. The first takes the language as a prompt or detects it, and a prompt chooses whether it
writes plain or punctuated text. Both start from the weights of the shipped English model (26 hours
of English; the rows of labels that are spelled the same are kept) and are trained for {steps} steps
of at most {batch:g} s of audio. Processor time of training, one thread: {minutes}.
The error rates are high, as there is little French to train on; only their differences matter.

Dev sets: the first {limit} utterances of Common Voice 2023 (English) and of Common Voice 17
(French). Word error rates without case and punctuation, beam {beam}.
"""


@dataclass(frozen=True)
class Decoded:
    """An utterance: the language that is spoken, the reference, and what the model wrote.

    `detected` are the languages that the model detected in its segments, each once.
    """

    language: str
    reference: str
    hypothesis: str
    detected: Sequence[str]


@dataclass(frozen=True)
class Measured:
    """What a model wrote with one setting of prompts and search."""

    name: str
    asked: Mapping[str, Any]
    decoded: tuple[Decoded, ...]

    def word_error_rate(self, language: str) -> float:
        """Word error rate of the utterances in a language; NaN without words."""
        write = TextNormalizer(NormalizerConfig(language=language))
        some = [one for one in self.decoded if one.language == language]
        rate = total(count_words(write(o.reference), write(o.hypothesis)) for o in some).rate
        return rate if rate is not None else float("nan")

    @property
    def detection(self) -> float:
        """The share of utterances in which the spoken language was detected in all segments."""
        return share([one.language] == list(one.detected) for one in self.decoded)

    @property
    def with_marks(self) -> float:
        """The share of hypotheses that have a capital letter or a punctuation mark."""
        return share(any(c in MARKS or c.isupper() for c in one.hypothesis) for one in self.decoded)

    @property
    def marks_f1(self) -> float:
        """F1 of punctuation marks. In each utterance, marks of a kind are right up to the number
        that the reference has; their places are not compared.
        """
        right = written = wanted = 0
        for one in self.decoded:
            ours = Counter(c for c in one.hypothesis if c in MARKS)
            theirs = Counter(c for c in one.reference if c in MARKS)
            right += (ours & theirs).total()
            written += ours.total()
            wanted += theirs.total()
        return 2 * right / (written + wanted) if written + wanted else 0.0


def share(outcomes: Iterable[bool]) -> float:
    """The share of outcomes that are true; NaN where there are none."""
    values = list(outcomes)
    return sum(values) / len(values) if values else float("nan")


def write_results(
    path: Path, results: Sequence[Measured], seconds: Mapping[str, float], recipe: Any, limit: int
) -> None:
    """Writes the page.

    Args:
        seconds: processor time that training each model took.
        recipe: that of the runs. limit: utterances of each dev set.
    """
    minutes = ", ".join(f"{name} prompts {spent / 60:.0f} min" for name, spent in seconds.items())
    about = ABOUT.format(
        limit=limit,
        beam=BEAM,
        steps=recipe.training.max_steps,
        batch=recipe.data.batch_seconds,
        minutes=minutes,
    )
    head = (
        "| prompts | language | style | CTC weight | English WER | French WER | language right | "
        "texts with capitals or marks | F1 of marks |\n"
        "|---|---|---|---:|---:|---:|---:|---:|---:|\n"
    )
    write_atomic(path, f"{about}\n{head}{''.join(map(_row, results))}")


def _row(one: Measured) -> str:
    language, style = one.asked.get("language", "-"), one.asked.get("style", "-")
    cells = [
        one.name,
        language,
        style,
        f"{one.asked['ctc_weight']:g}",
        *(f"{one.word_error_rate(code):.1%}" for code in ("en", "fr")),
        f"{one.detection:.1%}" if language == "detected" else "-",
        f"{one.with_marks:.1%}",
        f"{one.marks_f1:.2f}",
    ]
    return f"| {' | '.join(cells)} |\n"
