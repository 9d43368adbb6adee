"""Who says it, and what is kept of runs that end early. The engine is made up here."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from asr.data.manifest import read_manifest
from tests.conftest import REPOSITORY
from tests.tools.synthesis.tones import buzz
from tools.synthesis.engines import SynthesisError
from tools.synthesis.make import Manners, SpokenSentence, deliveries, make
from tools.synthesis.sentences import Sentence
from tools.synthesis.sound import LETTERS_A_SECOND, RATE


def plan(
    voices: dict[str, list[str]], texts: int = 400, seed: int = 0, **shares: float
) -> list[SpokenSentence]:
    spoken = [Sentence(f"{number} is said.", f"{number} is said") for number in range(texts)]
    return list(deliveries(spoken, voices, shares, Manners(), seed))


def test_without_a_voice_only_its_sentences_change():
    voices = {"a": ["x", "y"], "b": ["z"]}
    all_of_them = plan(voices, a=3, b=1)
    fewer = plan({**voices, "a": ["x"]}, a=3, b=1)
    for one, other in zip(all_of_them, fewer, strict=True):
        assert one == other or (one.voice == "y" and other.voice == "x")
    by_a = sum(one.engine == "a" for one in all_of_them)
    assert by_a == pytest.approx(300, abs=35)  # four deviations of a fair draw
    assert sum(one.voice == "x" for one in all_of_them) == pytest.approx(by_a / 2, abs=35)
    assert plan(voices, seed=1, a=3, b=1) != all_of_them
    assert len({one.id for one in all_of_them}) == 400
    manners = Manners()
    assert all(manners.rate[0] <= one.rate <= manners.rate[1] for one in all_of_them)


class Fake:
    """Speaks as long as its text takes; some texts go wrong."""

    name = "fake"

    def __init__(self, calls: Path | None = None, slow: float = 0.0) -> None:
        self.calls = calls
        self.slow = slow
        self.count = 0

    def voices(self) -> list[str]:
        return ["one", "two"]

    def synthesize(
        self, text: str, voice: str, rate: float, pitch: float
    ) -> tuple[np.ndarray, int]:
        self.count += 1
        if self.calls is not None:
            with self.calls.open("a") as file:
                file.write(text + "\n")
        time.sleep(self.slow)
        if "crash" in text:
            raise SynthesisError("fake: status -11: ['']")
        seconds = 0.05 if "hurry" in text else len(text) / LETTERS_A_SECOND / rate
        return buzz(seconds, 120 * pitch, 22050), 22050


WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliet",
    "kilo",
    "lima",
]
SPOKEN = [
    Sentence(f"{one} {two} {three}.", f"{one} {two} {three}")
    for one in WORDS
    for two in WORDS[:3]
    for three in ("come home", "crash", "hurry", "go on")[: 4 if one == "alpha" else 1]
]


def made(folder: Path, fake: Fake, hours: float = 1.0, jobs: int = 1):
    order = deliveries(SPOKEN, {"fake": fake.voices()}, {"fake": 1}, Manners(), 0)
    return make(order, {"fake": fake}, folder / "synthetic.jsonl", hours, jobs)


def test_manifests_are_corpora_and_rejects_are_counted(tmp_path):
    found = made(tmp_path, Fake())
    assert found.rejected == {
        ("fake", "failed (fake)"): 3,
        ("fake", "too short for its text"): 3,
    }
    assert len(found.lines) == len(SPOKEN) - 6
    cuts = list(read_manifest(tmp_path / "synthetic.jsonl"))
    assert [cut.supervisions[0].text for cut in cuts] == [
        one.text for one in SPOKEN if "crash" not in one.text and "hurry" not in one.text
    ]
    assert {cut.supervisions[0].speaker for cut in cuts} == {"fake:one", "fake:two"}
    for cut in cuts:
        assert len(cut.load_audio()[0]) == pytest.approx(cut.duration * RATE, abs=2)
    assert sum(cut.duration for cut in cuts) == pytest.approx(found.seconds, abs=0.01)


def test_more_hours_go_on_behind_fewer_and_jobs_change_nothing(tmp_path):
    fake = Fake()
    few = made(tmp_path / "a", fake, hours=20 / 3600)
    assert few.seconds == pytest.approx(20, abs=4)
    assert few.seconds >= 20
    before = fake.count
    more = made(tmp_path / "a", fake, hours=40 / 3600)
    assert more.lines[: len(few.lines)] == few.lines
    assert fake.count - before < len(SPOKEN), "what was there was kept"
    assert made(tmp_path / "b", Fake(), hours=40 / 3600, jobs=3).lines == more.lines


class Broken(Fake):
    """Fails in a way that nobody thought of."""

    def synthesize(
        self, text: str, voice: str, rate: float, pitch: float
    ) -> tuple[np.ndarray, int]:
        raise RuntimeError(text)


def test_what_was_done_is_told_where_a_run_ends_early_and_more_is_not_forgotten(tmp_path):
    manifest = tmp_path / "synthetic.jsonl"
    made(tmp_path, Fake())
    whole = manifest.read_text()
    with pytest.raises(RuntimeError):  # at the second sentence: it was rejected, so it has no file
        made(tmp_path, Broken())
    assert manifest.read_text() == whole
    manifest.unlink()
    with pytest.raises(RuntimeError):
        made(tmp_path, Broken())
    assert manifest.read_text() == whole.splitlines(keepends=True)[0]


KILLED = """
import sys
from pathlib import Path
from tests.tools.synthesis.test_make import Fake, made
made(Path(sys.argv[1]), Fake(Path(sys.argv[1]) / "calls", slow=0.02))
"""


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(tmp_path):
    calls = tmp_path / "calls"
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    running = subprocess.Popen(command, cwd=REPOSITORY)
    deadline = time.monotonic() + 60
    while not calls.exists() or len(calls.read_text().splitlines()) < 8:
        assert time.monotonic() < deadline, "it does not start"
        assert running.poll() is None, "it ends before it can be killed"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = len(calls.read_text().splitlines())
    assert done < len(SPOKEN)
    found = made(tmp_path, Fake(calls))
    again = len(calls.read_text().splitlines()) - done
    assert again <= len(SPOKEN) - done + 7, "six that are rejected, one that was being written"
    assert found.lines == made(tmp_path / "unbroken", Fake()).lines
