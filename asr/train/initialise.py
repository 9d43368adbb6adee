"""Starting from the weights of another model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ConfigError, TrainingError
from asr.model import SpeechModel
from asr.model.folder import load_model_folder, unique_weights, weight_mismatches
from asr.text import Tokenizer


@dataclass(frozen=True)
class Init:
    """Takes over the weights of a model folder, as far as they are called and shaped alike.

    Rows that stand for labels are taken over only where the tokenizers are the same.

    Args:
        partial: go on where some do not fit; they stay as they were drawn.
        say: prints what was loaded, what is new and what was left out.
    """

    folder: Path
    partial: bool
    say: Callable[[str], None]

    def apply(self, model: SpeechModel, tokenizer: Tokenizer) -> None:
        """Fills `model`, its feature normalisation too: the weights were trained behind it.

        Raises:
            ModelError: the folder cannot be loaded.
            TrainingError: something does not fit and `partial` is not set.
        """
        loaded = load_model_folder(self.folder)
        theirs, own = unique_weights(loaded.model), unique_weights(model)
        fitting = {n: t for n, t in theirs.items() if n in own and own[n].shape == t.shape}
        problems = weight_mismatches(model, theirs)
        if differences := _label_differences(tokenizer, loaded.tokenizer):
            of_labels = [
                name for name in _label_weights(model) if fitting.pop(name, None) is not None
            ]
            problems += [f"{name} belongs to other labels" for name in of_labels] + differences
        if problems and not self.partial:
            raise TrainingError(
                f"--init {self.folder}: does not fit the recipe: {'; '.join(problems)}; "
                "correct the recipe, or take over what fits with --init-partial"
            )
        model.load_state_dict(fitting, strict=False)
        self.say(
            f"initialised from {self.folder}: {len(fitting)} of {len(own)} tensors loaded, "
            f"{len(own) - len(fitting)} new, {len(theirs) - len(fitting)} left out"
        )
        for problem in problems:
            self.say(f"  {problem}")


def freeze(model: SpeechModel, names: Sequence[str]) -> None:
    """Keeps the weights of the modules with these names (`encoder.layers.0`) as they are.

    Raises:
        ConfigError: the model has no such module, or nothing would be left to train.
    """
    modules = dict(model.named_modules())
    for name in names:
        if not name or name not in modules:
            parts = sorted(one for one in modules if one and one.count(".") <= 2)
            raise ConfigError(
                f"training.freeze: the model has no module '{name}'; it has {', '.join(parts)}"
            )
        modules[name].requires_grad_(False)
    if not any(one.requires_grad for one in model.parameters()):
        raise ConfigError("training.freeze: nothing is left to train")


def _label_weights(model: SpeechModel) -> list[str]:
    """Names of the tensors that one more label would make larger."""
    larger = SpeechModel(model.config, model.vocabulary + 1).state_dict()
    return [name for name, one in model.state_dict().items() if larger[name].shape != one.shape]


def _label_differences(own: Tokenizer, theirs: Tokenizer) -> list[str]:
    size = min(own.size, theirs.size)
    other = next((i for i in range(size) if own.piece(i) != theirs.piece(i)), None)
    if other is None and own.size == theirs.size:
        return []
    told = f"the tokenizers differ: {theirs.size} labels there, {own.size} here"
    if other is not None:
        told += f", label {other} is '{theirs.piece(other)}' there, '{own.piece(other)}' here"
    return [f"{told} (set 'tokenizer' to the model's folder)"]
