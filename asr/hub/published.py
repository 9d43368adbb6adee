"""The published models that can be had by name, and what is known of them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from asr.hub.revisions import REVISIONS

#: Labels of Whisper models that know English only; others know as many languages as here.
ENGLISH = 51864
LANGUAGES = {51865: 99, 51866: 100}
#: What OpenAI's program calls them by other names.
_SHORT_NAMES = {"turbo": "large-v3-turbo", "large": "large-v3"}
#: Where the error rates come from.
WHISPER_PAPER = "Radford et al. 2022, table D.1.1, greedy"
LEADERBOARD = "Open ASR Leaderboard"


@dataclass(frozen=True)
class PublishedModel:
    """A Whisper model in a repository of the Hugging Face hub.

    Attributes:
        repository: its name there, `owner/name`.
        dim: width of encoder and decoder.
        layers: of the encoder and of the decoder.
        mels: width of the features.
        vocabulary: number of labels.
        stored_bytes: size of a weight in the file.
        librispeech: published word error rates in per cent on test-clean and test-other, with their
            source; None where they are not known.
        licence: of the weights.
    """

    repository: str
    dim: int
    layers: tuple[int, int]
    vocabulary: int
    mels: int = 80
    stored_bytes: int = 4
    librispeech: tuple[float, float, str] | None = None
    licence: str = "MIT"

    @property
    def name(self) -> str:
        """Its name without the owner, by which it can be had too."""
        return self.repository.partition("/")[2]

    @property
    def parameters(self) -> int:
        """How many numbers it has, the encoder's fixed positions included."""
        dim, (encoder, decoder) = self.dim, self.layers
        attention = 4 * dim * dim + 3 * dim  # keys have no bias
        feed_forward, norm = 8 * dim * dim + 5 * dim, 2 * dim
        convolutions = 3 * self.mels * dim + dim + 3 * dim * dim + dim
        positions, embedding = (1500 + 448) * dim, self.vocabulary * dim
        return (
            convolutions
            + positions
            + embedding
            + 2 * norm
            + encoder * (attention + feed_forward + 2 * norm)
            + decoder * (2 * attention + feed_forward + 3 * norm)
        )

    @property
    def download_bytes(self) -> int:
        """The size of its weights as they are fetched."""
        return self.parameters * self.stored_bytes

    @property
    def revision(self) -> str | None:
        """The commit that is fetched, 40 hexadecimal digits; None where none is pinned."""
        return REVISIONS.get(self.repository)

    @property
    def languages(self) -> int:
        """How many it knows. Distilled ones were trained further on English only."""
        if self.repository.startswith("distil-whisper/"):
            return 1
        return LANGUAGES.get(self.vocabulary, 1)


def _large(
    repository: str,
    decoder: int = 32,
    vocabulary: int = 51866,
    stored_bytes: int = 2,
    librispeech: tuple[float, float, str] | None = None,
) -> PublishedModel:
    mels = 128 if vocabulary == 51866 else 80
    return PublishedModel(
        repository, 1280, (32, decoder), vocabulary, mels, stored_bytes, librispeech
    )


PUBLISHED: tuple[PublishedModel, ...] = (
    PublishedModel(
        "openai/whisper-tiny.en", 384, (4, 4), ENGLISH, librispeech=(5.6, 14.6, WHISPER_PAPER)
    ),
    PublishedModel("openai/whisper-tiny", 384, (4, 4), 51865),
    PublishedModel(
        "openai/whisper-base.en", 512, (6, 6), ENGLISH, librispeech=(4.2, 10.2, WHISPER_PAPER)
    ),
    PublishedModel("openai/whisper-base", 512, (6, 6), 51865),
    PublishedModel(
        "openai/whisper-small.en", 768, (12, 12), ENGLISH, librispeech=(3.1, 7.4, WHISPER_PAPER)
    ),
    PublishedModel("openai/whisper-small", 768, (12, 12), 51865),
    PublishedModel("openai/whisper-medium.en", 1024, (24, 24), ENGLISH),
    PublishedModel("openai/whisper-medium", 1024, (24, 24), 51865),
    _large("openai/whisper-large-v3-turbo", decoder=4),
    _large("openai/whisper-large-v2", vocabulary=51865, stored_bytes=4),
    _large("openai/whisper-large-v3", librispeech=(2.0, 3.9, LEADERBOARD)),
    PublishedModel("distil-whisper/distil-small.en", 768, (12, 4), ENGLISH, stored_bytes=2),
    PublishedModel("distil-whisper/distil-medium.en", 1024, (24, 2), ENGLISH, stored_bytes=2),
    _large("distil-whisper/distil-large-v2", decoder=2, vocabulary=51865),
    _large("distil-whisper/distil-large-v3", decoder=2),
    _large("distil-whisper/distil-large-v3.5", decoder=2, stored_bytes=4),
)


def published(name: str) -> PublishedModel | None:
    """The model of that name, with or without its owner; None where there is none."""
    return next((model for model in PUBLISHED if name in (model.name, model.repository)), None)


def nearest(name: str) -> str | None:
    """The name that may have been meant by one that there is not, as by `tiny.en`."""
    short = f"whisper-{_SHORT_NAMES.get(name, name)}"
    if published(short) is not None:
        return short
    names = [model.repository if "/" in name else model.name for model in PUBLISHED]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return near[0] if near else None
