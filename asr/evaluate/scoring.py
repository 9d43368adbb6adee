"""The scoring normaliser: it writes references and hypotheses alike before errors are counted.

Models write differently: some in small letters, some with case, punctuation and digits. Error rates
can only be compared where both sides go through the same rules, whatever the model writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from asr.config import Config, parse
from asr.dependencies import installed, need
from asr.text import NormalizerConfig, TextNormalizer

#: How a normaliser is named on the command line: the toolkit's rules, or those of Whisper.
ScoringName: TypeAlias = Literal["asr", "whisper"]

_DISTRIBUTION, _EXTRA = "whisper-normalizer", "scoring"
#: Languages written without spaces: each character is scored as a word (Radford et al. 2022, C).
_NO_SPACES = ("zh", "ja", "th", "lo", "my")

#: Languages in which num2words fails from a thousand on; their digits stay as they are.
_NO_LARGE_NUMBERS = ("am",)


class WhisperNormalizerConfig(Config):
    """The normaliser that error rates of Whisper are published with (Radford et al. 2022, C).

    The rules are those of the library whisper-normalizer, a copy of OpenAI's: for English,
    contractions and spellings are unified and numbers are written in digits; for other languages
    case, punctuation, symbols and what is in brackets go.
    """

    type: Literal["whisper"] = "whisper"
    language: str = "en"
    version: str | None = None
    """Of the library that scored."""


Scoring: TypeAlias = NormalizerConfig | WhisperNormalizerConfig


def scoring_for(
    model: NormalizerConfig, name: ScoringName = "asr", language: str | None = None
) -> Scoring:
    """What scores a model, given the normaliser that its own texts are written with.

    The language is the model's, unless another is given. The toolkit's rules are all on: small
    letters, no punctuation, numbers and symbols in words. What `diacritics` and `apostrophes` take
    away is taken away here too, since a model that was trained without it cannot write it.
    """
    language = language or model.language
    if name == "whisper":
        version = installed(_DISTRIBUTION)
        return WhisperNormalizerConfig(language=language, version=version)
    return NormalizerConfig(
        language=language,
        numbers=_has_number_words(language),
        diacritics=model.diacritics,
        apostrophes=model.apostrophes,
    )


def check_scoring(name: ScoringName) -> None:
    """Checks that the library of a normaliser is installed, before any work is done.

    Raises:
        DependencyError: `whisper-normalizer` is not installed.
    """
    if name == "whisper":
        need("whisper_normalizer", _EXTRA)


def build_normalizer(scoring: Scoring) -> Callable[[str], str]:
    """The function that writes a text for scoring.

    Raises:
        DependencyError: `whisper-normalizer` is needed and not installed.
    """
    if isinstance(scoring, NormalizerConfig):
        return TextNormalizer(scoring)
    if scoring.language == "en":
        rules = need("whisper_normalizer.english", _EXTRA).EnglishTextNormalizer()
    else:
        split = scoring.language in _NO_SPACES
        module = need("whisper_normalizer.basic", _EXTRA)
        rules = module.BasicTextNormalizer(split_letters=split)
    return lambda text: " ".join(rules(text).split())


def parse_scoring(values: Any, source: str) -> Scoring:
    """The settings of a normaliser as results keep them.

    Raises:
        ConfigError: a key or a value is wrong; `source` names the place.
    """
    if isinstance(values, dict) and "type" in values:
        return parse(WhisperNormalizerConfig, values, source)
    return parse(NormalizerConfig, values, source)


def difference_of(first: Scoring | None, second: Scoring | None) -> str:
    """In which settings two normalisers differ, for people; "" where they do not.

    Where one is not known, they are taken as alike.
    """
    if first is None or second is None:
        return ""
    if type(first) is not type(second):
        return f"normalizer: {scoring_name(first)} and {scoring_name(second)}"
    here, there = first.model_dump(), second.model_dump()
    return ", ".join(
        f"{key}: {here[key]} and {there[key]}" for key in here if here[key] != there[key]
    )


def scoring_name(scoring: Scoring) -> ScoringName:
    """The name on the command line."""
    return "asr" if isinstance(scoring, NormalizerConfig) else "whisper"


def _has_number_words(language: str) -> bool:
    from num2words import CONVERTER_CLASSES

    return language in CONVERTER_CLASSES and language not in _NO_LARGE_NUMBERS
