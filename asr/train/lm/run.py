"""Training a language model from texts to its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr.atomic import write_atomic
from asr.config import to_yaml
from asr.errors import ConfigError, TrainingError
from asr.folders import CONFIG
from asr.lm.folder import (
    LMFolderConfig,
    build_lm,
    check_same_labels,
    load_lm_folder,
    save_lm_folder,
)
from asr.lm.kneser_ney import estimate
from asr.lm.ngram import NGramConfig
from asr.lm.perplexity import Perplexity, perplexity
from asr.lm.protocol import LanguageModel, NeuralLanguageModel
from asr.model.folder import read_folder_config
from asr.text import NormalizerConfig, TextNormalizer, Tokenizer, load_tokenizer
from asr.train.call_time import CallTime
from asr.train.checkpoint import load_checkpoint
from asr.train.devices import Devices, is_bf16, prepare_cpu
from asr.train.lm.batches import epoch_seed, joined_rows
from asr.train.lm.recipe import LMRecipe
from asr.train.lm.steps import LMEvaluation, LMTraining, TextData
from asr.train.lm.texts import PreparedTexts, Sources, TextCorpus, prepare
from asr.train.lock import locked
from asr.train.loop import RunPlan, TrainingLoop
from asr.train.report.progress import TrainingProgress
from asr.train.resume import checkpoint_to_resume
from asr.train.trainer import fit, make_trainer, quiet


@dataclass(frozen=True)
class LMStart:
    """Where a run starts from, and how many seconds this call may take."""

    resume: str = "auto"
    init: Path | None = None
    max_time: float | None = None


@dataclass(frozen=True)
class LMOutcome:
    """The folder that was written, how well the dev texts are foretold, and why the run ended."""

    lm: Path
    measured: Perplexity
    ended: str


FROM_WHERE_IT_STOPPED = LMStart()
#: After so many steps in a row whose loss is not finite, training gives up.
_BAD_STEPS = 5


def train_lm(
    sources: Sources,
    tokenizer: Path,
    recipe: LMRecipe,
    folder: Path,
    start: LMStart = FROM_WHERE_IT_STOPPED,
    device: torch.device | str = "cpu",
) -> LMOutcome:
    """Trains a language model in `folder`; called again, goes on where it was stopped.

    `folder` gets `checkpoints/` (to resume from) and `lm/`, the language model folder.

    Args:
        tokenizer: a model folder, whose normaliser is used too unless the recipe has one, or the
            folder of a tokenizer.

    Raises:
        AsrError: it cannot start or go on; the message says why, and what to do.
    """
    call = CallTime(start.max_time)
    quiet()
    prepare_cpu(recipe.training.threads)
    labels = load_tokenizer(tokenizer)
    normalizer = recipe.normalizer or normalizer_of(tokenizer)
    recipe = recipe.model_copy(update={"normalizer": normalizer})
    counted = isinstance(recipe.lm, NGramConfig)
    if counted and (start.init is not None or start.max_time is not None):
        raise ConfigError("n-grams are counted at once: --init and --max-time are not for them")
    with locked(folder), _progress(recipe) as progress:
        data = prepare(sources, TextNormalizer(normalizer), labels, recipe.text)
        for note in data.notes:
            progress.say(note)
        if counted:
            lm: LanguageModel = _count(recipe, labels, data, progress)
            return _finish(folder, lm, labels, recipe, data, "counted")
        return _train_neural(
            recipe, labels, data, folder, start, call, torch.device(device), progress
        )


def normalizer_of(folder: Path) -> NormalizerConfig:
    """The normaliser of a model folder, of a language model folder, or the usual one."""
    if not (folder / CONFIG).is_file():
        return NormalizerConfig()
    return read_folder_config(folder).normalizer


def _count(
    recipe: LMRecipe, labels: Tokenizer, data: PreparedTexts, progress: TrainingProgress
) -> LanguageModel:
    assert isinstance(recipe.lm, NGramConfig)
    order, prune = recipe.lm.order, recipe.lm.prune
    ngram = estimate(_counted_texts(recipe, data.train), labels.size, labels.labels, order, prune)
    levels = ngram.levels()
    sizes = [str(end - start) for start, end in pairwise(levels[1:])]
    progress.say(f"n-grams of 1, 2, ... labels: {', '.join(sizes)}")
    return ngram


def _counted_texts(recipe: LMRecipe, corpus: TextCorpus) -> list[np.ndarray]:
    """The texts of an n-gram model, joined where the recipe asks for it; same seed, same rows."""
    draw = np.random.default_rng(epoch_seed(recipe.training.seed, 0))
    rows = joined_rows(corpus, recipe.text.join or 1, recipe.text.words, draw)
    return [corpus.span(first, last) for first, last in rows]


def _train_neural(
    recipe: LMRecipe,
    labels: Tokenizer,
    texts: PreparedTexts,
    folder: Path,
    start: LMStart,
    call: CallTime,
    device: torch.device,
    progress: TrainingProgress,
) -> LMOutcome:
    """Trains, from the beginning or from a checkpoint."""
    torch.manual_seed(recipe.training.seed)
    lm = build_lm(recipe.lm, labels.size)
    resumed = checkpoint_to_resume(folder / "checkpoints", start.resume)
    if resumed is None and start.init is not None:
        _initialise(lm, labels, start.init)
        progress.say(f"starts from the weights of {start.init}")
    count = sum(weights.numel() for weights in lm.parameters())
    progress.say(f"{recipe.lm.type} of {count / 1e6:.2f} million weights, {labels.size} labels")
    data = TextData(recipe, texts)
    if resumed is not None:
        state = load_checkpoint(resumed)
        _check_fits(state, recipe, texts, progress)
        progress.say(f"goes on at step {state['run']['step']}, from {resumed}")
    else:
        _warn_of_short_run(recipe, data.epoch_batches(), progress)
    outcomes: list[LMOutcome] = []

    def write(model: LanguageModel) -> None:
        outcomes.append(_finish(folder, model, labels, recipe, texts, loop.ended))

    evaluation = LMEvaluation(texts, progress, write)
    loop = TrainingLoop(_plan(recipe, call), folder / "checkpoints", progress, evaluation)
    trainer = make_trainer(_devices(device, recipe), folder, [progress, loop])
    fit(trainer, LMTraining(recipe, lm, data), data, loop, resumed)
    return outcomes[0]


def _plan(recipe: LMRecipe, call: CallTime) -> RunPlan:
    training = recipe.training
    return RunPlan(
        epochs=training.epochs,
        max_steps=None,
        total_time=training.total_time,
        call=call,
        validation_steps=training.validation_steps,
        checkpoint_steps=None,
        checkpoint_minutes=training.checkpoint_minutes,
        log_steps=1,
        bad_steps=_BAD_STEPS,
    )


def _devices(device: torch.device, recipe: LMRecipe) -> Devices:
    bf16 = is_bf16(recipe.training.precision, device.type == "cuda")
    return Devices(
        accelerator="gpu" if device.type == "cuda" else device.type,
        count=1 if device.index is None else [device.index],
        nodes=1,
        strategy="single",
        precision="bf16-mixed" if bf16 else "32-true",
        description=str(device),
    )


def _check_fits(
    state: Mapping[str, Any], recipe: LMRecipe, texts: PreparedTexts, progress: TrainingProgress
) -> None:
    """Refuses a checkpoint that cannot be gone on from.

    Raises:
        TrainingError: it is of another model, or of another tokenizer.
    """
    before, now = state["recipe"]["lm"], recipe.model_dump(mode="json")["lm"]
    if before != now:
        raise TrainingError(
            f"the checkpoint is of another model ({before}, not {now}); restore the options, or "
            "start anew with --resume never or another folder (-o)"
        )
    if state["pieces"] != list(texts.pieces):
        raise TrainingError(
            "the checkpoint is of another tokenizer; name the first one (--tokenizer), or "
            "start anew with --resume never or another folder (-o)"
        )
    if state["texts"] != texts.train.digest():
        progress.say("the texts are not those that the run began with")


def _warn_of_short_run(recipe: LMRecipe, batches: int, progress: TrainingProgress) -> None:
    """A run that is mostly warm-up ends with a model that knows nothing."""
    training, warmup = recipe.training, recipe.schedule.warmup_steps
    steps = batches * training.epochs
    if warmup > steps // 5:
        progress.say(
            f"there is little text: {steps} steps in {training.epochs} epochs, of which "
            f"{min(warmup, steps)} are warm-up, so it will hardly learn; n-grams learn more of "
            f"it (--type ngram), or set training.epochs={max(1, 5 * warmup // batches)} or "
            f"schedule.warmup_steps={steps // 10}"
        )


def _initialise(lm: NeuralLanguageModel, labels: Tokenizer, folder: Path) -> None:
    """Takes over the weights of a trained model of the same shape.

    Raises:
        ConfigError: it is another model.
        ModelError: its labels are others.
    """
    other = load_lm_folder(folder)
    check_same_labels(labels, other.tokenizer, "the tokenizer", str(folder))
    mine, theirs = lm.state_dict(), other.lm.state_dict()
    if {n: t.shape for n, t in mine.items()} != {n: t.shape for n, t in theirs.items()}:
        raise ConfigError(
            f"--init {folder}: it is another model ({other.config.lm!r}); give the same options"
        )
    lm.load_state_dict(theirs)


def _finish(
    folder: Path,
    lm: LanguageModel,
    labels: Tokenizer,
    recipe: LMRecipe,
    data: PreparedTexts,
    ended: str,
) -> LMOutcome:
    """Measures the model and writes its folder."""
    words, end = int(data.dev.words.sum()), labels.labels.end
    measured = perplexity(lm, data.dev.texts(), words, end)
    facts: dict[str, Any] = {
        "words": int(data.train.words.sum()),
        "dev_perplexity_word": round(measured.per_word, 2),
        "dev_perplexity_label": round(measured.per_label, 3),
    }
    assert recipe.normalizer is not None
    config = LMFolderConfig(
        name=folder.name,
        vocabulary=labels.size,
        lm=recipe.lm,
        normalizer=recipe.normalizer,
        facts=facts,
    )
    write_atomic(folder / "training" / "recipe.yaml", to_yaml(recipe))
    save_lm_folder(folder / "lm", lm, labels, config, training=folder / "training")
    return LMOutcome(folder / "lm", measured, ended)


@contextmanager
def _progress(recipe: LMRecipe) -> Iterator[TrainingProgress]:
    progress = TrainingProgress(recipe.training.log_seconds)
    try:
        yield progress
    finally:
        progress.close()
