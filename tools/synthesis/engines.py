"""The programs that speak: one class each, behind one protocol.

Each utterance is a call of the program, so that a crash costs one sentence and nothing is carried
over from one to the next. Samples are as deterministic as the program.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import log2
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from asr.errors import AsrError, DependencyError

#: No sentence takes a program longer, in seconds.
_PATIENCE = 60.0


class SynthesisError(AsrError):
    """A program failed at one sentence: it is left out and counted."""


class Engine(Protocol):
    """A program that speaks English."""

    name: str

    def voices(self) -> list[str]:
        """The names of its voices.

        Raises:
            DependencyError: the program is not installed; the message names the package.
        """
        ...

    def synthesize(
        self, text: str, voice: str, rate: float, pitch: float
    ) -> tuple[np.ndarray, int]:
        """Speaks `text` (letters, apostrophes, simple punctuation).

        Args:
            rate: how fast, as a factor of the voice's usual rate.
            pitch: how high, as a factor of the voice's usual pitch.

        Returns:
            Samples (N,) in float32, and their rate.

        Raises:
            SynthesisError: the program failed.
        """
        ...


class Espeak:
    """eSpeak NG: formant synthesis; every accent of English in every variant of the voice."""

    name = "espeak"
    #: Effects rather than persons.
    _EFFECTS = re.compile(r"robo|whisper|croak|demon|announcer|tweaky|fast|serious|storm", re.I)

    def voices(self) -> list[str]:
        """Accent and variant, as `en-gb-scotland+f2`."""
        program("espeak-ng", "espeak-ng")
        accents = [
            file for _, file in self._list("en") if file.startswith("gmw/en") and "mb-" not in file
        ]
        variants = [
            file.removeprefix("!v/")
            for name, file in self._list("variant")
            if not self._EFFECTS.search(name) and not self._EFFECTS.search(file)
        ]
        tags = [accent.removeprefix("gmw/").lower() for accent in accents]
        return [f"{tag}+{variant}" for tag in tags for variant in variants]

    def synthesize(
        self, text: str, voice: str, rate: float, pitch: float
    ) -> tuple[np.ndarray, int]:
        """See `Engine`. Both ranges are wide; the pitch scale is measured, not documented."""
        height = min(99, max(0, round(50 + 70 * log2(pitch))))
        with scratch() as folder:
            run("espeak-ng", "-v", voice, "-s", str(round(165 * rate)), "-p", str(height),
                "-z", "-w", str(folder / "out.wav"), "--", text)  # fmt: skip
            return heard(folder / "out.wav")

    @staticmethod
    def _list(of: str) -> list[tuple[str, str]]:
        """Pairs of name and file; fields are parted by spaces, and files have none that we use."""
        rows = [line.split() for line in run("espeak-ng", f"--voices={of}").splitlines()[1:]]
        return [(row[3], row[4]) for row in rows if len(row) > 4 and "Mr_" not in row[3]]


class Flite:
    """Flite: three statistical voices (CMU ARCTIC readers) and a diphone voice."""

    name = "flite"
    #: Not the one that only tells the time, nor the one of 8 kHz.
    _NO_USE = ("awb_time", "kal")

    def voices(self) -> list[str]:
        """As `flite -lv` names them."""
        program("flite", "flite")
        said = run("flite", "-lv").partition(":")[2].split()
        return [voice for voice in said if voice not in self._NO_USE]

    def synthesize(
        self, text: str, voice: str, rate: float, pitch: float
    ) -> tuple[np.ndarray, int]:
        """See `Engine`."""
        with scratch() as folder:
            run("flite", "-voice", voice, "--setf", f"duration_stretch={1 / rate:.4f}",
                "--setf", f"f0_shift={pitch:.4f}", "-t", text,
                "-o", str(folder / "out.wav"))  # fmt: skip
            return heard(folder / "out.wav")


class Festival:
    """Festival: diphone voices and HTS voices (Tokuda et al. 2013) of English.

    HTS voices have no control of the pitch: there `pitch` changes nothing.
    """

    name = "festival"
    _FOLDERS = (Path("/usr/share/festival/voices"), Path("/usr/lib/festival/voices"))
    _ENGLISH = ("english", "us")

    def voices(self) -> list[str]:
        """The English voices that are installed."""
        program("festival", "festival festvox-us-slt-hts festvox-kallpc16k festvox-kdlpc16k")
        return sorted(
            voice.name
            for folder in self._FOLDERS
            for language in self._ENGLISH
            for voice in (folder / language).glob("*")
            if voice.is_dir()
        )

    def synthesize(
        self, text: str, voice: str, rate: float, pitch: float
    ) -> tuple[np.ndarray, int]:
        """See `Engine`."""
        if voice.endswith("_hts"):
            manner = f"""(set! hts_engine_params (append hts_engine_params '(("-r" {rate:.4f}))))"""
        else:
            manner = (
                f"(Parameter.set 'Duration_Stretch {1 / rate:.4f})"
                "(set! int_lr_params (cons (list 'target_f0_mean (* "
                f"{pitch:.4f} (cadr (assoc 'target_f0_mean int_lr_params))))"
                " (cdr int_lr_params)))"
            )
        with scratch() as folder:
            script = folder / "speak.scm"
            script.write_text(
                f'(voice_{voice}) {manner} (utt.save.wave (utt.synth (Utterance Text "{text}")) '
                f'"{folder / "out.wav"}" \'riff)',
                encoding="ascii",
            )
            run("festival", "-b", str(script))
            return heard(folder / "out.wav")


class RHVoice:
    """RHVoice: statistical voices. Those whose licence forbids commercial use are not taken."""

    name = "rhvoice"
    _VOICES = Path("/usr/share/RHVoice/voices")
    #: CC BY-NC-ND 4.0, by /usr/share/doc/rhvoice-english/copyright.
    _NOT_FREE = ("evgeniy-eng", "lyubov")

    def voices(self) -> list[str]:
        """The English voices that are installed."""
        program("RHVoice-test", "rhvoice rhvoice-english (non-free)")
        return sorted(
            file.parent.name
            for file in self._VOICES.glob("*/voice.info")
            if "language=English" in file.read_text(encoding="utf-8").split()
            and file.parent.name not in self._NOT_FREE
        )

    def synthesize(
        self, text: str, voice: str, rate: float, pitch: float
    ) -> tuple[np.ndarray, int]:
        """See `Engine`."""
        with scratch() as folder:
            (folder / "in.txt").write_text(text, encoding="ascii")
            run("RHVoice-test", "-p", voice, "-r", str(round(100 * rate)),
                "-t", str(round(100 * pitch)), "-i", str(folder / "in.txt"),
                "-o", str(folder / "out.wav"))  # fmt: skip
            return heard(folder / "out.wav")


class Pico:
    """SVOX Pico: a small commercial synthesiser that was given away; two women."""

    name = "pico"
    _LANGUAGES = Path("/usr/share/pico/lang")

    def voices(self) -> list[str]:
        """One each for `en-GB` and `en-US`, where their data are installed."""
        program("pico2wave", "libttspico-utils (non-free)")
        return sorted({file.name[:5] for file in self._LANGUAGES.glob("en-*_sg.bin")})

    def synthesize(
        self, text: str, voice: str, rate: float, pitch: float
    ) -> tuple[np.ndarray, int]:
        """See `Engine`."""
        manner = f'<speed level="{round(100 * rate)}"><pitch level="{round(100 * pitch)}">'
        with scratch() as folder:
            run("pico2wave", "-l", voice, "-w", str(folder / "out.wav"),
                f"{manner}{text}</pitch></speed>")  # fmt: skip
            return heard(folder / "out.wav")


#: Every engine there is.
ENGINES: dict[str, Engine] = {
    engine.name: engine for engine in (Espeak(), Flite(), Festival(), RHVoice(), Pico())
}


def program(name: str, packages: str) -> None:
    """Raises DependencyError where a program is not installed."""
    if shutil.which(name) is None:
        raise DependencyError(
            f"{name} is not installed; on Debian and Ubuntu: apt-get install {packages}; "
            "or choose other engines with --share"
        )


def run(*command: str) -> str:
    """Runs a program; returns what it printed. Raises SynthesisError."""
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise SynthesisError(f"{command[0]}: took more than {_PATIENCE:g} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SynthesisError(f"{command[0]}: status {done.returncode}: {said[-1:]}")
    return done.stdout.decode("utf-8", "replace")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the files of one call."""
    with tempfile.TemporaryDirectory(prefix="asr-speak-") as name:
        yield Path(name)


def heard(file: Path) -> tuple[np.ndarray, int]:
    """The samples that a program has written. Raises SynthesisError where there are none."""
    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise SynthesisError(f"nothing was spoken: {error}") from None
    return samples.mean(axis=1), int(rate)
