"""The corpora that models are measured on before and after adapting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr.errors import ManifestError, ModelError
from asr.evaluate.corpus import ReferenceUtterance, read_utterances, total_seconds
from asr.evaluate.evaluation import Evaluation, evaluate
from asr.text import PromptFields, Tokenizer
from asr.text.languages import LANGUAGE
from asr.transcribe.recognizer import Recognizer


@dataclass(frozen=True)
class MeasuredCorpus:
    """A corpus to measure on, and what tables call it: the new domain or the old one."""

    name: str
    path: Path
    utterances: Sequence[ReferenceUtterance]

    @classmethod
    def read(
        cls, name: str, path: Path, tokenizers: Sequence[Tokenizer], language: str | None = None
    ) -> MeasuredCorpus:
        """Reads it, and checks that all models can be given its prompt fields.

        Args:
            tokenizers: those of the models.
            language: of utterances whose manifest names none; None: it is detected.

        Raises:
            ManifestError: it cannot be read, or an utterance has a value that a model does not
                know, or none for a field without a default.
            DependencyError: as `read_utterances`.
        """
        utterances = read_utterances(path)
        if language is not None:
            utterances = [_with_language(utterance, language) for utterance in utterances]
        for tokenizer in tokenizers:
            if tokenizer.prompt_fields is not None:
                _check_fields(path, utterances, tokenizer.prompt_fields)
        return cls(name, path, utterances)

    @property
    def seconds(self) -> float | None:
        """How long all utterances are together; None where one does not say."""
        return total_seconds(self.utterances)

    def measure(self, recognizer: Recognizer, progress: Callable[[float], None]) -> Evaluation:
        """Transcribes it, each utterance with the prompt fields that training would give it."""
        return evaluate(
            recognizer,
            self.utterances,
            manifest_fields=recognizer.tokenizer.prompt_fields is not None,
            progress=progress,
        )


def _with_language(utterance: ReferenceUtterance, language: str) -> ReferenceUtterance:
    if LANGUAGE in utterance.values([LANGUAGE]):
        return utterance
    return replace(utterance, fields={**utterance.fields, LANGUAGE: language})


def _check_fields(
    path: Path, utterances: Sequence[ReferenceUtterance], fields: PromptFields
) -> None:
    # a language that is not named is detected, so that any stands for it here
    detected = {LANGUAGE: next(iter(fields.languages))} if fields.languages else {}
    for utterance in utterances:
        try:
            fields.start(detected | utterance.values(fields.labels))
        except ModelError as error:
            raise ManifestError(
                f"{path}: utterance '{utterance.id}': {error}; correct or add the field in the "
                "manifest"
            ) from None
