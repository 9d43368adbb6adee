"""A made corpus, a tone for each letter, and recipes small enough to train on it in seconds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

from asr.train.recipe import Recipe, load_recipe

RATE = 8000
TONES = {"a": 400, "b": 900, "c": 2000}
WORDS = ("ab", "ba", "abc", "cab", "bac")

RECIPE: dict[str, Any] = {
    "data": {"batch_seconds": 30, "max_seconds": 6, "workers": 0},
    "model": {
        "frontend": {"sample_rate": RATE, "mels": 40},
        "encoder": {"type": "conformer", "layers": 2, "dim": 32, "heads": 2, "ff": 64, "kernel": 5},
        "decoder": {"type": "transformer", "layers": 1, "dim": 32, "heads": 2, "ff": 64},
    },
    "tokenizer": {"type": "char"},
    "schedule": {"type": "noam", "warmup_steps": 10},
    "optimizer": {"lr": 0.004},
    "training": {"max_steps": 6, "accelerator": "cpu", "precision": "32", "threads": 1, "ema": 0.5},
    "validation": {"decode": 4, "show": 2},
    "log": {"steps": 1, "tensorboard": False},
}


def write_corpus(folder: Path, count: int, seed: int, texts: list[str] | None = None) -> Path:
    """Writes `count` utterances of one to three words and returns their manifest."""
    folder.mkdir(parents=True)
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    lines = []
    for number in range(count):
        words = [draw.choice(WORDS) for _ in range(draw.randint(1, 3))]
        text = texts[number] if texts is not None else " ".join(words)
        samples = sound_of(" ".join(words), noise)
        soundfile.write(folder / f"{number}.wav", samples, RATE)
        entry = {
            "id": f"{folder.name}-{number}",
            "audio_filepath": f"{number}.wav",
            "duration": len(samples) / RATE,
            "text": text,
        }
        lines.append(json.dumps(entry))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def sound_of(text: str, noise: np.random.Generator) -> np.ndarray:
    """A tenth of a second for each letter and space, in a little noise: float32 (N,)."""
    size = RATE // 10
    times = np.arange(size) / RATE
    parts = [0.3 * np.sin(2 * np.pi * TONES.get(c, 0) * times) * np.hanning(size) for c in text]
    silence = np.zeros(size // 2)
    samples = np.concatenate([silence, *parts, silence])
    return (samples + noise.normal(0, 0.002, len(samples))).astype(np.float32)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train/manifest.jsonl` (40 utterances) and `dev/manifest.jsonl` (8)."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder / "train", 40, seed=1)
    write_corpus(folder / "dev", 8, seed=2)
    return folder


@pytest.fixture
def recipe_file(corpus: Path, tmp_path: Path) -> Path:
    """`tiny.yaml` of the corpus in a folder of its own."""
    values = json.loads(json.dumps(RECIPE))
    for part in ("train", "dev"):
        values["data"][part] = str(corpus / part / "manifest.jsonl")
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def recipe(recipe_file: Path) -> Callable[..., Recipe]:
    """Loads the tiny recipe with overrides."""

    def load(*overrides: str) -> Recipe:
        return load_recipe(recipe_file, overrides)

    return load


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    """Recipes here train with one thread; the other tests get theirs back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
