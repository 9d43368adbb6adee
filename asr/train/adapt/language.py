"""The language of the recordings that a model of several languages is adapted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import ConfigError, TrainingError
from asr.text import Tokenizer
from asr.text.whisper import WhisperTokenizer

if TYPE_CHECKING:
    from lhotse.cut import Cut


def spoken_languages(
    tokenizer: Tokenizer, cuts: Sequence[Cut], asked: str | None, corpus: Path
) -> tuple[str, ...]:
    """The languages of utterances, the most frequent first; none for models of one language.

    Args:
        asked: the code for utterances whose manifest names no language.
        corpus: names the utterances in messages.

    Raises:
        ConfigError: a language is named for a model of one language.
        TrainingError: neither the manifest nor anybody says what is spoken.
    """
    if not isinstance(tokenizer, WhisperTokenizer) or tokenizer.language is None:
        if asked is not None:
            raise ConfigError(
                f"--language {asked}: the model knows one language; leave it out, or adapt a "
                "multilingual Whisper model"
            )
        return ()
    if asked is None and (line := unnamed_languages(cuts)) is not None:
        raise TrainingError(f"{corpus}: {line}, or with --language CODE")
    counts = Counter(_language(cut) or asked or "" for cut in cuts)
    return tuple(sorted(counts, key=lambda language: (-counts[language], language)))


def unnamed_languages(cuts: Sequence[Cut]) -> str | None:
    """A line about utterances whose manifest names no language; None if there are none."""
    missing = [cut.id for cut in cuts if _language(cut) is None]
    if not missing:
        return None
    return (
        f"the model knows several languages, and nothing says which one {len(missing)} utterances "
        f"are in ({missing[0]}): name it in the field 'language' of the manifest"
    )


def with_language(tokenizer: Tokenizer, language: str, folder: Path) -> Path:
    """Writes the tokenizer into `folder` with another language, where none is chosen.

    Raises:
        ModelError: there is no such language; the nearest are named.
        OutputError: it cannot be written.
    """
    assert isinstance(tokenizer, WhisperTokenizer)
    changed = WhisperTokenizer(**(tokenizer.__getstate__() | {"language": language}))
    folder.mkdir(parents=True, exist_ok=True)
    changed.save(folder)
    return folder


def _language(cut: Cut) -> str | None:
    return next((part.language for part in cut.supervisions if part.language), None)
