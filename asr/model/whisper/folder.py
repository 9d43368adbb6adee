"""Opens Whisper checkpoints in their own formats as a model: weights, tokenizer, suppressed labels.

The format follows from the files: a CTranslate2 folder has `model.bin`, a Hugging Face folder
`config.json` and safetensors or `pytorch_model.bin`, and a file `NAME.pt` is OpenAI's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from asr.errors import ModelError
from asr.folders import unreadable
from asr.frontend import WhisperConfig as FrontendConfig
from asr.model.folder import FolderConfig, LoadedModel
from asr.model.speech_model import ModelConfig, SpeechModel
from asr.model.weights import LoadedDtype, Uninitialised, fill
from asr.model.whisper.alignment_heads import alignment_heads
from asr.model.whisper.checkpoint import WhisperCheckpoint
from asr.model.whisper.files import (
    CONFIG,
    MODEL_BIN,
    hugging_face_weights,
    read_ctranslate2,
    read_hugging_face,
    read_json,
    read_openai,
)
from asr.model.whisper.origin import model_name, origin_of
from asr.text import NormalizerConfig
from asr.text.languages import TRANSCRIBE, TRANSLATE
from asr.text.whisper import WhisperTokenizer

KIND = "whisper"
TOKENIZER = "tokenizer.json"
GENERATION = "generation_config.json"
ALIGNMENT_HEADS = "alignment_heads"
#: Models with fewer labels know English only.
MULTILINGUAL_LABELS = 51865
#: Memory frames (20 ms) of silence that an utterance is encoded with (docs/whisper.md).
TAIL = 384
#: The beam of the original; wider ones gain nothing. A language model's weight must be chosen: the
#: usual one makes results worse (docs/whisper.md). Attention bounds what hotwords add.
SEARCH = {"beam": 5, "ctc_weight": 0.0, "lm_weight": 0.0, "hotword_weight": 1.0}


@dataclass(frozen=True)
class GenerationSettings:
    """A checkpoint's settings for labels; None for those that it does not have.

    Attributes:
        suppress: labels that are never written.
        suppress_first: labels that a text never begins with.
        multilingual: whether it knows languages other than English.
        alignment_heads: (layer, head) of those that follow the speech.
    """

    suppress: tuple[int, ...] | None = None
    suppress_first: tuple[int, ...] | None = None
    multilingual: bool | None = None
    alignment_heads: tuple[tuple[int, int], ...] | None = None


def load_whisper(path: Path | str, dtype: LoadedDtype = "float32") -> LoadedModel[SpeechModel]:
    """Opens a Whisper checkpoint; the labels of multilingual ones are for English by default.

    Utterances are encoded with 7.7 s of silence behind them (`WhisperEncoderConfig.tail`), at most
    up to the 30 s that the original always encodes.

    Args:
        path: a CTranslate2 or Hugging Face folder with `tokenizer.json`, or a file `NAME.pt` of
            OpenAI with `tokenizer.json` beside it.
        dtype: what the weights are loaded as: see `load_model_folder`.

    Raises:
        ModelError: a file is missing, cannot be read, is damaged, or of another kind of model.
        ConfigError: there is no such `dtype`.
    """
    path = Path(path)
    checkpoint, settings = _read(path)
    folder = path.parent if path.is_file() else path
    tokenizer = _tokenizer(folder / TOKENIZER, checkpoint, settings)
    heads = alignment_heads(checkpoint.decoder, checkpoint.vocabulary, settings.alignment_heads)
    config = ModelConfig(
        frontend=FrontendConfig(mels=checkpoint.mels),
        encoder=checkpoint.encoder.model_copy(update={"tail": TAIL}),
        decoder=checkpoint.decoder.model_copy(update={"alignment_heads": heads}),
        ctc=False,
    )
    with Uninitialised():
        model = SpeechModel(config, checkpoint.vocabulary)
    fill(model, checkpoint.weights, path, dtype)
    described = FolderConfig(
        kind=KIND,
        name=model_name(path),
        vocabulary=checkpoint.vocabulary,
        model=config,
        normalizer=NormalizerConfig(
            lowercase=False,
            numbers=False,
            symbols=False,
            abbreviations=False,
            punctuation=False,
        ),
        origin=origin_of(path, checkpoint),
        search=SEARCH,
    )
    return LoadedModel(model.eval(), tokenizer, described, path)


def _read(path: Path) -> tuple[WhisperCheckpoint, GenerationSettings]:
    """The weights of a checkpoint in any format, and its settings for labels."""
    if path.is_file():
        return read_openai(path), GenerationSettings()
    if (path / MODEL_BIN).is_file():
        other = hugging_face_weights(path)
        if other is not None:
            raise ModelError(
                f"{path}: holds two models, {MODEL_BIN} of CTranslate2 and {other.name} of Hugging "
                "Face; move one of them to a folder of its own"
            )
        settings = _generation_settings(path / CONFIG, "suppress_ids", "suppress_ids_begin")
        return read_ctranslate2(path), settings
    return read_hugging_face(path), _generation_settings(
        path / GENERATION, "suppress_tokens", "begin_suppress_tokens"
    )


def _generation_settings(path: Path, suppress: str, suppress_first: str) -> GenerationSettings:
    """The settings in a JSON file, by the names in its format; without the file there are none."""
    if not path.is_file():
        return GenerationSettings()
    values = read_json(path)
    multilingual = values.get("is_multilingual")
    if not (multilingual is None or isinstance(multilingual, bool)):
        raise ModelError(f"{path}: is_multilingual must be true or false; copy it again")
    return GenerationSettings(
        _ids(path, suppress, values.get(suppress)),
        _ids(path, suppress_first, values.get(suppress_first)),
        multilingual,
        _pairs(path, ALIGNMENT_HEADS, values.get(ALIGNMENT_HEADS)),
    )


def _ids(path: Path, key: str, values: Any) -> tuple[int, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise ModelError(f"{path}: {key} must be a list of label ids; copy it again")
    return tuple(values)


def _pairs(path: Path, key: str, values: Any) -> tuple[tuple[int, int], ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or any(
        not isinstance(pair, list) or [type(n) for n in pair] != [int, int] for pair in values
    ):
        raise ModelError(f"{path}: {key} must be a list of pairs [layer, head]; copy it again")
    return tuple((layer, head) for layer, head in values)


def _tokenizer(
    path: Path, checkpoint: WhisperCheckpoint, settings: GenerationSettings
) -> WhisperTokenizer:
    """The tokenizer of a checkpoint, with the checkpoint's suppressed labels or the original's."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(
            f"{path}: is missing; copy tokenizer.json of the same model (openai/whisper-* at "
            "Hugging Face has it) to that place"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError:
        raise ModelError(f"{path}: not JSON, or damaged; copy it again") from None
    multilingual = settings.multilingual
    if multilingual is None:
        multilingual = checkpoint.vocabulary >= MULTILINGUAL_LABELS
    language = "en" if multilingual else None
    tokenizer = partial(
        WhisperTokenizer,
        content,
        checkpoint.vocabulary,
        language=language,
        tasks=_tasks(checkpoint),
        source=str(path),
    )
    suppress, first = settings.suppress, settings.suppress_first
    if suppress is None or first is None:
        plain = tokenizer()
        suppress = plain.non_speech() if suppress is None else suppress
        first = (*plain.space, plain.labels.end) if first is None else first
    return tokenizer(suppress=suppress, suppress_first=first)


def _tasks(checkpoint: WhisperCheckpoint) -> tuple[str, ...]:
    """What a multilingual checkpoint can do.

    Models with a shorter decoder (turbo, distil) were trained further without translation: asked
    for it they write the language that is spoken.
    """
    shorter = checkpoint.decoder.layers < checkpoint.encoder.layers
    return (TRANSCRIBE,) if shorter else (TRANSCRIBE, TRANSLATE)
