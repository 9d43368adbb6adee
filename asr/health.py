"""What an installation can do: checks of its libraries, devices, formats and model. None raises.

A check that is `wrong` keeps recordings from being transcribed; a `note` is something else that is
missing, with what it is needed for.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import asr
from asr.dependencies import installed, need
from asr.errors import AsrError, DependencyError

Status = Literal["ok", "note", "wrong"]

#: distribution: (module, what it is for; None: for transcribing)
LIBRARIES = {
    "torch": ("torch", None),
    "numpy": ("numpy", None),
    "soundfile": ("soundfile", None),
    "av": ("av", None),
    "soxr": ("soxr", None),
    "sentencepiece": ("sentencepiece", None),
    "safetensors": ("safetensors.torch", None),
    "pydantic": ("pydantic", None),
    "pyyaml": ("yaml", None),
    "click": ("click", None),
    "rich": ("rich", "progress on a terminal"),
    "num2words": ("num2words", "numbers in reference texts"),
    "jiwer": ("jiwer", "error rates"),
    "jellyfish": ("jellyfish", "kinds of errors"),
    "jinja2": ("jinja2", "reports of errors"),
}
#: extra: (what it is for, module by distribution)
EXTRAS = {
    "train": (
        "training, adapting, and corpora that are no JSON lines",
        {
            "torchaudio": "torchaudio",
            "lightning": "lightning",
            "lhotse": "lhotse",
            "urllib3": "urllib3",
            "filelock": "filelock",
            "tensorboard": "tensorboard",
            "matplotlib": "matplotlib",
        },
    ),
    "mic": ("the microphone (asr stream)", {"sounddevice": "sounddevice"}),
    "hub": (
        "published models by name",
        {"huggingface_hub": "huggingface_hub"},
    ),
    "scoring": (
        "error rates as Whisper's are counted (asr evaluate)",
        {"whisper-normalizer": "whisper_normalizer.english"},
    ),
    "rooms": (
        "simulated rooms (tools/simulate_rooms.py)",
        {"pyroomacoustics": "pyroomacoustics"},
    ),
}
#: What is written and read again: name, and format and subtype of libsndfile.
WRITABLE = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
#: What FFmpeg decodes, by where it is found.
DECODERS = {
    "aac": "m4a, mp4, mov",
    "alac": "m4a",
    "opus": "webm, mkv",
    "vorbis": "webm, mkv",
    "ac3": "mkv, mpeg",
    "wmav2": "wma, asf",
    "amrnb": "amr, 3gp",
}
#: Pipes are kept in a temporary file while they are read.
LITTLE_ROOM = 2**30


@dataclass(frozen=True)
class HealthCheck:
    """One check and its outcome."""

    topic: str
    name: str
    status: Status
    message: str
    """In words, with what to do where it is not `ok`."""


def examine(model: str | None) -> Iterator[HealthCheck]:
    """All checks, topic by topic, as they are done."""
    checks: dict[str, Callable[[], Iterator[HealthCheck]]] = {
        "versions": _versions,
        "extras": _extras,
        "devices": _devices,
        "audio": _audio,
        "microphone": _microphone,
        "model": lambda: _model(model),
        "disk": _disk,
    }
    for topic, check in checks.items():
        try:
            yield from check()
        except Exception as error:  # whatever a broken library raises is what is looked for here
            yield HealthCheck(topic, topic, "wrong", _first_line(error))


def _versions() -> Iterator[HealthCheck]:
    yield HealthCheck("versions", "asr", "ok", f"{asr.__version__}, in {Path(asr.__file__).parent}")
    python = f"{platform.python_version()}, {sys.executable}, {platform.platform()}"
    yield HealthCheck("versions", "python", "ok", python)
    for name, (module, purpose) in LIBRARIES.items():
        yield _library(name, module, purpose)


def _library(name: str, module: str, purpose: str | None) -> HealthCheck:
    version = installed(name)
    try:
        import_module(module)
    except Exception as error:
        message = f"{version} does not load" if version else "not there"
        message += f"{f', for {purpose}' if purpose else ''}: {_first_line(error)}"
        message += f"; install it again: pip install --force-reinstall {name}"
        return HealthCheck("versions", name, "note" if purpose else "wrong", message)
    return HealthCheck("versions", name, "ok", version or "unknown version")


def _extras() -> Iterator[HealthCheck]:
    """Loads each library of each extra: one that is installed may still not load."""
    for extra, (purpose, modules) in EXTRAS.items():
        missing = [name for name in modules if installed(name) is None]
        there = [name for name in modules if name not in missing]
        broken = []
        for name in there:
            try:
                need(modules[name], extra)
            except DependencyError as error:
                broken.append((name, str(error)))
        if missing:
            cure = f"{', '.join(missing)} not installed; pip install 'asr[{extra}]'"
            yield HealthCheck("extras", extra, "note", f"for {purpose}: {cure}")
        elif broken:
            names = ", ".join(name for name, _ in broken)
            yield HealthCheck("extras", extra, "note", f"for {purpose}: {names} does not load")
        else:
            versions = ", ".join(f"{name} {installed(name)}" for name in there)
            yield HealthCheck("extras", extra, "ok", f"for {purpose}: {versions}")
        for name, problem in broken:
            yield HealthCheck("extras", name, "note", f"{problem}. Transcribing does without it")


def _devices() -> Iterator[HealthCheck]:
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    wanted = os.environ.get("OMP_NUM_THREADS")
    threads = f"OMP_NUM_THREADS={wanted}" if wanted else f"half of them: {max(1, cores // 2)}"
    cpu = f"{_processor()}, {cores} cores ({usable} usable); threads of asr transcribe: {threads}"
    yield HealthCheck("devices", "cpu", "ok", cpu)
    torch: Any = import_module("torch")
    count = torch.cuda.device_count()
    for number in range(count):
        about = torch.cuda.get_device_properties(number)
        message = f"{about.name}, {about.total_memory / 2**30:.0f} GiB"
        yield HealthCheck("devices", f"cuda:{number}", "ok", message)
    if not count:
        yield HealthCheck("devices", "cuda", "note", _why_no_cuda(torch))
    if torch.backends.mps.is_available():
        message = "there, but not used: asr runs on the CPU or on CUDA"
        yield HealthCheck("devices", "mps", "note", message)


def _why_no_cuda(torch: Any) -> str:
    if torch.version.cuda is None:
        return f"none: torch {torch.__version__} is built without CUDA; the CPU is used"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return f"none: CUDA_VISIBLE_DEVICES is '{hidden}'; the CPU is used"
    return (
        f"none: torch is built for CUDA {torch.version.cuda}, but finds no driver or no GPU "
        "(nvidia-smi tells more); the CPU is used"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _audio() -> Iterator[HealthCheck]:
    """Writes a short sound in each format that libsndfile writes, and reads it as inputs are."""
    import numpy as np
    import soundfile

    from asr.audio import load_audio

    sound = 0.1 * np.sin(np.arange(16000) * 0.3).astype(np.float32)
    read, broken = [], []
    for name, (container, codec) in WRITABLE.items():
        file = io.BytesIO()
        try:
            soundfile.write(file, sound, 16000, format=container, subtype=codec)
        except (soundfile.LibsndfileError, ValueError):  # cannot be written, so cannot be tried
            continue
        file.seek(0)
        try:
            load_audio(file, 16000)
            read.append(name)
        except AsrError as error:
            broken.append(f"{name} ({error})")
    library = f"libsndfile {soundfile.__libsndfile_version__}"
    if broken:
        message = f"cannot be read: {'; '.join(broken)}; install soundfile and av again"
        yield HealthCheck("audio", "read", "wrong", message)
    if read:
        yield HealthCheck("audio", "read", "ok", f"{', '.join(read)} ({library}; tried)")
    yield from _decoders()


def _decoders() -> Iterator[HealthCheck]:
    import av

    there = sorted(name for name in DECODERS if name in av.codecs_available)
    missing = [f"{name} ({DECODERS[name]})" for name in DECODERS if name not in there]
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    message = ", ".join(f"{name} ({DECODERS[name]})" for name in there)
    yield HealthCheck("audio", "decoders", "ok", f"{message}; libavcodec {version}")
    if missing:
        message = f"this PyAV decodes no {', '.join(missing)}; pip install --upgrade av"
        yield HealthCheck("audio", "decoders", "note", message)


def _microphone() -> Iterator[HealthCheck]:
    from asr.audio import input_devices

    try:
        devices = input_devices()
    except (DependencyError, AsrError) as error:
        yield HealthCheck("microphone", "microphone", "note", str(error))
        return
    status: Status = "ok" if devices else "note"
    yield HealthCheck(
        "microphone", "microphone", status, "; ".join(devices) or "no device to record with"
    )


def _model(path: str | None) -> Iterator[HealthCheck]:
    """Opens the model, checks the digests of its files, and transcribes a second of noise."""
    import numpy as np

    from asr.folders import model_folder
    from asr.transcribe.recognizer import load_model

    try:
        folder = model_folder(path)
        begun = time.perf_counter()
        recognizer = load_model(folder)
        loaded = time.perf_counter()
        noise = 0.01 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
        recognizer.transcribe(noise, 16000)
        transcribed = time.perf_counter()
    except AsrError as error:
        yield HealthCheck("model", "model", "wrong", str(error))
        return
    count = sum(weights.numel() for weights in recognizer.model.parameters())
    message = (
        f"{recognizer.name}, {count / 1e6:.1f} million parameters, checksums right, in {folder}"
    )
    yield HealthCheck("model", "model", "ok", message)
    lm = recognizer.lm
    yield HealthCheck("model", "language model", "ok", str(lm.folder) if lm is not None else "none")
    speed = (
        f"opened in {loaded - begun:.1f} s, a second of noise heard in {transcribed - loaded:.1f} s"
    )
    yield HealthCheck("model", "run", "ok", f"{speed}, on {recognizer.device}")


def _disk() -> Iterator[HealthCheck]:
    yield HealthCheck("disk", "models", "ok", _cached_models())
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    message = f"{folder}, {free / 2**30:.1f} GiB free (what comes through a pipe is kept there)"
    if free < LITTLE_ROOM:
        message += "; make room, or name another folder in TMPDIR"
    yield HealthCheck("disk", "temporary files", "note" if free < LITTLE_ROOM else "ok", message)


def _cached_models() -> str:
    """The published models that are in the cache; nothing else is downloaded or kept."""
    from asr.hub.fetch import available, cache_folder, cached
    from asr.hub.published import PUBLISHED

    if not available():
        return "nothing is downloaded or kept (published models need asr[hub])"
    names = [model.name for model in PUBLISHED if cached(model)]
    return f"{', '.join(names) or 'no published model'} in {cache_folder()}; nothing else is kept"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
