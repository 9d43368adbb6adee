"""Prompt fields: properties of an utterance that labels of the decoder's start sequence name.

Every task becomes text to text (Raffel et al. 2020): before the first label of the text, the
decoder is fed which language is spoken, or in which style it is to write, as in Whisper (Radford et
al. 2022).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from asr.atomic import write_atomic
from asr.errors import ConfigError, ModelError, shortened
from asr.text.config import PromptConfig
from asr.text.languages import LANGUAGE, near_codes
from asr.text.tokenizer import Labels, Tokenizer

PROMPT_FILE = "prompt_fields.json"
_FORMAT = {"type": "prompt_fields", "version": 1}
#: A field with more values than this is no choice but a name or a number.
MOST_VALUES = 200


@dataclass(frozen=True)
class PromptFields:
    """The fields that a start sequence is made of, and the label of each value.

    Attributes:
        labels: for each field, in the order of the start sequence, the label of each value. The
            field `language` is the first where it is one of them.
        before: what a decoder is fed before the first field; it then predicts the label of the
            language.
        after: what it is fed behind the last field.
        defaults: values of fields that may be left out.
    """

    labels: Mapping[str, Mapping[str, int]]
    before: tuple[int, ...]
    after: tuple[int, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def languages(self) -> Mapping[str, int]:
        """The label of each language by its code; empty where there is no choice."""
        return self.labels.get(LANGUAGE, {})

    def start(self, values: Mapping[str, str]) -> tuple[int, ...]:
        """The start sequence (`Labels.start`) for values of the fields.

        Raises:
            ModelError: a field or a value is unknown (the known ones are named), or a field without
                a default is left out.
        """
        for name in values:
            if name not in self.labels:
                known = ", ".join(self.labels)
                raise ModelError(f"no field '{shortened(name, 20)}'; the fields are: {known}")
        chosen = {**self.defaults, **values}
        return (
            *self.before,
            *(self._label(name, chosen.get(name)) for name in self.labels),
            *self.after,
        )

    def _label(self, name: str, value: str | None) -> int:
        known = self.labels[name]
        if value is None:
            raise ModelError(f"no value for the field '{name}'; there are: {', '.join(known)}")
        if value in known:
            return known[value]
        shown = shortened(value, 20)
        if name == LANGUAGE:
            raise ModelError(f"no language '{shown}'; {near_codes(value, known)}")
        raise ModelError(f"no {name} '{shown}'; there are: {', '.join(known)}")


class PromptedTokenizer:
    """A tokenizer with labels for the values of prompt fields behind its own labels.

    Args:
        inner: writes the texts.
        values: of each field, in the order of the start sequence.
        defaults: values of fields that may be left out.

    Raises:
        ModelError: there is no value, a value is there twice or empty, the language is not the
            first field, a default is no value, or `inner` has fields of its own.
    """

    def __init__(
        self,
        inner: Tokenizer,
        values: Mapping[str, Sequence[str]],
        defaults: Mapping[str, str] | None = None,
    ) -> None:
        self.inner = inner
        self.values = {name: tuple(some) for name, some in values.items()}
        self.defaults = dict(defaults or {})
        if inner.prompt_fields is not None:
            raise ModelError("this tokenizer has prompt fields already: leave further ones out")
        for name, some in self.values.items():
            if not some or not all(some) or len(set(some)) < len(some):
                raise ModelError(f"prompt field '{name}': its values must be different texts")
        if not self.values or LANGUAGE in list(self.values)[1:]:
            raise ModelError("there must be a prompt field, and 'language' must be the first")
        for name, value in self.defaults.items():
            if value not in self.values.get(name, ()):
                raise ModelError(f"prompt field '{name}': the default '{value}' is no value of it")

    @property
    def size(self) -> int:
        """Number of labels, those of the fields included."""
        return self.inner.size + len(self._names)

    @cached_property
    def prompt_fields(self) -> PromptFields:
        """See `Tokenizer.prompt_fields`."""
        numbers = iter(range(self.inner.size, self.size))
        return PromptFields(
            labels={name: dict(zip(some, numbers)) for name, some in self.values.items()},  # noqa: B905
            before=self.inner.labels.start,
            defaults=self.defaults,
        )

    @cached_property
    def labels(self) -> Labels:
        """Which of its labels are special; the start names defaults, or else first values."""
        first = {name: some[0] for name, some in self.values.items()} | self.defaults
        own = self.inner.labels
        return replace(
            own,
            start=self.prompt_fields.start(first),
            never=(*own.never, *range(self.inner.size, self.size)),
        )

    def encode(self, text: str, sample: bool | random.Random = False) -> list[int]:
        """The labels of `text`; see `Tokenizer.encode`."""
        return self.inner.encode(text, sample)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; labels of fields write nothing. See `Tokenizer.decode`."""
        return self.inner.decode([label for label in ids if not self._is_field(label)])

    def piece(self, token: int) -> str:
        """The piece; labels of fields are shown as `<|style:plain|>`."""
        if self._is_field(token):
            return self._names[int(token) - self.inner.size]
        return self.inner.piece(token)

    def unknown(self, text: str) -> Counter[str]:
        """The characters of `text` that cannot be written, and how often each occurs."""
        return self.inner.unknown(text)

    def save(self, folder: str | Path) -> Path:
        """Writes the inner tokenizer and `prompt_fields.json`; returns the path of the former."""
        path = self.inner.save(folder)
        content = {**_FORMAT, "fields": self.values, "defaults": self.defaults}
        text = json.dumps(content, ensure_ascii=False, indent=1)
        write_atomic(Path(folder) / PROMPT_FILE, text + "\n")
        return path

    @cached_property
    def _names(self) -> list[str]:
        return [f"<|{name}:{value}|>" for name, some in self.values.items() for value in some]

    def _is_field(self, label: int) -> bool:
        return self.inner.size <= label < self.size


def with_prompts(
    tokenizer: Tokenizer, config: PromptConfig, values: Mapping[str, Collection[str]]
) -> PromptedTokenizer:
    """`tokenizer` with labels for the values that the fields of `config` have in a corpus.

    Raises:
        ConfigError: a field has no value, or too many to be a choice, a default is no value of its
            field, or the tokenizer has fields already.
    """
    for name in config.fields:
        if not values[name]:
            raise ConfigError(
                f"prompts.fields: no utterance of the training corpora has the field '{name}'; add "
                "it to the manifests, or leave it out"
            )
        if len(values[name]) > MOST_VALUES:
            raise ConfigError(
                f"prompts.fields: '{name}' has {len(values[name])} values in the corpora, and at "
                f"most {MOST_VALUES} can be labels; name a field with fewer"
            )
    ordered = {name: sorted(values[name]) for name in config.fields}
    try:
        return PromptedTokenizer(tokenizer, ordered, config.defaults)
    except ModelError as error:
        raise ConfigError(f"prompts: {error}") from None


def parse_prompts(content: bytes, path: Path, inner: Tokenizer) -> PromptedTokenizer:
    """Reads what `PromptedTokenizer.save` wrote beside the tokenizer `inner`.

    Raises:
        ModelError: it is something else, or damaged.
    """
    try:
        stored = json.loads(content.decode())
        fields, defaults = stored.pop("fields"), stored.pop("defaults")
        if stored != _FORMAT:
            raise ValueError(f"expected {_FORMAT}, got {shortened(str(stored), 60)}")
        values = [value for some in fields.values() for value in some]
        texts = [*fields, *values, *defaults, *defaults.values()]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a value is no text")
        return PromptedTokenizer(inner, fields, defaults)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ModelError) as error:
        raise ModelError(f"{path}: no prompt fields, or damaged ({error}); copy it anew") from None
