"""The recipe: everything that decides a training run, in one strict configuration.

A recipe is a YAML file; `load_recipe` reads it with overrides such as `optimizer.lr=0.001`. Paths
in it are relative to the file. What a run used is written to `training/recipe.yaml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from asr.atomic import write_atomic
from asr.config import Config, Duration, override, parse, parse_part, read_yaml, to_yaml
from asr.data.config import CorpusSource, DataConfig
from asr.data.specaugment import SpecAugmentConfig
from asr.model import ModelConfig
from asr.model.folder import read_folder_config
from asr.text import NormalizerConfig, PromptConfig, TokenizerConfig
from asr.train.losses.config import LossConfig
from asr.train.losses.consistency import widened
from asr.train.optimizer import LoraConfig, Noam, OptimizerConfig, Schedule, schedule_config

#: A class of Lightning's kind: its dotted name, or a mapping of `class` and arguments.
NamedClass = str | dict[str, Any]


def _in_a_list(value: Any) -> Any:
    if isinstance(value, str | dict):
        shown = value if isinstance(value, str) else "{class: ...}"
        raise ValueError(f"must be a list, as [{shown}]")
    return value


NamedClasses = Annotated[tuple[NamedClass, ...], BeforeValidator(_in_a_list)]


def _text(value: Any) -> Any:
    """YAML reads 32 as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


#: A key of a configuration; `auto` is bf16 where the device multiplies it natively, else 32.
Precision = Annotated[Literal["auto", "32", "bf16"], BeforeValidator(_text)]


class ChunkConfig(Config):
    """How much each batch lets the encoder see, drawn per batch, in memory frames.

    Attributes:
        full: probability of the whole utterance; otherwise it is chunks.
        smallest, largest: frames of a chunk.
        least_left, most_left: frames before its chunk that a frame sees.
    """

    full: float = Field(default=1.0, ge=0, le=1)
    smallest: int = Field(default=4, ge=1)
    largest: int = Field(default=32, ge=1)
    least_left: int = Field(default=16, ge=0)
    most_left: int = Field(default=128, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> ChunkConfig:
        if self.smallest > self.largest:
            raise ValueError(f"smallest {self.smallest} is above largest {self.largest}")
        if self.least_left > self.most_left:
            raise ValueError(f"least_left {self.least_left} is above most_left {self.most_left}")
        return self


class TrainingConfig(Config):
    """How long, on what, and how gradients become steps.

    Attributes:
        epochs, max_steps: training ends at the first of these, `total_time` and `max_time`.
        total_time: training ends after so long in all calls together: seconds, or 90s, 1h30m; the
            writing of the model is not counted.
        max_time: each call is over after so long, its preparation, its last validations and the
            writing of the model included; it is a run of its own for the schedule where there is no
            other end.
        accumulate: batches that make one step.
        clip_norm: gradients are scaled down to this norm.
        precision: of the arithmetic; auto is bf16 where the device multiplies it natively, else 32.
        seed: of everything that is drawn.
        accelerator: auto takes GPUs where there are some.
        devices: processes; auto is all GPUs, or one process on a CPU; torchrun and SLURM, which
            start the processes, say how many there are.
        nodes: machines; those of torchrun and SLURM are counted.
        strategy: with ddp each process holds the whole model; auto takes it for several processes,
            and it starts one also where there is one device. fsdp divides weights, gradients and
            the optimizer's state among processes: for models that one GPU does not hold.
        callbacks: Lightning callbacks of your own or of others: the dotted name of a class
            (`package.module.Class`), or a mapping with the key `class` and its arguments.
        threads: CPU threads of a process (0: as many as torch finds); another number when a run
            goes on is not bit-equal.
        compile: makes kernels of parts of the model: half a minute at the start, pays on GPUs only.
        ema: decay of the moving average of the weights; 0 keeps none.
        weight_noise: standard deviation of noise that the matrices have in each step (Graves 2011).
        bad_steps: training gives up after so many steps in a row with a loss that is not finite.
        freeze: names modules (`encoder.layers.0`, `decoder`) that stay as they are: new labels on
            a trained encoder would otherwise undo it before they have learnt.
        lora: trains small matrices beside the weights of a model that `--init` names, and nothing
            else (`LoraConfig`); the model folder has them added to the weights.
    """

    epochs: int | None = Field(default=None, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    total_time: Duration | None = Field(default=None, gt=0)
    max_time: Duration | None = Field(default=None, gt=0)
    accumulate: int = Field(default=1, ge=1)
    clip_norm: float = Field(default=5.0, gt=0)
    precision: Precision = "auto"
    seed: int = Field(default=0, ge=0)
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int | Literal["auto"] = "auto"
    nodes: int = Field(default=1, ge=1)
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    callbacks: NamedClasses = ()
    threads: int = Field(default=0, ge=0)
    compile: bool = False
    ema: float = Field(default=0.999, ge=0, lt=1)
    weight_noise: float = Field(default=0.0, ge=0, le=1)
    bad_steps: int = Field(default=5, ge=1)
    freeze: tuple[str, ...] = ()
    lora: LoraConfig | None = None

    @model_validator(mode="after")
    def _ends(self) -> TrainingConfig:
        if isinstance(self.devices, int) and self.devices < 1:
            raise ValueError(f"devices {self.devices} must be 'auto' or at least 1")
        if not self.ends and self.max_time is None:
            raise ValueError("give at least one of epochs, max_steps, total_time and max_time")
        return self

    @property
    def ends(self) -> bool:
        """Whether it is known where the run ends, however many calls that takes."""
        return not (self.epochs is None and self.max_steps is None and self.total_time is None)


class CheckpointConfig(Config):
    """When the state to resume from is written, and which weights the model gets in the end.

    Attributes:
        steps: the state is written after so many steps, or after `minutes`: what comes first.
        minutes: the state is written when so many have passed.
        keep: snapshots of the weights, one of each validation, that are held for `average`.
        average: the model gets the mean of the last or of the best snapshots, where that is better
            on the dev set than the final weights alone; none never asks.
        export: the model folder is written at the `end` of each call, or after each validation
            that is the `best` so far: a run of days always has its best model ready.
    """

    steps: int | None = Field(default=None, ge=1)
    minutes: float = Field(default=10.0, gt=0)
    keep: int = Field(default=5, ge=1)
    average: Literal["none", "last", "best"] = "last"
    export: Literal["end", "best"] = "end"


class ValidationConfig(Config):
    """When and on how much it is measured how well the model does.

    Attributes:
        steps: validation happens after so many steps (null: at each epoch's end) and at the end.
        batches: limit of the dev batches of a validation (null: all).
        decode: utterances that are decoded each time, for the word error rate.
        show: how many of these are printed beside their reference.
    """

    steps: int | None = Field(default=None, ge=1)
    batches: int | None = Field(default=None, ge=1)
    decode: int = Field(default=64, ge=0)
    show: int = Field(default=8, ge=0)


class LogConfig(Config):
    """How often is told how far it has come.

    Attributes:
        steps: a line of the log, one for so many steps.
        seconds: a printed line, one in so many, where there is no terminal.
        loggers: where figures are logged besides `training/log.csv`: tensorboard, wandb, mlflow,
            the dotted name of one of Lightning's loggers, or a mapping with the key `class`
            and its arguments.
        tensorboard: false leaves tensorboard out of `loggers`.
        profile: so many batches are profiled once training is warm; `training/profile.txt` says
            what their time goes to.
    """

    steps: int = Field(default=10, ge=1)
    seconds: float = Field(default=30.0, gt=0)
    loggers: NamedClasses = ("csv", "tensorboard")
    tensorboard: bool = True
    profile: int = Field(default=0, ge=0, le=1000)

    @model_validator(mode="after")
    def _no_logger_twice(self) -> LogConfig:
        seen: list[NamedClass] = []
        for entry in self.loggers:
            name = entry if isinstance(entry, str) else entry.get("class", "")
            # short names write to a place of the run; classes may be told different places
            key: NamedClass = entry if isinstance(entry, dict) and "." in str(name) else name
            if key in seen:
                raise ValueError(f"loggers has {name} twice; leave one of them out")
            seen.append(key)
        return self

    @property
    def active_loggers(self) -> list[NamedClass]:
        """`loggers`, without what `tensorboard` leaves out."""
        return [one for one in self.loggers if self.tensorboard or one != "tensorboard"]


def _tokenizer(value: Any) -> Any:
    """Mistakes are named as those of a tokenizer's settings, not of a path as well."""
    return parse_part(TokenizerConfig, value, "tokenizer") if isinstance(value, dict) else value


class Recipe(Config):
    """A whole training run.

    Attributes:
        tokenizer: a folder of one, or how to train one.
        prompts: fields of the manifests that the decoder is fed before the text; without any there
            are those of a tokenizer that has them already.
        spec_augment: masks over bands and time (Park et al. 2019); null is none.
        statistics: utterances that mean and variance of features are measured on.
        output: the folder to write to (null: exp/NAME beside the recipe).
    """

    data: DataConfig
    model: ModelConfig = ModelConfig()
    tokenizer: Annotated[TokenizerConfig | Path, BeforeValidator(_tokenizer)] = TokenizerConfig()
    prompts: PromptConfig = PromptConfig()
    normalizer: NormalizerConfig = NormalizerConfig()
    spec_augment: SpecAugmentConfig | None = SpecAugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: Annotated[SerializeAsAny[Schedule], BeforeValidator(schedule_config)] = Noam()
    chunks: ChunkConfig = ChunkConfig()
    training: TrainingConfig
    checkpoint: CheckpointConfig = CheckpointConfig()
    validation: ValidationConfig = ValidationConfig()
    log: LogConfig = LogConfig()
    statistics: int = Field(default=2000, ge=1)
    output: Path | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if not self.model.ctc and self.loss.ctc_weight > 0:
            raise ValueError("loss.ctc_weight must be 0 where model.ctc is false")
        if self.model.decoder is None and self.loss.ctc_weight < 1:
            raise ValueError("loss.ctc_weight must be 1 where model.decoder is null")
        if self.prompts.fields and self.model.decoder is None:
            raise ValueError("prompts needs a decoder, which is fed them: set model.decoder")
        if self.prompts.fields and self.data.concatenate_seconds:
            raise ValueError("prompts does not go with data.concatenate_seconds: set it to 0")
        self._views_differ()
        self._can_be_divided()
        blind = self.loss.ctc_weight == 1 or getattr(self.model.decoder, "attention", "") == "none"
        if self.loss.guided_attention and blind:
            raise ValueError("loss.guided_attention needs a decoder with attention")
        if self.loss.scheduled_sampling and self.loss.ctc_weight == 1:
            raise ValueError("loss.scheduled_sampling needs a decoder: set loss.ctc_weight below 1")
        return self

    def _can_be_divided(self) -> None:
        """With fsdp, all processes gather a layer's weights: all must call the same layers."""
        if self.training.strategy != "fsdp":
            return
        varying = {
            "model.encoder.layer_drop": getattr(self.model.encoder, "layer_drop", 0.0),
            "loss.mwer": self.loss.mwer,
            "loss.scheduled_sampling": self.loss.scheduled_sampling,
            "training.weight_noise": self.training.weight_noise,
            "training.compile": self.training.compile,
            "training.lora": self.training.lora,
        }
        if names := [name for name, value in varying.items() if value]:
            raise ValueError(f"training.strategy fsdp does not go with {', '.join(names)}; use ddp")

    def _views_differ(self) -> None:
        """Consistency regularisation needs CTC, and masks that differ and are in range."""
        if self.loss.consistency_weight == 0:
            return
        if self.loss.ctc_weight == 0:
            raise ValueError("loss.consistency_weight needs CTC: set loss.ctc_weight above 0")
        if self.spec_augment is None:
            raise ValueError("loss.consistency_weight compares two views: set spec_augment")
        wide = widened(self.spec_augment, self.loss.consistency_masking)
        for name, most in (("time_share", 1), ("time_masks", 1000)):
            if (value := getattr(wide, name)) > most:
                raise ValueError(
                    f"loss.consistency_masking makes spec_augment.{name} {value:g}, "
                    f"which is above {most}: lower one of them"
                )


def load_recipe(path: Path, overrides: Sequence[str] = (), init: Path | None = None) -> Recipe:
    """Reads a recipe and applies overrides `a.b=value` (the value is YAML).

    Args:
        init: the model folder that training starts from. It says what the recipe does not:
            `model`, `tokenizer` and `normalizer`.

    Raises:
        ConfigError: the file or an override cannot be read, or a key or value is wrong.
        ModelError: there is no model in `init`.
    """
    values = read_yaml(path)
    if init is not None:
        like = read_folder_config(init)
        values.setdefault("model", like.model.model_dump(mode="json"))
        values.setdefault("normalizer", like.normalizer.model_dump(mode="json"))
        values.setdefault("tokenizer", str(init.absolute()))
    return make_recipe(values, overrides, str(path), path.absolute().parent)


def make_recipe(
    values: dict[str, Any], overrides: Sequence[str], source: str, folder: Path
) -> Recipe:
    """A recipe of plain values, changed by overrides; relative paths are taken from `folder`.

    Raises:
        ConfigError: a key or value is wrong; `source` is named.
    """
    for one in overrides:
        override(values, one)
    return anchored(parse(Recipe, values, source), folder)


def anchored(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with relative paths taken from `folder`."""

    def sources(found: tuple[CorpusSource, ...]) -> tuple[CorpusSource, ...]:
        return tuple(one.model_copy(update={"manifest": at(one.manifest)}) for one in found)

    def at(path: str) -> str:
        return str(folder / path)

    data = recipe.data
    augment: dict[str, Config] = {}
    if data.augment.noise is not None:
        noise = data.augment.noise
        augment["noise"] = noise.model_copy(update={"manifest": at(noise.manifest)})
    if data.augment.room is not None:
        room = data.augment.room
        augment["room"] = room.model_copy(update={"folder": at(room.folder)})
    changed: dict[str, Any] = {
        "data": data.model_copy(
            update={
                "train": sources(data.train),
                "dev": sources(data.dev),
                "augment": data.augment.model_copy(update=augment),
            }
        )
    }
    if isinstance(recipe.tokenizer, Path):
        changed["tokenizer"] = folder / recipe.tokenizer
    if recipe.output is not None:
        changed["output"] = folder / recipe.output
    return recipe.model_copy(update=changed)


def write_recipe(recipe: Recipe, folder: Path) -> None:
    """Writes the resolved recipe, which can be trained with as it is, as `folder/recipe.yaml`.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomic(folder / "recipe.yaml", to_yaml(recipe))
