"""A small Whisper model with random weights, and sounds that stand for texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch

from asr.frontend.whisper import WhisperConfig
from asr.model.folder import Origin, save_model_folder
from asr.model.speech_model import ModelConfig, SpeechModel
from asr.model.whisper.config import WhisperDecoderConfig, WhisperEncoderConfig
from asr.text import NormalizerConfig
from tests.text.test_whisper import SIZE, tokenizer

RATE = 16000
SMALL = {"layers": 1, "dim": 32, "heads": 2, "ff": 64}
MODEL = ModelConfig(
    frontend=WhisperConfig(mels=16),
    encoder=WhisperEncoderConfig(**SMALL, positions=150, tail=10),
    decoder=WhisperDecoderConfig(**SMALL, positions=32),
    ctc=False,
)
#: Writes texts as they are.
AS_WRITTEN = NormalizerConfig(
    lowercase=False, numbers=False, symbols=False, abbreviations=False, punctuation=False
)
ORIGIN = Origin(
    source="openai/whisper-small", format="Hugging Face", weights="float16", licence="MIT"
)
#: The frequency in Hz of the sound of each text.
TEXTS = {"Hello.": 300, "No, 2!": 1000, "Où?": 3000}


def write_model(folder: Path, language: str | None = None) -> Path:
    """Writes a model folder; with `language` the model knows several, and this is the usual one."""
    torch.manual_seed(3)
    labels = tokenizer(language)
    save_model_folder(
        folder,
        SpeechModel(MODEL, SIZE),
        labels,
        name="small",
        normalizer=AS_WRITTEN,
        card="# small\n",
        search={"beam": 2, "ctc_weight": 0.0},
        origin=ORIGIN,
    )
    return folder


def write_sounds(folder: Path, count: int = 12, **fields: str) -> Path:
    """Writes utterances that each have one of `TEXTS`; a manifest with `fields` lists them."""
    folder.mkdir(parents=True)
    noise, lines = np.random.default_rng(count), []
    for number in range(count):
        text, frequency = list(TEXTS.items())[number % len(TEXTS)]
        seconds = 0.4 + 0.1 * (number % 4)
        times = np.arange(round(seconds * RATE)) / RATE
        samples = 0.3 * np.sin(2 * np.pi * frequency * times) + noise.normal(0, 0.01, len(times))
        soundfile.write(folder / f"{number}.wav", samples, RATE)
        entry = {"id": f"{folder.name}-{number}", "audio_filepath": f"{number}.wav"}
        entry |= {"duration": len(times) / RATE, "text": text, **fields}
        lines.append(json.dumps(entry) + "\n")
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(lines))
    return manifest
