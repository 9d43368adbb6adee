"""Speech to text with attention encoder-decoder models.

    import asr
    model = asr.load_model()              # the model that ships with the package
    print(model.transcribe("talk.mp3").text)

Names are loaded on first use: `import asr` alone loads neither torch nor lightning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.audio.microphone import Microphone
    from asr.errors import (
        AsrError,
        AudioError,
        ConfigError,
        DependencyError,
        ManifestError,
        ModelError,
        OutputError,
        StreamError,
        TrainingError,
    )
    from asr.output import SubtitleConfig, render
    from asr.transcribe.listen.asynchronous import stream
    from asr.transcribe.listen.listener import Listener, listen
    from asr.transcribe.options import TranscribeOptions
    from asr.transcribe.recognizer import Recognizer, load_model
    from asr.transcribe.streams.endpoint import EndpointConfig
    from asr.transcribe.streams.stream import Stream, feed_many, flush_many
    from asr.types import Hypothesis, Segment, SpeechEvent, StreamUpdate, Transcript, Word

__version__ = "0.1.0"

_HOME = {
    "asr.errors": (
        "AsrError",
        "AudioError",
        "ConfigError",
        "DependencyError",
        "ManifestError",
        "ModelError",
        "OutputError",
        "StreamError",
        "TrainingError",
    ),
    "asr.types": ("Hypothesis", "Segment", "SpeechEvent", "StreamUpdate", "Transcript", "Word"),
    "asr.audio.microphone": ("Microphone",),
    "asr.output": ("SubtitleConfig", "render"),
    "asr.transcribe.listen.asynchronous": ("stream",),
    "asr.transcribe.options": ("TranscribeOptions",),
    "asr.transcribe.streams.endpoint": ("EndpointConfig",),
    "asr.transcribe.listen.listener": ("Listener", "listen"),
    "asr.transcribe.recognizer": ("Recognizer", "load_model"),
    "asr.transcribe.streams.stream": ("Stream", "feed_many", "flush_many"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AsrError",
    "AudioError",
    "ConfigError",
    "DependencyError",
    "EndpointConfig",
    "Hypothesis",
    "Listener",
    "ManifestError",
    "Microphone",
    "ModelError",
    "OutputError",
    "Recognizer",
    "Segment",
    "SpeechEvent",
    "Stream",
    "StreamError",
    "StreamUpdate",
    "SubtitleConfig",
    "TrainingError",
    "TranscribeOptions",
    "Transcript",
    "Word",
    "__version__",
    "feed_many",
    "flush_many",
    "listen",
    "load_model",
    "render",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'asr' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
