"""The language of the recordings that a model of several languages is adapted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.data.utterance import field_of
from asr.errors import ConfigError, ManifestError, TrainingError, shortened
from asr.text import Tokenizer
from asr.text.languages import LANGUAGE, near_codes
from asr.text.prompts import PromptedTokenizer
from asr.text.whisper import WhisperTokenizer

if TYPE_CHECKING:
    from lhotse.cut import Cut


def default_language(
    tokenizer: Tokenizer, cuts: Sequence[Cut], asked: str | None, corpus: Path
) -> str | None:
    """The language of utterances whose manifest names none.

    It is the one that is asked for. Otherwise the default of the recipe that a model with prompt
    fields was trained by; Whisper's own default says nothing about these recordings, so that for a
    Whisper model the manifest must name all, and the most frequent becomes the default.

    Args:
        asked: the code that the user names.
        corpus: names the utterances in messages.

    Returns:
        its code; None for models of one language, and where the manifest names the language of all
        utterances and the model has no default.

    Raises:
        ConfigError: a language is named that the model does not know, or for a model of one.
        ManifestError: the manifest names a language that the model does not know.
        TrainingError: nothing says what is spoken.
    """
    known = _languages(tokenizer)
    if not known:
        if asked is not None:
            raise ConfigError(
                f"--language {asked}: the model has no choice of languages; leave it out, or adapt "
                "a multilingual model"
            )
        return None
    if asked is not None and asked not in known:
        raise ConfigError(
            f"--language {asked}: the model has no language '{shortened(asked, 20)}'; "
            f"{near_codes(asked, known)}"
        )
    counts: Counter[str] = Counter()
    for cut in cuts:
        language = field_of(cut, LANGUAGE)
        if language is not None and language not in known:
            raise ManifestError(
                f"{corpus}: utterance '{cut.id}': the model has no language "
                f"'{shortened(language, 20)}'; {near_codes(language, known)}; correct the manifest"
            )
        counts.update([language] if language is not None else [])
    if asked is not None:
        return asked
    if (own := _own_default(tokenizer)) is not None:
        return own
    if (line := _unnamed(cuts)) is not None:
        raise TrainingError(f"{corpus}: {line}, or with --language CODE")
    if not isinstance(tokenizer, WhisperTokenizer):
        return None
    return min(counts, key=lambda language: (-counts[language], language))


def check_kept(tokenizer: Tokenizer, kept: Sequence[Cut], asked: str | None, corpus: Path) -> None:
    """Refuses utterances of the old domain whose language is not known.

    Args:
        asked: the language of the new domain, which says nothing about the old one.

    Raises:
        TrainingError: the manifest does not name it, and the model has no default that was chosen.
    """
    if not _languages(tokenizer) or (asked is None and _own_default(tokenizer) is not None):
        return
    if (line := _unnamed(kept)) is not None:
        raise TrainingError(f"{corpus}: {line}")


def with_default_language(tokenizer: Tokenizer, language: str, folder: Path) -> Path:
    """Writes the tokenizer into `folder`, with another default of its languages.

    Raises:
        OutputError: it cannot be written.
    """
    changed: Tokenizer
    if isinstance(tokenizer, PromptedTokenizer):
        defaults = {**tokenizer.defaults, LANGUAGE: language}
        changed = PromptedTokenizer(tokenizer.inner, tokenizer.values, defaults)
    else:
        assert isinstance(tokenizer, WhisperTokenizer)
        changed = WhisperTokenizer(**(tokenizer.__getstate__() | {"language": language}))
    folder.mkdir(parents=True, exist_ok=True)
    changed.save(folder)
    return folder


def _unnamed(cuts: Sequence[Cut]) -> str | None:
    """A line about utterances whose manifest names no language; None if there are none."""
    missing = [cut.id for cut in cuts if field_of(cut, LANGUAGE) is None]
    if not missing:
        return None
    return (
        f"the model knows several languages, and nothing says which one {len(missing)} utterances "
        f"are in ({missing[0]}): name it in the field 'language' of the manifest"
    )


def _languages(tokenizer: Tokenizer) -> Sequence[str]:
    fields = tokenizer.prompt_fields
    return list(fields.languages) if fields is not None else []


def _own_default(tokenizer: Tokenizer) -> str | None:
    """The default language of a recipe; None for Whisper's, which nobody chose for the data."""
    if isinstance(tokenizer, WhisperTokenizer) or tokenizer.prompt_fields is None:
        return None
    return tokenizer.prompt_fields.defaults.get(LANGUAGE)
