"""Adapting a model to a corpus, and measuring what that has done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from asr.atomic import atomic_folder, write_atomic
from asr.errors import ManifestError
from asr.evaluate.calibration import calibrate, keep_maps, map_name
from asr.evaluate.error_rate import percent
from asr.evaluate.evaluation import Evaluation
from asr.model.folder import keep_search, read_folder_config
from asr.text import load_tokenizer
from asr.train.adapt.base import has_begun
from asr.train.adapt.measured import MeasuredCorpus
from asr.train.adapt.plan import AdaptationPlan, plan
from asr.train.adapt.request import Request
from asr.train.recipe import Recipe
from asr.train.run import Outcome, Start, train
from asr.transcribe.recognizer import load_model
from asr.transcribe.settings import OWN_LM

#: Of the steps, the part that fresh labels are trained alone before.
LABELS_SHARE = 0.3
#: Error rate that a language model may cost on held-out speech: less may be chance.
LM_HARM = 0.02
HELD_OUT, OLD = "new domain", "old domain"

#: Shows progress while it is entered. It takes how many seconds there are (None: not known), and
#: gives a function that takes the seconds that were just decoded.
Shown = Callable[[float | None], AbstractContextManager[Callable[[float], None]]]


@contextmanager
def _unseen(_: float | None) -> Iterator[Callable[[float], None]]:
    yield lambda _: None


@dataclass(frozen=True)
class BeforeAfter:
    """What the original and the adapted model get wrong on one corpus."""

    name: str
    corpus: Path
    before: Evaluation
    after: Evaluation


@dataclass(frozen=True)
class Adapted:
    """`model` is None in all processes but the first; `ended` says why training did."""

    model: Path | None
    ended: str
    comparisons: tuple[BeforeAfter, ...] = ()


def finetune(
    request: Request,
    say: Callable[[str], None],
    measuring: Shown = _unseen,
    command: str = "",
) -> Adapted:
    """Adapts a model; called again, goes on where it was stopped.

    Training is that of `asr.train.run.train`, by a recipe that is chosen from the amount of data
    and written to `training/recipe.yaml` of the folder.

    Args:
        say: prints lines about what was chosen and what is done.
        measuring: shows how far measuring has come.

    Raises:
        AsrError: it cannot start or go on; the message says why, and what to do.
    """
    chosen = plan(request)
    for line in chosen.notes:
        say(line)
    # before training: an error in these corpora must not appear only when it is over
    held_out, old = _corpora(chosen, request.old)
    outcome = _train(request, chosen, say, command)
    if outcome.model is None:
        return Adapted(None, outcome.ended)
    _take_along(chosen.model, outcome.model, chosen, say)
    if outcome.ended == "interrupted":
        return Adapted(outcome.model, outcome.ended)
    if held_out is not None:
        _judge_lm(outcome.model, chosen.model, held_out, measuring, say)
    compared = tuple(
        _compare(corpus, chosen.model, outcome.model, measuring, say)
        for corpus in (held_out, old)
        if corpus is not None
    )
    adapted = Adapted(outcome.model, outcome.ended, compared)
    if compared:
        _calibrate(outcome.model, compared[0].after, say)
        card = outcome.model / "README.md"
        write_atomic(card, f"{card.read_text(encoding='utf-8')}\n{_section(chosen.model, adapted)}")
    return adapted


def _corpora(
    chosen: AdaptationPlan, old: Path | None
) -> tuple[MeasuredCorpus | None, MeasuredCorpus | None]:
    """What is held out of the new domain, and the corpus of the old one."""
    assert isinstance(chosen.recipe.tokenizer, Path)
    tokenizers = [load_tokenizer(folder) for folder in (chosen.model, chosen.recipe.tokenizer)]
    read = MeasuredCorpus.read
    return (
        read(HELD_OUT, chosen.dev, tokenizers, chosen.language) if chosen.dev is not None else None,
        read(OLD, old, tokenizers) if old is not None else None,
    )


def _compare(
    corpus: MeasuredCorpus,
    model: Path,
    adapted: Path,
    measuring: Shown,
    say: Callable[[str], None],
) -> BeforeAfter:
    say(f"measuring both models on {corpus.path}")
    with measuring(None if corpus.seconds is None else 2 * corpus.seconds) as decoded:
        before, after = (corpus.measure(load_model(folder), decoded) for folder in (model, adapted))
    rates = (percent(measured.words.rate) for measured in (before, after))
    say(f"{corpus.name}: word error rate {' before, '.join(rates)} after")
    return BeforeAfter(corpus.name, corpus.path, before, after)


def _calibrate(model: Path, measured: Evaluation, say: Callable[[str], None]) -> None:
    """Fits the confidence map, which belongs to the weights."""
    try:
        fitted = calibrate(measured.scored)
    except ManifestError as error:
        say(f"words have no confidence: {error}")
        return
    keep_maps(model, {map_name(load_model(model, "cpu")): fitted})
    judged = fitted.judged
    say(f"confidence: calibration error {percent(judged.ece)} on {judged.words} words")


def _take_along(
    model: Path, adapted: Path, chosen: AdaptationPlan, say: Callable[[str], None]
) -> None:
    """Search settings, and the language model where it has the same labels."""
    keep_search(adapted, model)
    if not (model / OWN_LM).is_dir():
        return
    if chosen.other_labels:
        say(f"{model / OWN_LM}: not taken along, its labels are others; train one with asr lm")
        return
    with atomic_folder(adapted / OWN_LM) as fresh:
        shutil.copytree(model / OWN_LM, fresh, dirs_exist_ok=True)


def _judge_lm(
    adapted: Path,
    model: Path,
    held_out: MeasuredCorpus,
    measuring: Shown,
    say: Callable[[str], None],
) -> None:
    """Leaves the language model out where it does not fit what the new domain says."""
    if not (adapted / OWN_LM).is_dir():
        return
    say("measuring whether the language model fits the new domain")
    with measuring(None if held_out.seconds is None else 2 * held_out.seconds) as decoded:
        fused, alone = (
            held_out.measure(load_model(adapted, lm=lm), decoded).words.rate or 0.0
            for lm in (None, False)
        )
    rates = f"{percent(fused)} of the words wrong with the language model, {percent(alone)} without"
    if fused - alone <= LM_HARM:
        say(f"{rates}: it is taken along")
        return
    shutil.rmtree(adapted / OWN_LM)
    say(f"{rates}: it is left out (--lm {model / OWN_LM} takes it nevertheless)")


def _train(
    request: Request, chosen: AdaptationPlan, say: Callable[[str], None], command: str
) -> Outcome:
    """One run; before it a short one with the encoder as it is, where the labels are others."""
    start = _start(request.resume, request.folder, chosen.model, chosen.other_labels)
    if chosen.fresh_labels and not request.begun:
        say("first the labels alone")
        folder = request.folder / "labels"
        alone = _start(request.resume, folder, chosen.model, True)
        first = train(_labels_alone(chosen.recipe), folder, alone, command)
        if first.ended == "interrupted":
            return first
        start = Start(request.resume, folder / "model")
        say("now the whole model")
    return train(chosen.recipe, request.folder, start, command)


def _start(resume: str, folder: Path, model: Path, partial: bool) -> Start:
    """A run that goes on has its own weights; the model is where it began."""
    begun = has_begun(folder, resume)
    return Start(resume, None if begun else model, init_partial=partial and not begun)


def _labels_alone(recipe: Recipe) -> Recipe:
    whole = recipe.training
    steps = max(round(LABELS_SHARE * (whole.max_steps or 1000)), 1)
    schedule = recipe.schedule.model_copy(update={"warmup_steps": steps // 10})
    return recipe.model_copy(
        update={
            "training": whole.model_copy(update={"max_steps": steps, "freeze": ("encoder",)}),
            "schedule": schedule,
        }
    )


def result_table(comparisons: tuple[BeforeAfter, ...]) -> str:
    """Before and after side by side, as Markdown that is readable as it is."""
    rows: list[tuple[str, ...]] = [("", "utterances", "words", "WER before", "WER after")]
    for compared in comparisons:
        before, after = compared.before, compared.after
        name = f"{compared.name}: {compared.corpus.name}"
        rates = (percent(measured.words.rate) for measured in (before, after))
        rows.append((name, str(len(after.scored)), str(after.words.length), *rates))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_row(row, widths) for row in rows]
    return "\n".join([lines[0], _row(["-" * width for width in widths], widths), *lines[1:]]) + "\n"


def _row(cells: tuple[str, ...] | list[str], widths: list[int]) -> str:
    first, *rest = cells
    aligned = [first.ljust(widths[0])]
    aligned += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
    return f"| {' | '.join(aligned)} |"


def _section(model: Path, adapted: Adapted) -> str:
    return (
        f"## Adapted from {read_folder_config(model).name}\n\n{result_table(adapted.comparisons)}\n"
        "Measured with the search that each model has as its default.\n"
    )
