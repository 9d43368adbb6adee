"""The language of segments: the one that was asked for, or what the decoder detects in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asr.errors import ModelError
from asr.model.folder import LoadedModel
from asr.model.protocols import ASRModel, Decoder
from asr.text import Labels, Languages
from asr.text.languages import TRANSCRIBE
from asr.transcribe.options import TranscribeOptions
from asr.transcribe.prompt import prompt_labels

AUTO = "auto"


@dataclass(frozen=True)
class LanguageSetting:
    """The labels that segments are searched with, by their language.

    Attributes:
        labels: those of the tokenizer; with `language` they are for that language.
        languages: what the model has to choose from; None where it has no choice.
        language: the code that was asked for; None where it is detected, or there is no choice.
        task: a task of `languages`.
        prompt: what the decoder is fed before the start of each segment.
    """

    labels: Labels
    languages: Languages | None = None
    language: str | None = None
    task: str = TRANSCRIBE
    prompt: tuple[int, ...] = ()

    @classmethod
    def of(cls, loaded: LoadedModel, options: TranscribeOptions) -> LanguageSetting:
        """What the options mean to a model.

        Raises:
            ModelError: the model does not know the language, cannot tell languages apart, cannot do
                the task, has no decoder to detect a language with, takes no prompt or not such a
                long one, or has no time stamps.
        """
        name, labels = loaded.config.name, loaded.tokenizer.labels
        languages = loaded.tokenizer.languages
        prompt = prompt_labels(options.prompt, loaded)
        if options.timestamps:
            if labels.timestamps is None:
                raise ModelError(
                    f"model '{name}' was not trained to write time stamps: leave timestamps out; "
                    "segments and words have times without it"
                )
            labels = labels.with_timestamps()
        if languages is None:
            _check_only(name, loaded.config.normalizer.language, options)
            return cls(labels, prompt=prompt)
        task = options.task or TRANSCRIBE
        if task not in languages.tasks:
            raise ModelError(
                f"model '{name}' was not trained for the task '{task}': leave it out, or use a "
                "model that was (Whisper's multilingual ones, except turbo and distil)"
            )
        if options.language in (None, AUTO):
            if loaded.model.decoder is None:
                raise ModelError(
                    f"model '{name}' has no decoder to detect the language with: name it "
                    "(--language CODE, or language='CODE')"
                )
            return cls(labels, languages, None, task, prompt)
        code = str(options.language)
        setting = cls(labels, languages, code, task, prompt)
        try:
            return replace(setting, labels=setting.labels_of(code))
        except ModelError as error:
            raise ModelError(f"model '{name}': {error}") from None

    @property
    def detects(self) -> bool:
        """Whether the language of each segment is detected."""
        return self.languages is not None and self.language is None

    def labels_of(self, language: str | None) -> Labels:
        """The labels for segments of a language that `groups` gave."""
        if language is None or self.languages is None:
            return self.labels
        labels = replace(self.labels, start=self.languages.start(language, self.task))
        return labels.with_timestamps() if self.labels.writes_timestamps else labels

    def groups(
        self, model: ASRModel, memory: Tensor, memory_lengths: Tensor
    ) -> Iterable[tuple[str | None, list[int]]]:
        """Languages, and which utterances of memory (B, M, D) with lengths (B,) are in each."""
        if self.languages is None or self.language is not None or model.decoder is None:
            return [(self.language, list(range(len(memory))))]
        groups: dict[str | None, list[int]] = {}
        detected = detect_languages(model.decoder, self.languages, memory, memory_lengths)
        for row, language in enumerate(detected):
            groups.setdefault(language, []).append(row)
        return groups.items()


def detect_languages(
    decoder: Decoder, languages: Languages, memory: Tensor, memory_lengths: Tensor
) -> list[str]:
    """The likeliest language of each utterance of memory (B, M, D) with lengths (B,).

    The decoder is fed `languages.before`, and the best of the languages' labels is taken, whatever
    other labels are likelier (Radford et al. 2022).
    """
    codes = list(languages.labels)
    before = torch.tensor(languages.before, device=memory.device).expand(len(memory), -1)
    counts = torch.full_like(memory_lengths, before.shape[1])
    log_probs, _ = decoder.prime(before, counts, memory, memory_lengths)
    labels = torch.tensor(list(languages.labels.values()), device=memory.device)
    return [codes[place] for place in log_probs[:, -1, labels].argmax(1).tolist()]


def _check_only(name: str, own: str, options: TranscribeOptions) -> None:
    """Refuses what a model of one language, `own`, cannot do."""
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
    if options.task not in (None, TRANSCRIBE):
        raise ModelError(
            f"model '{name}' writes the language that is spoken and cannot {options.task}: leave "
            "the task out, or use a multilingual Whisper model"
        )
