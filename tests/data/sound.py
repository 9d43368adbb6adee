"""Tiny corpora of generated sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asr.data.random_state import generator

RATE = 16000


def tone(seconds: float, pitch: float = 440.0, rate: int = RATE) -> np.ndarray:
    """A sine of amplitude 0.3 with a little noise, so that no two are equal."""
    at = np.arange(round(seconds * rate)) / rate
    hiss = generator("tone", str(seconds), str(pitch)).standard_normal(len(at)) * 1e-3
    return (0.3 * np.sin(2 * np.pi * pitch * at) + hiss).astype(np.float32)


def write(path: Path, seconds: float, pitch: float = 440.0, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seconds, pitch, rate), rate)
    return path


def lines(path: Path, entries: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def corpus(folder: Path, durations: list[float], speaker: str = "ann") -> Path:
    """A manifest of tones, ids u0, u1 ..., texts 'one two three ...' by length."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    entries = []
    for i, seconds in enumerate(durations):
        write(folder / "audio" / f"u{i}.wav", seconds, 200 + 10 * i)
        entries.append(
            {
                "id": f"u{i}",
                "audio_filepath": f"audio/u{i}.wav",
                "duration": seconds,
                "text": " ".join(words[: 1 + int(seconds * 2) % 10]),
                "speaker": speaker,
            }
        )
    return lines(folder / "manifest.jsonl", entries)
