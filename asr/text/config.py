"""Configuration of the text side."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from asr.config import Config


class TokenizerConfig(Config):
    """How text is cut into labels, and how a tokenizer is trained."""

    type: Literal["unigram", "bpe", "char"] = Field(
        "unigram", description="SentencePiece unigram or BPE pieces, or single characters"
    )
    size: int = Field(
        1000,
        ge=4,
        le=200_000,
        description="labels, with the three special ones; for 'char' the most there may be",
    )
    character_coverage: float = Field(
        1.0,
        gt=0.9,
        le=1,
        description="share of the text's characters that must be writable; the rarest beyond it "
        "become <unk> (0.9995 suits Chinese or Japanese)",
    )
    sample_alpha: float = Field(
        0.5,
        gt=0,
        le=10,
        description="unigram sampling: 1 draws as the model believes, towards 0 all ways to cut "
        "a word become equally likely",
    )
    sample_dropout: float = Field(
        0.1, ge=0, lt=1, description="BPE sampling: how often a merge is left out"
    )
    sample_seed: int = Field(0, ge=0, description="seed of the tokenizer's own generator")


class PromptConfig(Config):
    """Which fields of the manifests the decoder is fed, as labels of its start sequence."""

    fields: tuple[str, ...] = Field(
        (),
        description="fields whose values, collected from the training corpora, become labels, in "
        "this order; 'language' comes first and is learned too, so that it can be detected",
    )
    defaults: dict[str, str] = Field(
        default_factory=dict,
        description="values of fields that manifests and calls may leave out, as {style: plain}",
    )

    @model_validator(mode="after")
    def _check(self) -> PromptConfig:
        if len(set(self.fields)) < len(self.fields):
            raise ValueError("a field is there twice")
        if "language" in self.fields[1:]:
            raise ValueError("'language' must be the first field: it is detected before others")
        if unknown := [name for name in self.defaults if name not in self.fields]:
            raise ValueError(f"defaults has '{unknown[0]}', which is not one of the fields")
        return self


class NormalizerConfig(Config):
    """Which rules `TextNormalizer` applies; each is described there."""

    language: str = Field(
        "en",
        description="code of num2words ('en', 'de', 'pt_BR'); money, times, years, symbols and "
        "abbreviations are spoken in English only, other languages have their numbers",
    )
    lowercase: bool = Field(True, description="small letters only")
    unicode: bool = Field(True, description="one form for quotes, dashes, spaces, wide letters")
    diacritics: Literal["keep", "fold"] = Field("keep", description="fold: café becomes cafe")
    numbers: bool = Field(True, description="digits in words: money, times, years, ordinals")
    symbols: bool = Field(True, description="& + = @ % ° in words (English)")
    abbreviations: bool = Field(True, description="Mr. becomes mister (English)")
    punctuation: bool = Field(True, description="removed; hyphens and dashes become spaces")
    apostrophes: Literal["keep", "remove"] = Field(
        "keep", description="inside words; those that are quotation marks go with punctuation"
    )

    @model_validator(mode="after")
    def _check(self) -> NormalizerConfig:
        if self.numbers and self.language != "en":
            from num2words import CONVERTER_CLASSES

            if self.language not in CONVERTER_CLASSES:
                known = ", ".join(sorted(CONVERTER_CLASSES))
                raise ValueError(
                    f"language '{self.language}' has no number words; known: {known}; or set "
                    "numbers to false"
                )
        return self
