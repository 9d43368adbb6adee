"""The model card: what a model was trained on, what it can do, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.config import format_duration
from asr.folders import use_lines
from asr.model import ModelConfig, SpeechModel
from asr.model.folder import Origin
from asr.model.imported import origin_lines
from asr.train.corpora import size
from asr.train.module import SpeechTraining
from asr.train.recipe import Recipe
from asr.train.report.peak_lr import FACT, highest_lr
from asr.train.report.validation import DevResult


@dataclass(frozen=True)
class Facts:
    """Figures of a run for people."""

    parameters: int
    labels: int
    train: tuple[int, float] | None
    dev: tuple[int, float] | None
    steps: int
    audio_hours: float
    clock: float
    skipped: int
    weights: str
    figures: dict[str, float]
    decoded: int
    peak_lr: float | None

    @classmethod
    def of(
        cls, module: SpeechTraining, model: SpeechModel, weights: str, result: DevResult | None
    ) -> Facts:
        """Collects them at the end of a run: the `model` that is written, what its `weights` are in
        words, and their figures.
        """
        data, at = module.data, module.run
        return cls(
            parameters=sum(one.numel() for one in model.parameters()),
            labels=data.tokenizer.size,
            train=size(data.corpora.train),
            dev=size(data.corpora.dev),
            steps=at.step,
            audio_hours=at.audio_seconds / 3600,
            clock=at.clock,
            skipped=at.skipped,
            weights=weights,
            figures={n: v for n, v in result.figures().items() if v == v} if result else {},
            decoded=result.decoded if result else 0,
            peak_lr=highest_lr(module.recipe, data.folder),
        )

    def for_config(self) -> dict[str, Any]:
        """The same as plain values, rounded for reading."""
        return {
            "parameters": self.parameters,
            **(
                {"utterances": self.train[0], "hours": round(self.train[1] / 3600, 2)}
                if self.train
                else {}
            ),
            "steps": self.steps,
            "weights": self.weights,
            **({FACT: self.peak_lr} if self.peak_lr is not None else {}),
            "dev": {name: round(value, 4) for name, value in self.figures.items()},
        }


def corpus_size(counted: tuple[int, float] | None) -> str:
    """Utterances and hours, in words."""
    if counted is None:
        return "utterances that were read one after the other"
    utterances, seconds = counted
    return f"{utterances} utterances, {seconds / 3600:.2f} hours" if utterances else "none"


def write_card(
    name: str,
    folder: Path,
    facts: Facts,
    recipe: Recipe,
    command: str,
    origin: Origin | None = None,
) -> str:
    """The card as Markdown, of a model that is written to `folder`.

    `origin` is that of the weights that the run started with.
    """
    return "\n".join(
        [
            f"# {name}",
            "",
            f"A speech recognition model of {facts.parameters / 1e6:.2f} million parameters and "
            f"{facts.labels} labels, for audio at {recipe.model.frontend.sample_rate} Hz: "
            f"{_made_of(recipe.model)}.",
            "",
            *use_lines(folder),
            "## Training data",
            "",
            f"{corpus_size(facts.train)}, of:",
            "",
            *(f"- `{_named(one.manifest)}`{_repeat(one.repeat)}" for one in recipe.data.train),
            "",
            "## Figures",
            "",
            *_figures(facts, recipe),
            "",
            "## Training",
            "",
            f"    {command}",
            "",
            f"{facts.steps} steps over {facts.audio_hours:.1f} hours of audio (utterances that "
            f"were heard again count again) in {format_duration(facts.clock)}; {facts.skipped} "
            f"steps were skipped because of a loss or gradient that was not finite. The weights "
            f"are the {facts.weights}. `training/` has the resolved recipe, the log, the learning "
            "curves and a picture of the attention.",
            "",
            *(_started_from(origin) if origin is not None else []),
        ]
    )


def _started_from(origin: Origin) -> list[str]:
    title, _, *lines = origin_lines(origin, "float32")
    return [title, "", "The weights were trained further, and started from:", "", *lines]


def _named(manifest: str) -> str:
    """The end of a path: where a corpus lies on the machine it was trained on helps nobody."""
    return "/".join(Path(manifest).parts[-2:])


def _made_of(model: ModelConfig) -> str:
    parts = [f"encoder {model.encoder.type}"]
    if model.decoder is not None:
        looks = getattr(model.decoder, "attention", None)
        parts.append(f"decoder {model.decoder.type}" + (f" (attention {looks})" if looks else ""))
    return ", ".join([*parts, "CTC"] if model.ctc else parts)


def _repeat(times: float) -> str:
    return "" if times == 1 else f", {times:g} times an epoch"


def _figures(facts: Facts, recipe: Recipe) -> list[str]:
    if not facts.figures:
        return ["There was no dev set: how well this model works was not measured."]
    apart = "was not" if recipe.data.leakage == "refuse" else "may have been"
    lines = [
        f"Measured on exactly these weights, on a dev set that {apart} trained on "
        f"({corpus_size(facts.dev)}):",
        "",
        "| figure | value |",
        "|---|---|",
        f"| loss per label | {facts.figures['loss']:.4f} |",
    ]
    if "accuracy" in facts.figures and facts.figures["attention"]:
        lines.append(f"| labels right, given those before | {facts.figures['accuracy']:.2%} |")
    if "wer" in facts.figures:
        wer = facts.figures["wer"]
        lines.append(f"| word error rate, greedy, {facts.decoded} utterances | {wer:.2%} |")
    return lines
