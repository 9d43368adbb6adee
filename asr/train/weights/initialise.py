"""Starting from the weights of another model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from asr.atomic import write_atomic
from asr.errors import ConfigError, TrainingError
from asr.model import SpeechModel
from asr.model.folder import load_speech_model
from asr.model.self_attending import SelfAttendingEncoder
from asr.model.weights import unique_weights
from asr.text import Tokenizer
from asr.train.weights.grouping import grouped

#: In a run's `training/` folder: what became of each tensor.
LISTING = "initialised.txt"
LOADED, NEW, LEFT_OUT, LABELS = "loaded", "new", "left out", "other labels"
#: What the names of tensors in the encoder's layers begin with; the first layer there is 0.
LAYERS = "encoder.layers."


@dataclass(frozen=True)
class Init:
    """Takes over the weights of a model folder, as far as they are called and shaped alike.

    Rows that stand for labels are taken over where both tokenizers spell the label the same. An
    encoder with more layers begins as the one there: see `SelfAttendingEncoder.deepen`.

    Args:
        partial: go on where some do not fit; they stay as they were drawn.
        say: prints what was loaded, what is new and what was left out, by modules.
        listing: the folder that gets `initialised.txt`, a line for each tensor.
    """

    folder: Path
    partial: bool
    say: Callable[[str], None]
    listing: Path | None = None

    def apply(self, model: SpeechModel, tokenizer: Tokenizer) -> None:
        """Fills `model`, its feature normalisation too: the weights were trained behind it.

        Raises:
            ModelError: the folder cannot be loaded.
            TrainingError: something does not fit and `partial` is not set.
            OutputError: the listing cannot be written.
        """
        loaded = load_speech_model(self.folder)
        copies = _deepen(loaded.model, model)
        theirs, own = unique_weights(loaded.model), unique_weights(model)
        difference = _label_difference(tokenizer, loaded.tokenizer)
        became = _compare(own, theirs, _label_places(model) if difference else {})
        problems = [f"{what}: {where}" for what, where in _told(became).items() if what != LOADED]
        copied = _copied(copies, became)
        if problems and not self.partial:
            raise TrainingError(
                f"--init {self.folder}: does not fit the recipe: "
                f"{'; '.join([*problems, *([difference] if difference else [])])}; "
                "correct the recipe, or take over what fits with --init-partial"
            )
        alike = {name: theirs[name] for name, what in became.items() if what == LOADED}
        model.load_state_dict(alike, strict=False)
        count = f"{len(alike) - len(copied)} of {len(own)} tensors loaded"
        self.say(f"initialised from {self.folder}: {count}")
        if copied:
            self.say(
                f"  the encoder has more layers here: {', '.join(grouped(copied, own))} are new, "
                "copies of those before them that change nothing yet"
            )
        for line in [*_misplaced(loaded.model, model, copies), *problems]:
            self.say(f"  {line}")
        if difference:
            rows = _same_labels(tokenizer, loaded.tokenizer)
            _copy_rows(own, theirs, _of(became, LABELS, _label_places(model)), rows)
            self.say(f"  {difference}")
            self.say(
                f"  labels spelled the same: {len(rows)} of {tokenizer.size}, their rows are "
                f"loaded; the rows of {tokenizer.size - len(rows)} are new"
            )
        if self.listing is not None:
            lines = "".join(f"{name}: {what}\n" for name, what in (became | copied).items())
            write_atomic(self.listing / LISTING, lines)


def _deepen(theirs: SpeechModel, own: SpeechModel) -> dict[int, int]:
    """Gives their encoder as many layers as the own, where it is alike but has fewer.

    Returns:
        for each layer that is new, which it is a copy of; the first layer is 0.
    """
    encoder, like = theirs.encoder, own.encoder
    if not isinstance(encoder, SelfAttendingEncoder) or not isinstance(like, type(encoder)):
        return {}
    before, layers = len(encoder.layers), len(like.layers)
    shapes = [[one.shape for one in each.layers[0].parameters()] for each in (encoder, like)]
    if before >= layers or shapes[0] != shapes[1]:
        return {}
    places = encoder.deepen(layers)
    begins = accumulate(places, initial=0)
    return {
        begin + more: begin
        for begin, place in zip(begins, places, strict=False)  # behind the last one is the end
        for more in range(1, place)
    }


def _copied(copies: Mapping[int, int], names: Iterable[str]) -> dict[str, str]:
    """What became of the tensors of layers that are copies."""
    return {
        name: f"copy of {LAYERS}{copies[layer]}"
        for name in names
        if name.startswith(LAYERS) and (layer := int(name.split(".")[2])) in copies
    }


def _misplaced(theirs: SpeechModel, own: SpeechModel, copies: Mapping[int, int]) -> list[str]:
    """Says where CTC inside a deepened encoder does not hear what a layer there gave on.

    That is what the last copy of the layer gives on: in a Conformer it has the scale of the norm.
    """
    there, here = theirs.config.intermediate_ctc, own.config.intermediate_ctc
    if not copies or not here:
        return []
    layers = len(own.encoder.layers)  # type: ignore[arg-type]
    # numbers, as in recipes, begin with 1: behind a layer's place that is where the next one begins
    ends = [*(n for n in range(1, layers) if n not in copies), layers]
    moved = [ends[number - 1] for number in there]
    if there and sorted(here) != sorted(moved):
        return [
            f"model.intermediate_ctc {list(there)} there is {moved} here; the recipe says "
            f"{list(here)}"
        ]
    if not set(here) <= set(ends):
        return [
            f"model.intermediate_ctc {list(here)}: what layers there gave on is at {ends[:-1]} here"
        ]
    return []


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


def _compare(
    own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], labels: Mapping[str, int]
) -> dict[str, str]:
    """What becomes of each tensor of both models.

    Args:
        labels: the tensors whose rows stand for other labels there, with the dimension of the rows.
    """
    became = {}
    for name, tensor in own.items():
        if name not in theirs:
            became[name] = NEW
        elif name in labels and _without(tensor, labels[name]) == _without(
            theirs[name], labels[name]
        ):
            became[name] = LABELS
        elif theirs[name].shape != tensor.shape:
            became[name] = f"new, {tuple(theirs[name].shape)} there and {tuple(tensor.shape)} here"
        else:
            became[name] = LOADED
    return became | {name: LEFT_OUT for name in theirs if name not in own}


def _told(became: Mapping[str, str]) -> dict[str, str]:
    """For each fate the modules that had it, in few words."""
    fates: dict[str, list[str]] = {}
    for name, what in became.items():
        fates.setdefault(what, []).append(name)
    return {what: ", ".join(grouped(names, became)) for what, names in fates.items()}


def _label_places(model: SpeechModel) -> dict[str, int]:
    """The tensors that one more label would make larger, and the dimension in which it would."""
    larger = SpeechModel(model.config, model.vocabulary + 1).state_dict()
    return {
        name: next(d for d, size in enumerate(one.shape) if larger[name].shape[d] != size)
        for name, one in model.state_dict().items()
        if larger[name].shape != one.shape
    }


def _label_difference(own: Tokenizer, theirs: Tokenizer) -> str | None:
    """What is different about the labels; None where they are the same."""
    size = min(own.size, theirs.size)
    other = next((i for i in range(size) if own.piece(i) != theirs.piece(i)), None)
    if other is None and own.size == theirs.size:
        return None
    told = f"the tokenizers differ: {theirs.size} labels there, {own.size} here"
    if other is not None:
        told += f", label {other} is '{theirs.piece(other)}' there, '{own.piece(other)}' here"
    return f"{told} (to keep the model's, set 'tokenizer' to its folder)"


def _same_labels(own: Tokenizer, theirs: Tokenizer) -> dict[int, int]:
    """Own labels that are spelled the same there, each with its number there."""
    known = {theirs.piece(token): token for token in range(theirs.size)}
    pieces = {token: own.piece(token) for token in range(own.size)}
    return {token: known[piece] for token, piece in pieces.items() if piece in known}


@torch.no_grad()
def _copy_rows(
    own: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    places: Mapping[str, int],
    rows: Mapping[int, int],
) -> None:
    here, there = torch.tensor(list(rows)), torch.tensor(list(rows.values()))
    for name, dimension in places.items():
        own[name].index_copy_(dimension, here, theirs[name].index_select(dimension, there))


def _of(became: Mapping[str, str], what: str, places: Mapping[str, int]) -> dict[str, int]:
    return {name: place for name, place in places.items() if became.get(name) == what}


def _without(tensor: Tensor, dimension: int) -> tuple[int, ...]:
    return (*tensor.shape[:dimension], *tensor.shape[dimension + 1 :])
