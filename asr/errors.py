"""Every error that a caller can cause, as one small tree.

AsrError
├── AudioError      a file, pipe or array of samples that cannot be used
├── ManifestError   a corpus or one line of it
├── ConfigError     a recipe, an override, an option or a model's configuration
├── ModelError      a model folder, or asking a model for what it cannot do
├── StreamError     a stream that is fed by two threads at once, or after its end
├── TrainingError   training cannot start or cannot go on
├── DependencyError an optional library is missing or does not fit
└── OutputError     a transcript cannot be written

Each message names the thing, says what is wrong with it and what to do. Nothing else of this
package is raised on purpose; anything else that escapes is our mistake.
"""


class AsrError(Exception):
    """Base of all errors that bad input, a bad call or a bad environment can cause."""


class AudioError(AsrError):
    """Audio cannot be opened, decoded or used."""


class ManifestError(AsrError):
    """A manifest or an entry of it is wrong."""


class ConfigError(AsrError):
    """A configuration key or value is wrong, or options do not go together."""


class ModelError(AsrError):
    """A model folder is damaged, or the model cannot do what was asked."""


class StreamError(AsrError):
    """A stream is used in a way that it cannot be."""


class TrainingError(AsrError):
    """Training cannot start or cannot go on."""


class DependencyError(AsrError):
    """An optional library is missing, or its version does not fit."""


class OutputError(AsrError):
    """A result cannot be written where it was asked for."""


def shortened(text: str, most: int) -> str:
    """`text` for a message: at most `most` characters of it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
