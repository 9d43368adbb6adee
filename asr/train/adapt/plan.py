"""What adapting a model to a corpus will do: the split, the labels and the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from asr.config import override, read_yaml
from asr.data.columns import AS_THEY_ARE, Columns
from asr.data.config import CorpusSource
from asr.data.manifest import read_manifest
from asr.data.utterance import text_of
from asr.errors import ConfigError, ManifestError, TrainingError
from asr.evaluate.error_rate import number_of
from asr.model.folder import FolderConfig, read_folder_config
from asr.model.whisper.config import WhisperDecoderConfig
from asr.text import TextNormalizer, load_tokenizer
from asr.text.whisper import WhisperTokenizer
from asr.train.adapt.base import base_folder
from asr.train.adapt.holdout import DEV, KEPT, TRAIN, HeldOut, hold_out, portion, write_cuts
from asr.train.adapt.hyperparameters import (
    KEEP_SHARE,
    LORA_LR,
    Amount,
    repeat_of,
    settings,
    whisper_lr,
    whisper_settings,
)
from asr.train.adapt.language import (
    check_kept,
    default_language,
    with_default_language,
)
from asr.train.adapt.new_labels import new_labels, same_labels
from asr.train.adapt.request import Request
from asr.train.adapt.written import fit_case
from asr.train.checks import check_chunks, unwritable
from asr.train.recipe import ChunkConfig, Recipe, make_recipe
from asr.train.report.peak_lr import peak_lr

if TYPE_CHECKING:
    from lhotse.cut import Cut

#: What is taken over of the recipe that the model was trained with, which its folder has.
FIRST_RECIPE = Path("training") / "recipe.yaml"
OF_THE_LOSS = ("ctc_weight", "intermediate_weight", "label_smoothing")
#: The peak learning rate of a model whose folder does not say it.
USUAL_LR = 2e-3
#: Where fewer of the labels than this are the model's, they are trained alone first.
MANY_LABELS = 0.5


@dataclass(frozen=True)
class AdaptationPlan:
    """What will be done.

    `model` is the model folder to start from. `dev` is what is measured on, before and after;
    `language` is that of its utterances whose manifest names none (see `default_language`).
    `other_labels` are not the model's; where most are not, they are `fresh_labels`, to be trained
    alone first. `notes` say what was chosen.
    """

    recipe: Recipe
    model: Path
    dev: Path | None
    language: str | None
    other_labels: bool
    fresh_labels: bool
    notes: tuple[str, ...]


def plan(request: Request) -> AdaptationPlan:
    """Chooses everything that `request` leaves open, and writes the split and new labels.

    Raises:
        ManifestError, ModelError, ConfigError: what is named cannot be read or used.
        TrainingError: the corpus is read lazily; the labels cannot write the texts; the folder
            was begun with other data.
        OutputError: the folder cannot be written.
    """
    model = base_folder(request.model, request.folder, request.resume)
    base = read_folder_config(model)
    cuts = _listed(request.data, request.columns)
    place = (request.folder / "data").absolute()
    if request.dev is not None:
        parts = HeldOut(cuts, _listed(request.dev, request.columns), "named")
        train, dev = request.data.absolute(), request.dev.absolute()
        if request.columns:  # which whoever reads the corpora again need not know
            parts.write(place, request.begun)
            train, dev = place / TRAIN, place / DEV
    else:
        parts = hold_out(cuts)
        parts.write(place, request.begun)
        train, dev = place / TRAIN, place / DEV
    new = Amount.of(parts.train)
    values = _values(model, base, new, request)
    values["data"]["train"] = [{"manifest": str(train)}]
    values["data"]["dev"] = [str(dev)] if parts.dev else []
    if not parts.dev:
        values["checkpoint"]["average"] = "none"
    recipe = make_recipe(values, request.overrides, "settings", Path.cwd())
    if recipe.prompts.fields:
        raise ConfigError(
            "prompts.fields: the labels of a model are kept when it is adapted, and so are its "
            "prompt fields; for others write a recipe: asr train RECIPE --init MODEL --init-partial"
        )
    kept: list[Cut] = []
    if request.keep is not None:
        kept = _keep(request, request.keep, recipe, new)
        recipe = _rehearsing(recipe, place / KEPT, repeat_of(Amount.of(kept), new))
    normalizer, written = fit_case(recipe.normalizer, map(text_of, parts.train))
    recipe = recipe.model_copy(update={"normalizer": normalizer})
    chosen = _choose_labels(request, model, recipe, [*parts.train, *parts.dev, *kept])
    labels = load_tokenizer(chosen.folder)
    spoken = [*parts.train, *parts.dev]
    language = default_language(labels, spoken, request.language, request.data)
    if request.keep is not None:
        check_kept(labels, kept, request.language, request.keep)
    folder = chosen.folder
    if language is not None:
        folder = with_default_language(labels, language, request.folder / "tokenizer")
    recipe = recipe.model_copy(update={"tokenizer": folder.absolute()})
    notes = [*_choices(base, new, kept, parts, recipe), *written, *chosen.notes]
    return AdaptationPlan(
        recipe,
        model,
        dev if parts.dev else None,
        language,
        chosen.others,
        chosen.fresh,
        tuple(notes),
    )


def _keep(request: Request, old: Path, recipe: Recipe, new: Amount) -> list[Cut]:
    """As much of the old domain as will be trained on; a run that goes on keeps its selection."""
    path = request.folder / "data" / KEPT
    if request.begun and path.exists():
        return _listed(path)
    longest = recipe.data.max_seconds
    kept = portion(_listed(old), _seconds_kept(recipe, new), longest)
    if not kept:
        raise ManifestError(
            f"{old}: has no utterance of at most {longest:g} s; name another corpus with --keep"
        )
    write_cuts(path.absolute(), kept, begun=False)
    return kept


def _seconds_kept(recipe: Recipe, new: Amount) -> float:
    """Seconds of the old domain that are needed for hardly any of it to be trained on twice."""
    training = recipe.training
    if training.max_steps is not None:
        seconds = training.max_steps * training.accumulate * recipe.data.batch_seconds
    else:
        seconds = (training.epochs or 1) * new.seconds / (1 - KEEP_SHARE)
    return KEEP_SHARE * seconds


def _rehearsing(recipe: Recipe, manifest: Path, repeat: float) -> Recipe:
    train = (*recipe.data.train, CorpusSource(manifest=str(manifest), repeat=repeat))
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"train": train})})


def _listed(place: Path, columns: Columns = AS_THEY_ARE) -> list[Cut]:
    cuts = read_manifest(place.absolute(), columns=columns)
    if cuts.is_lazy:
        raise TrainingError(
            f"{place}: so large that it is read lazily, and nothing can be chosen by looking at "
            "it; write a recipe and use 'asr train RECIPE --init MODEL'"
        )
    return list(cuts)


def _values(
    model: Path, base: FolderConfig, new: Amount, request: Request
) -> dict[str, dict[str, Any]]:
    """The recipe but for its corpora and labels."""
    first, rehearsed = _first_recipe(model), request.keep is not None
    loss = first.get("loss", {})
    if isinstance(base.model.decoder, WhisperDecoderConfig):
        asked = _training_keys(request.overrides)
        lr = whisper_lr(base.model.decoder.dim) if asked.get("lora") is None else LORA_LR
        steps = asked.get("max_steps")
        steps = steps if isinstance(steps, int) else None
        values = whisper_settings(new, rehearsed, lr, steps)
        loss = {"label_smoothing": 0.0, **loss}
    else:
        values = settings(new, rehearsed, peak_lr(model) or USUAL_LR)
    values["training"]["threads"] = torch.get_num_threads()
    chunks = first.get("chunks", _default_chunks(base).model_dump())
    values["chunks"] = {key: chunks[key] for key in ChunkConfig.model_fields if key in chunks}
    values["loss"] = {key: loss[key] for key in OF_THE_LOSS if key in loss}
    if not base.model.ctc:
        values["loss"]["ctc_weight"] = 0.0
    # the change of speed is our choice: utterances that it makes too short are noted, not refused
    values["loss"]["leave_out_too_long"] = True
    values["model"] = base.model.model_dump(mode="json")
    values["normalizer"] = base.normalizer.model_dump(mode="json")
    return values


def _training_keys(overrides: Sequence[str]) -> Mapping[str, Any]:
    """What `overrides` set of `training`, unchecked."""
    asked: dict[str, Any] = {}
    for setting in overrides:
        override(asked, setting)
    training = asked.get("training")
    return training if isinstance(training, dict) else {}


def _default_chunks(base: FolderConfig) -> ChunkConfig:
    """Chunks as well as whole utterances, where the encoder can: full context alone would take
    streaming away from a model that can do it.
    """
    mixed = ChunkConfig(full=0.6)
    try:
        check_chunks(base.model, mixed)
    except ConfigError:
        return ChunkConfig(full=1.0)
    return mixed


def _first_recipe(model: Path) -> Mapping[str, Any]:
    """The recipe that the model was trained by; empty where its folder has none."""
    try:
        return read_yaml(model / FIRST_RECIPE)
    except ConfigError:
        return {}


@dataclass(frozen=True)
class _Labels:
    folder: Path
    others: bool
    fresh: bool
    notes: tuple[str, ...] = ()


def _choose_labels(request: Request, model: Path, recipe: Recipe, cuts: Sequence[Cut]) -> _Labels:
    normalize = TextNormalizer(recipe.normalizer)
    theirs = load_tokenizer(model)
    folder = model
    if request.tokenizer == "new":
        if isinstance(theirs, WhisperTokenizer):
            raise ConfigError(
                "--tokenizer new: the labels of a Whisper model can write every text; leave it out"
            )
        folder = request.folder / "tokenizer"
        if not (request.begun and folder.exists()):
            new_labels(theirs, (normalize(text_of(cut)) for cut in cuts), folder)
    elif request.tokenizer not in (None, "keep"):
        folder = Path(str(request.tokenizer))
    own = load_tokenizer(folder)
    if request.tokenizer is None and (line := unwritable(cuts, normalize, own)):
        raise TrainingError(
            f"{request.data}: {line}; give the model labels for them (--tokenizer new), correct "
            "the texts or how they are normalised (normalizer.diacritics=fold takes accents "
            "away), or have them become unknown (--tokenizer keep)"
        )
    same = same_labels(own, theirs)
    if same == own.size == theirs.size:
        return _Labels(folder, False, False)
    fresh = same < MANY_LABELS * own.size
    note = f"labels: {own.size}, of which {same} are the model's"
    return _Labels(folder, True, fresh, (note + "; trained alone first" if fresh else note,))


def _amount(corpus: Amount) -> str:
    return f"{number_of(corpus.utterances, 'utterance')}, {corpus.seconds / 60:.1f} minutes"


def _choices(
    base: FolderConfig, new: Amount, kept: Sequence[Cut], parts: HeldOut, recipe: Recipe
) -> list[str]:
    """What was chosen, for people."""
    held, training = Amount.of(parts.dev), recipe.training
    lines = [
        f"adapting {base.name} to {_amount(new)}",
        f"measured on {_amount(held)} ({parts.how})"
        if parts.dev
        else f"measured on nothing ({parts.how}): name a corpus with --dev",
    ]
    if kept:
        lines.append(
            f"rehearsed: {KEEP_SHARE:.0%} of the training audio is of the old domain "
            f"({_amount(Amount.of(kept))})"
        )
    steps, epochs = training.max_steps, training.epochs
    length = number_of(steps, "step") if steps else number_of(epochs or 0, "epoch")
    lines.append(
        f"{length} of up to {recipe.data.batch_seconds:g} s of sound, learning rate up to "
        f"{recipe.optimizer.lr:g} (others by optimizer.lr=..., training.max_steps=...)"
    )
    return lines
