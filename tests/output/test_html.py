from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from asr.output import html, render
from asr.types import Segment, Transcript, Word

WORDS = (Word("a<b", 61.0, 61.5, 0.49), Word("c", 61.5, 62.0, 0.5))


def page(source: str, words: tuple[Word, ...] = WORDS) -> str:
    segment = Segment("a<b c", 61.0, 62.0, score=0.0, scores={}, tokens=(), words=words)
    return render(Transcript((segment,), 62.0, source, None, ("Look & see.",)), "html")


def test_text_has_times_and_doubtful_words_are_underlined(tmp_path: Path) -> None:
    text = page(str(tmp_path / "<x>.wav"))
    assert "<title>&lt;x&gt;.wav</title>" in text
    assert '<time data-t="61.000">00:01:01</time>' in text
    assert '<span class="doubtful" data-t="61.000" title="confidence 49 %">a&lt;b</span>' in text
    assert '<span data-t="61.500" title="confidence 50 %">c</span>' in text
    assert "Look &amp; see." in text
    assert "<audio" not in text
    assert "http" not in text  # nothing is fetched


def test_words_of_unknown_confidence_are_not_called_doubtful() -> None:
    text = page("-", ())
    assert re.findall(r"<span data-t[^>]*>(.*?)</span>", text) == ["a&lt;b", "c"]
    assert "Underlined" not in text


def test_the_recording_is_inside_of_the_page_or_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a b.MP3"
    path.write_bytes(b"sound")
    data = base64.b64encode(b"sound").decode()
    assert f'src="data:audio/mpeg;base64,{data}"' in page(str(path))
    monkeypatch.setattr(html, "EMBEDDED_BYTES", 4)
    assert f'src="{path.resolve().as_uri()}"' in page(str(path))
    path.rename(tmp_path / "a.amr")
    assert "<audio" not in page(str(tmp_path / "a.amr"))
