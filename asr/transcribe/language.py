"""The language of segments: the one that was asked for, or what the decoder detects in each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.model.folder import LoadedModel
from asr.model.protocols import ASRModel, Decoder
from asr.text import Labels, PromptFields
from asr.text.languages import LANGUAGE, TASK, TRANSCRIBE
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.prompt import prompt_labels

AUTO = "auto"


@dataclass(frozen=True)
class LanguageSetting:
    """The labels that segments are searched with, by their language.

    Attributes:
        labels: those of the tokenizer; their start is the one that was asked for, where the
            language is not detected.
        fields: what the model's start sequence can name; None where it has no choice.
        language: the code that was asked for; None where it is detected, or there is no choice.
        values: of the other fields.
        prompt: what the decoder is fed before the start of each segment.
    """

    labels: Labels
    fields: PromptFields | None = None
    language: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    prompt: tuple[int, ...] = ()

    @classmethod
    def of(cls, loaded: LoadedModel, options: TranscribeOptions) -> LanguageSetting:
        """What the options mean to a model.

        Raises:
            ModelError: the model does not know the language, a field or its value, cannot detect
                languages, cannot do the task, takes no prompt or not such a long one, or has no
                time stamps.
        """
        name, labels = loaded.config.name, loaded.tokenizer.labels
        prompt = prompt_labels(options.prompt, loaded)
        if options.timestamps:
            if labels.timestamps is None:
                raise ModelError(
                    f"model '{name}' was not trained to write time stamps: leave timestamps out; "
                    "segments and words have times without it"
                )
            labels = labels.with_timestamps()
        fields = loaded.tokenizer.prompt_fields
        known = fields.labels if fields is not None else {}
        languages = list(known.get(LANGUAGE, ()))
        if len(languages) < 2:
            own = languages[0] if languages else loaded.config.normalizer.language
            _check_language(name, own, options)
        _check_task(name, known.get(TASK), options)
        if fields is None:
            _check_no_fields(name, options)
            return cls(labels, prompt=prompt)
        values = {**fields.defaults, **(options.fields or {})}
        if options.task is not None and TASK in known:
            values[TASK] = options.task
        language = None if options.language == AUTO else options.language
        if len(languages) == 1:
            [language] = languages
        detects = bool(languages) and language is None
        if detects and loaded.model.decoder is None:
            raise ModelError(
                f"model '{name}' has no decoder to detect the language with: name it "
                "(--language CODE, or language='CODE')"
            )
        if languages:
            values[LANGUAGE] = language or languages[0]
        try:
            start = fields.start(values)
        except ModelError as error:
            raise ModelError(f"model '{name}': {error}") from None
        others = {key: value for key, value in values.items() if key != LANGUAGE}
        setting = cls(labels, fields, None if detects else language, others, prompt)
        return setting if detects else replace(setting, labels=setting._starting(start))

    @property
    def detects(self) -> bool:
        """Whether the language of each segment is detected."""
        return self.fields is not None and bool(self.fields.languages) and self.language is None

    def labels_of(self, language: str | None) -> Labels:
        """The labels for segments of a language that `groups` gave."""
        if language is None or self.fields is None:
            return self.labels
        return self._starting(self.fields.start({**self.values, LANGUAGE: language}))

    @property
    def task(self) -> str:
        """What is written: what is spoken, or its translation."""
        return self.values.get(TASK, TRANSCRIBE)

    def _starting(self, start: tuple[int, ...]) -> Labels:
        labels = replace(self.labels, start=start)
        return labels.with_timestamps() if self.labels.writes_timestamps else labels

    def groups(
        self, model: ASRModel, memory: Tensor, memory_lengths: Tensor
    ) -> Iterable[tuple[str | None, list[int]]]:
        """Languages, and which utterances of memory (B, M, D) with lengths (B,) are in each."""
        if self.fields is None or not self.detects or model.decoder is None:
            return [(self.language, list(range(len(memory))))]
        groups: dict[str | None, list[int]] = {}
        detected = detect_languages(model.decoder, self.fields, memory, memory_lengths)
        for row, language in enumerate(detected):
            groups.setdefault(language, []).append(row)
        return groups.items()


def detect_languages(
    decoder: Decoder, fields: PromptFields, memory: Tensor, memory_lengths: Tensor
) -> list[str]:
    """The likeliest language of each utterance of memory (B, M, D) with lengths (B,).

    The decoder is fed `fields.before`, and the best of the languages' labels is taken, whatever
    other labels are likelier (Radford et al. 2022).
    """
    codes = list(fields.languages)
    before = torch.tensor(fields.before, device=memory.device).expand(len(memory), -1)
    counts = torch.full_like(memory_lengths, before.shape[1])
    log_probs, _ = decoder.prime(before, counts, memory, memory_lengths)
    labels = torch.tensor(list(fields.languages.values()), device=memory.device)
    return [codes[place] for place in log_probs[:, -1, labels].argmax(1).tolist()]


def _check_language(name: str, own: str, options: TranscribeOptions) -> None:
    """Refuses other languages than `own` for a model that has no choice."""
    if options.language == AUTO:
        raise ModelError(
            f"model '{name}' knows one language, '{own}', and cannot detect others: leave "
            "the language out, or use a multilingual Whisper model"
        )
    if options.language not in (None, own):
        raise ModelError(
            f"model '{name}' does not know the language '{options.language}'; the nearest, and the "
            f"only one, is '{own}'; for others use a multilingual Whisper model"
        )


def _check_task(name: str, known: Collection[str] | None, options: TranscribeOptions) -> None:
    """Refuses a task that is not one of `known`; None: the model has no choice."""
    if options.task is None or options.task in (known or (TRANSCRIBE,)):
        return
    if known is None:
        raise ModelError(
            f"model '{name}' writes the language that is spoken and cannot {options.task}: leave "
            "the task out, or use a multilingual Whisper model"
        )
    raise ModelError(
        f"model '{name}' was not trained for the task '{options.task}': leave it out, or use a "
        "model that was (Whisper's multilingual ones, except turbo and distil)"
    )


def _check_no_fields(name: str, options: TranscribeOptions) -> None:
    if options.fields:
        raise ModelError(
            f"model '{name}' was trained without prompt fields, so it has no choice of "
            f"'{next(iter(options.fields))}': leave it out (--field)"
        )
