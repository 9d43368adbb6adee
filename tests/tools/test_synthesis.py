"""Synthetic speech: which sentences, who says them, what is kept. Engines are made up here."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.manifest import read_manifest
from asr.text import TextNormalizer
from tools.synthesis.engines import ENGINES, SynthesisError
from tools.synthesis.make import Delivery, Manners, deliveries, make
from tools.synthesis.opus import opus
from tools.synthesis.sentences import Choice, Held, Sentence, choose
from tools.synthesis.sound import LETTERS_A_SECOND, RATE, fault, shape

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "synthesise.py"


def sentences(lines: Iterable[str], held: Iterable[str] = (), **choice: float) -> list[str]:
    rules = Choice(**{"least": 2, "seen": 1, **choice})  # type: ignore[arg-type]
    return [one.text for one in choose(lines, Held(held), rules)]


# Sentences


def test_nothing_of_the_held_sets_is_said():
    long = "the quick brown fox jumps over the lazy dog"
    held = ["THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG", "Call me Ishmael, please.", "Yes, sir!"]
    lines = [
        long,
        "he said the quick brown fox jumps over the moon",  # seven words in a row
        "she saw the quick brown fox jumps over a wall",  # six
        "yes sir",
        "oh yes sir I do",  # two words say nothing of the dev set
        "they used to call me Ishmael please and I came",
        "call me Ishmael or not",
    ]
    said = sentences(lines, held)
    assert sorted(said) == [
        "call me ishmael or not",
        "oh yes sir i do",
        "she saw the quick brown fox jumps over a wall",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Henry VIII. had six wives",
        "in chapter iv he dies",
        "J. R. came in",
        "the hmm was loud",
        "it cost £5 or so 3 times ½",
        "he said naïve things to Ω",
    ],
)
def test_what_engines_read_in_their_own_ways_is_not_said(line):
    said = sentences([line])
    assert all(set(text) <= set("abcdefghijklmnopqrstuvwxyz' ") for text in said)
    assert not any(word in ("viii", "iv", "j", "r", "hmm") for t in said for word in t.split())


@pytest.mark.parametrize(
    ("line", "spoken"),
    [
        ('"Well," said Mr. Holmes -- "go on!"', "well, said mister holmes, go on!"),
        ("Silver-dale is far; far away", "silver dale is far; far away."),
        ("Don't, 'tis the boys' dog...", "don't, tis the boys dog."),
        ("It was 5 miles", "it was five miles."),
    ],
)
def test_pauses_are_kept_and_the_rest_is_as_it_is_written(line, spoken):
    (found,) = choose([line], Held([]), Choice(least=2, seen=1))
    assert found == Sentence(spoken, TextNormalizer()(line))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(alphabet="abIV '’\"-—.,;:!?()é5&", max_size=40))
def test_what_is_spoken_is_what_is_written(line):
    for found in choose([line], Held([]), Choice(least=1, seen=1)):
        assert TextNormalizer()(found.spoken) == found.text
        assert set(found.spoken) <= set("abcdefghijklmnopqrstuvwxyz' ,.?!;:")


def test_the_first_sentences_do_not_depend_on_how_many_are_taken_and_rare_words_come_first():
    lines = [f"we go there {a}{b} now" for a in ("ba", "da", "fo") for b in ("ba", "lo", "ku")]
    lines += ["we go there now we go", "now we go there we go", "go we there now go we"] * 3
    assert len(sentences(lines)) == 12, "the same sentence is said once"
    assert sentences(lines, seed=1) == sentences(lines, seed=1) != sentences(lines, seed=2)
    rare = [set(sentences(lines, rarity=30.0, seed=seed)[:9]) for seed in range(5)]
    assert all(not any(text.endswith("we go") for text in first) for first in rare)
    assert set(sentences(lines, seen=2)) == set(lines[9:]), "words that are there once"


# Who says it


def plan(
    voices: dict[str, list[str]], texts: int = 400, seed: int = 0, **shares: float
) -> list[Delivery]:
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


# What becomes of the samples


def buzz(seconds: float, pitch: float = 200.0, rate: int = RATE) -> np.ndarray:
    """Something like a voice: a tone whose level comes and goes."""
    at = np.arange(round(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * pitch * at) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))
    return (0.3 * wave).astype(np.float32)


@pytest.mark.parametrize("tract", [0.9, 1.0, 1.12])
def test_the_tract_changes_length_and_pitch_alike(tract):
    spoken = np.concatenate([np.zeros(22050), buzz(2.0, 200, 22050), np.zeros(44100)])
    samples = shape(spoken.astype(np.float32), 22050, tract)
    assert samples.dtype == np.float32
    assert len(samples) / RATE == pytest.approx(2.0 / tract + 0.3, abs=0.03), "margins of 0.15 s"
    peak = np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples)
    assert peak == pytest.approx(200 * tract, abs=1)
    assert 10 * np.log10(np.mean(samples**2)) == pytest.approx(-24, abs=0.1)


def test_level_stops_at_full_scale():
    spoken = np.zeros(RATE, np.float32)
    spoken[::1600] = 0.5
    assert np.max(np.abs(shape(spoken, RATE, 1.0))) <= 0.951


TEXT = "a" * round(2 * LETTERS_A_SECOND)  # two seconds


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (buzz(2.0), None),
        (buzz(1.2), None),
        (buzz(0.9), "too short for its text"),
        (buzz(5.5), "too long for its text"),
        (np.zeros(2 * RATE, np.float32), "silent"),
        (np.zeros(0, np.float32), "empty"),
        (np.full(2 * RATE, np.nan, np.float32), "not finite"),
        (np.concatenate([buzz(1), np.zeros(RATE * 3 // 2, np.float32)]), "mostly silence"),
        (
            np.concatenate([buzz(1), np.zeros(RATE * 8 // 5, np.float32), buzz(1)]),
            "a pause of more than 1.5 s",
        ),
    ],
)
def test_what_cannot_be_its_text_is_found(samples, said):
    assert fault(shape(samples, RATE, 1.0) if said == "not finite" else samples, TEXT, 1.0) == said


def test_a_slow_voice_may_take_longer():
    assert fault(buzz(5.5), TEXT, 0.8) is None


def test_opus_keeps_length_place_and_level():
    samples = buzz(1.3)
    samples[: RATE // 4] = 0
    for length in (len(samples), len(samples) - 333, 7000):
        heard, rate = soundfile.read(io.BytesIO(opus(samples[:length], RATE)), dtype="float32")
        assert (rate, len(heard)) == (RATE, length)
        assert np.mean(heard**2) == pytest.approx(np.mean(samples[:length] ** 2), rel=0.1)
        onset = np.argmax(np.abs(heard) > 0.05) - np.argmax(np.abs(samples) > 0.05)
        assert abs(onset) <= 160  # 10 ms


# Making


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
from tests.tools.test_synthesis import Fake, made
made(Path(sys.argv[1]), Fake(Path(sys.argv[1]) / "calls", slow=0.02))
"""


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(tmp_path):
    calls = tmp_path / "calls"
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    running = subprocess.Popen(command, cwd=ROOT)
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


# The program and the real engines


def synthesise(*args: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, args)]
    env = {"PYTHONPATH": str(ROOT), "PATH": path if path is not None else "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


@pytest.fixture
def text(tmp_path) -> Path:
    lines = ["The men came over the hill, and we saw them.", "She would not say what it was."]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "text.txt"


def test_a_missing_program_names_its_package(text, tmp_path):
    done = synthesise(text, "-o", tmp_path / "m.jsonl", "--hours", 1, path="")
    assert done.returncode == 2
    assert "apt-get install flite" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [("espaek", "known: espeak, flite"), ("flite=x", "is no number"), ("flite=0", "above 0")],
)
def test_a_wrong_share_is_named(text, tmp_path, option, said):
    done = synthesise(text, "-o", tmp_path / "m.jsonl", "--hours", 1, "--share", option)
    assert done.returncode == 2
    assert said in done.stderr


def voices(name: str) -> list[str]:
    try:
        found = ENGINES[name].voices()
    except Exception as error:
        pytest.skip(str(error))
    return found or pytest.skip(f"{name} has no English voice here")


def test_the_program_speaks_with_what_is_installed(text, tmp_path):
    voices("flite")
    call = (text, "-o", tmp_path / "m.jsonl", "--hours", 1, "--share", "flite", "--seen", 1)
    done = synthesise(*call, "--leave-out", "flite:[!s]*")
    assert done.returncode == 1, "the text is too short for an hour, and that is said"
    assert "less than 1 h" in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert {line["speaker"] for line in lines} == {"flite:slt"}


@pytest.mark.parametrize("name", ENGINES)
def test_engines_speak_at_the_rate_they_are_asked_for(name):
    engine = ENGINES[name]
    text = "she would not say what it was, and we saw them come over the hill."
    for voice in islice(voices(name), 3):
        spoken = {
            rate: shape(*engine.synthesize(text, voice, rate, 1.05), 1.0) for rate in (1.0, 1.3)
        }
        for rate, samples in spoken.items():
            assert fault(samples, text, rate) is None
        assert len(spoken[1.3]) == pytest.approx(len(spoken[1.0]) / 1.3, rel=0.15)
