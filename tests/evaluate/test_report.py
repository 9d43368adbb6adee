"""Pages of evaluations: what is in them, and what a browser makes of them."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import Audio, load_audio
from asr.evaluate.breakdown import breakdown
from asr.evaluate.classes import Known
from asr.evaluate.comparison import Comparison, compare
from asr.evaluate.error_rate import Scored, count_written, score
from asr.evaluate.evaluation import Evaluation
from asr.evaluate.report.charts import HIGHEST, LABEL, PLOT, bars
from asr.evaluate.report.page import comparison_page, evaluation_page
from asr.evaluate.report.sound import Sounds
from asr.evaluate.results import Results
from asr.evaluate.scoring import WhisperNormalizerConfig
from asr.text import NormalizerConfig
from asr.types import Word
from tests.conftest import RATE

EVIL = "<script>document.title='owned'</script>"
IMAGE = '"><img src=x onerror="document.title=\'owned\'">'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def utterances(folder: Path) -> list[Scored]:
    """Some with errors of several kinds, one with hostile text everywhere, one without sound."""
    heard = tuple(
        Word(text, n, n + 0.5, sure)
        for n, (text, sure) in enumerate([("the", 0.9), ("night", 0.3), ("came", 0.97)])
    )
    evil = replace(score("evil", f"say {EVIL}", f"{EVIL} {IMAGE}", IMAGE, 2.0), id=EVIL)
    return [
        score("one", "the knight came", "the night came", "anna", 3.0, heard),
        score("two", "a b c d e f", "a f", "anna", 5.0),
        score("right", "all of it", "all of it", "bert", 9.0),
        score("three", "", "you you you", "bert", 1.0),
        replace(evil, audio=str(folder / "a'b <c>.wav"), start=0.5),
    ]


def page(scored: list[Scored], sounds: Sounds) -> str:
    known = Known.of("en")
    found = Evaluation(tuple(scored), {}, sum(one.seconds for one in scored), 0.0)
    return evaluation_page(found, breakdown(scored, known), known, f"model {EVIL}", sounds)


def test_rates_as_written_and_another_normaliser_are_on_the_page() -> None:
    plain = score("one", "the cat", "the cat")
    known, sounds = Known.of("en"), Sounds("none", Path("page.html"), 0)
    scored = (replace(plain, written=count_written("The cat.", "the cat")),)
    found = Evaluation(scored, {}, 1.0, 1.0, WhisperNormalizerConfig())
    html = evaluation_page(found, breakdown(scored, known), known, "title", sounds)
    assert "<span>as written</span><strong>100.0 %</strong><small>word errors, 25.0 %" in html
    assert "Scored with the normaliser of Whisper." in html
    html = page([plain], sounds)
    assert "as written" not in html
    assert "normaliser of Whisper" not in html


def compared(
    first: list[Scored], second: list[Scored], normalizer: NormalizerConfig | None = None
) -> Comparison:
    return compare(Results(tuple(first), normalizer), Results(tuple(second), normalizer))


@pytest.fixture
def sounds(tmp_path: Path, sound: np.ndarray) -> Sounds:
    soundfile.write(tmp_path / "a'b <c>.wav", sound, RATE)
    return Sounds("embed", tmp_path / "page.html", 1_000_000)


def test_nothing_is_asked_of_the_network_and_all_text_is_escaped(
    tmp_path: Path, sounds: Sounds
) -> None:
    html = page(utterances(tmp_path), sounds)
    assert not re.findall(r"https?://|@import|url\(", html)
    assert html.count("<script>") == 1
    assert "<img" not in html
    assert "default-src 'none'" in html
    assert html.count("&lt;script&gt;") >= 5


def test_only_kinds_with_errors_can_be_chosen(tmp_path: Path) -> None:
    scored = [score("one", "two cats", "two bats")]
    html = page(scored, Sounds("none", tmp_path / "page.html", 0))
    assert "<td>number</td>" in html
    assert 'data-kind="number"' not in html
    scored = [score("one", "two cats", "ten cats")]
    assert 'data-kind="number"' in page(scored, Sounds("none", tmp_path / "page.html", 0))


def test_texts_are_marked_with_their_language(tmp_path: Path) -> None:
    """What was said, for voices and spelling; the page's own words stay English."""
    sounds = Sounds("none", tmp_path / "page.html", 0)
    html = page([score("one", "two cats", "two bats")], sounds)
    assert html.count('<html lang="en">') == 1
    assert '<p class="alignment" lang="en">' in html
    assert '<td lang="en">bats</td>' in html
    sides = [score("one", "dois gatos", "dois gatos")], [score("one", "dois gatos", "dois ratos")]
    html = comparison_page(
        compared(*sides, NormalizerConfig(language="pt_BR")), ("a", "b"), "a and b", sounds
    )
    assert html.count('<p class="alignment" lang="pt-BR">') == 2
    unknown = comparison_page(compared(*sides), ("a", "b"), "a and b", sounds)
    assert unknown.count('<p class="alignment" lang="">') == 2


def test_a_comparison_knows_the_kinds_of_its_language(tmp_path: Path) -> None:
    sounds = Sounds("none", tmp_path / "page.html", 0)
    quiet = (
        Word("zwei", 0.0, 0.3, None, {"level": -3.0}),
        Word("wo", 1.0, 1.2, None, {"level": -45.0}),
    )
    first = [score("one", "zwei", "zwei", None, 2.0, quiet[:1])]
    second = [score("one", "zwei", "zwei wo", None, 2.0, quiet)]
    third = [score("one", "zwei", "drei")]
    german = NormalizerConfig(language="de")
    html = comparison_page(compared(first, second, german), ("a", "b"), "a and b", sounds)
    assert 'title="in silence, 1.00 s"' in html
    assert 'title="number"' in comparison_page(
        compared(first, third, german), ("a", "b"), "a and b", sounds
    )


def test_sound_is_embedded_as_far_as_it_may_be(tmp_path: Path, sounds: Sounds) -> None:
    one = utterances(tmp_path)[-1]
    [url] = sounds.urls([one]).values()
    kind, data = url.split(";base64,")
    assert kind == "data:audio/ogg"
    (tmp_path / "back.ogg").write_bytes(base64.b64decode(data))
    samples, rate = soundfile.read(tmp_path / "back.ogg")
    assert len(samples) / rate == pytest.approx(2.0, abs=0.05)  # from 0.5 s on
    link = "a%27b%20%3Cc%3E.wav"
    small = replace(sounds, limit=100)
    assert small.urls([one]) == {one.id: f"{link}#t=0.500,2.500"}
    assert replace(sounds, mode="link").urls([replace(one, start=None)]) == {one.id: link}
    assert replace(sounds, mode="none").urls([one]) == {}
    gone = replace(one, audio=str(tmp_path / "gone.wav"))
    assert sounds.urls([gone]) == {one.id: "gone.wav#t=0.500,2.500"}


def test_what_has_most_errors_is_embedded_first(tmp_path: Path, sound: np.ndarray) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE)
    given = [
        replace(score(str(n), "a b c", " ".join("xyz"[:n]), None, 1.0), audio=str(path), start=0.0)
        for n in range(4)
    ]
    sounds = Sounds("embed", tmp_path / "page.html", 1 << 20)
    size = max(len(url) for url in sounds.urls(given).values())
    given[0] = replace(given[0], words=replace(given[0].words, deletions=9))
    some = replace(sounds, limit=size + 100).urls(given)
    assert {name for name, url in some.items() if url.startswith("data:")} == {"0"}


def test_a_file_that_holds_many_utterances_is_read_once(
    tmp_path: Path, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    for n in range(6):
        path = tmp_path / f"{n % 2}.wav"
        soundfile.write(path, sound, RATE)
        one = score(str(n), "a b c", " ".join("xyz"[: n % 3]), None, 0.5)
        given.append(replace(one, audio=str(path), start=0.1 * n))
    read: list[str] = []

    def counted(path: str, rate: int) -> Audio:
        read.append(path)
        return load_audio(path, rate)

    monkeypatch.setattr("asr.evaluate.corpus.load_audio", counted)
    urls = Sounds("embed", tmp_path / "page.html", 1 << 20).urls(given)
    assert sorted(urls) == [str(n) for n in range(6)]
    assert all(url.startswith("data:") for url in urls.values())
    assert sorted(read) == [str(tmp_path / "0.wav"), str(tmp_path / "1.wav")]


def test_a_small_file_that_browsers_play_is_taken_as_it_is(
    tmp_path: Path, sound: np.ndarray
) -> None:
    path = tmp_path / "a.opus"
    soundfile.write(path, sound, RATE, format="OGG", subtype="OPUS")
    one = replace(score("a", "x", "y", None, 3.0), audio=str(path))
    [url] = Sounds("embed", tmp_path / "p.html", 1 << 20).urls([one]).values()
    assert base64.b64decode(url.split(",")[1]) == path.read_bytes()


def test_bars_end_where_their_rates_are(tmp_path: Path) -> None:
    scored = [score(str(n), "a b c d", "a x c d", "anna") for n in range(4)]
    scored += [score("all", "a", "x y z", "bert"), score("rest", "b", "b", "carl")]
    drawn = bars(breakdown(scored, Known()).speakers)
    ends = {one.name: one.end for one in drawn.bars}
    assert ends["carl"] == LABEL
    assert ends["anna"] == pytest.approx(LABEL + PLOT * 0.25 / HIGHEST, abs=0.1)
    assert ends["bert"] == LABEL + PLOT  # 300 % is drawn as the highest
    assert drawn.ticks[0] == (LABEL, "0 %")


@pytest.fixture
def browser() -> str:
    found = next((place for name in BROWSERS if (place := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is installed")
    return found


def opened(browser: str, url: str, profile: Path) -> tuple[str, list[str]]:
    """What a page looks like after its scripts ran, as HTML, and what it said on the console."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    options += ["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"]
    result = subprocess.run([browser, *options, url], capture_output=True, text=True, timeout=120)
    return result.stdout, [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def shown(html: str) -> list[str]:
    """The ids of the utterances that are not hidden, in their order."""
    articles = re.findall(r"<article([^>]*)>.*?<h3>(.*?)</h3>", html, re.DOTALL)
    return [name for attributes, name in articles if "hidden" not in attributes]


def test_a_browser_shows_it_and_runs_nothing_else(
    browser: str, tmp_path: Path, sounds: Sounds
) -> None:
    path = sounds.page
    path.write_text(page(utterances(tmp_path), sounds), encoding="utf-8")
    html, said = opened(browser, path.as_uri(), tmp_path / "profile")
    assert said == []
    assert "4 of 5 shown" in html
    assert shown(html) == [
        "two",
        "&lt;script&gt;document.title='owned'&lt;/script&gt;",
        "three",
        "one",
    ]
    title = re.search("<title>(.*?)</title>", html)
    assert title is not None
    assert title[1] == "model &lt;script&gt;document.title='owned'&lt;/script&gt;"
    html, said = opened(browser, f"{path.as_uri()}#kind=sound-alike", tmp_path / "profile")
    assert shown(html) == ["one"]
    html, said = opened(
        browser, f"{path.as_uri()}#show=&sort=seconds&find=of", tmp_path / "profile"
    )
    assert (shown(html), said) == (["right"], [])


def test_what_is_injected_would_be_noticed(browser: str, tmp_path: Path, sounds: Sounds) -> None:
    """The test above can fail: a script that is not the page's own is refused, and that is seen."""
    html = page(utterances(tmp_path), sounds).replace("<h1>", f"{EVIL}<h1>")
    sounds.page.write_text(html, encoding="utf-8")
    html, said = opened(browser, sounds.page.as_uri(), tmp_path / "profile")
    assert "Content Security Policy" in " ".join(said)
    assert "<title>owned" not in html


def test_a_comparison_in_a_browser(browser: str, tmp_path: Path, sounds: Sounds) -> None:
    first = utterances(tmp_path)
    second = [score(one.id, one.reference, one.reference, one.speaker) for one in first[:3]]
    second += [score(one.id, one.reference, f"{one.hypothesis} {EVIL}") for one in first[3:]]
    html = comparison_page(compared(first, second), ("a", "b"), f"a {EVIL}", sounds)
    assert html.count("<script>") == 1
    sounds.page.write_text(html, encoding="utf-8")
    html, said = opened(browser, f"{sounds.page.as_uri()}#kind=better", tmp_path / "profile")
    assert said == []
    assert shown(html) == ["two", "one"]
    assert "2 of 4 shown" in html
