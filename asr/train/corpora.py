"""The corpora that a recipe names, as cuts, checked before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asr.data.config import DataConfig
from asr.data.manifest import read_manifest
from asr.errors import TrainingError

if TYPE_CHECKING:
    from lhotse.cut import Cut


def read_corpora(config: DataConfig) -> tuple[list[Cut], list[Cut]]:
    """Training and dev cuts.

    Raises:
        ManifestError, TrainingError: they cannot be trained on.
    """
    train = [cut for source in config.train for cut in read_manifest(source.manifest)]
    dev = [cut for source in config.dev for cut in read_manifest(source.manifest)]
    if not train:
        raise TrainingError("data.train: no utterance to train on; name a manifest that has some")
    return train, dev
