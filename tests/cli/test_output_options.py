"""Outputs, presets and messages of `asr transcribe`, as a user asks for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr.output import FORMATS
from tests.cli.conftest import Run
from tests.output.transcripts import shown_cues


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_formats_at_once(transcribe: Run, recordings: Path, tmp_path: Path) -> None:
    result = transcribe(recordings, "-o", tmp_path / "out", "-f", "all")
    assert (result.exit_code, result.stdout) == (0, "")
    expected = sorted(f"{stem}.{name}" for stem in ("one", "two") for name in FORMATS)
    assert names_in(tmp_path / "out") == expected
    again = transcribe(recordings, "-o", tmp_path / "out", "-f", "ALL", "--skip-existing")
    assert again.stderr == "asr: 2 of 2 inputs are done already\n"


def test_the_text_is_the_same_whatever_is_asked_for(
    transcribe: Run, recordings: Path, tmp_path: Path
) -> None:
    one = recordings / "one.wav"
    text = transcribe(one).stdout
    together = tmp_path / "together"
    transcribe(one, "-o", together, "-f", "all", "--highlight-words", "--nbest", 2)
    for name in FORMATS:
        transcribe(one, "-o", tmp_path / name, "-f", name)
        alone = (tmp_path / name / f"one.{name}").read_text()
        if name not in ("json", "jsonl", "vtt"):  # the options above change those
            assert alone == (together / f"one.{name}").read_text()
        assert alone == transcribe(one, "-f", name).stdout
    assert (together / "one.txt").read_text() == text
    assert json.loads((together / "one.json").read_text())["text"] == text.strip()


def test_nbest_are_alternatives_with_scores(transcribe: Run, recordings: Path) -> None:
    def segment(*options: object) -> dict[str, object]:
        [found] = json.loads(transcribe(recordings / "one.wav", "-f", "json", *options).stdout)[
            "segments"
        ]
        return found  # type: ignore[no-any-return]

    plain, best = segment("--beam", 6), segment("--beam", 6, "--nbest", 3)
    others = best.pop("alternatives")
    assert best == plain
    assert len(others) == 2  # type: ignore[arg-type]
    assert all(set(one) == {"text", "score", "scores", "tokens"} for one in others)  # type: ignore[attr-defined]
    assert all(set(one["scores"]) == {"attention", "ctc"} for one in others)  # type: ignore[attr-defined]
    scores = [best["score"], *(one["score"] for one in others)]  # type: ignore[attr-defined]
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("preset", "given", "beam"),
    [("--fast", (), 4), ("--accurate", (), 30), ("--fast", ("--beam", 7), 7), ((), (), None)],
)
def test_presets_are_defaults(
    transcribe: Run,
    recordings: Path,
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
    given: tuple[object, ...],
    beam: int | None,
) -> None:
    from asr.transcribe.recognizer import Recognizer

    asked: list[object] = []
    original = Recognizer.transcribe_many

    def spy(self: Recognizer, *arguments: object, **values: object) -> object:
        asked.append(values["options"].beam)  # type: ignore[attr-defined]
        return original(self, *arguments, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(Recognizer, "transcribe_many", spy)
    options = (preset,) if preset else ()
    assert transcribe(recordings / "one.wav", *given, *options).exit_code == 0
    assert asked == [beam]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--subtitles", "lines=2"], "--subtitles is for srt and vtt: add -f srt"),
        (["-f", "srt", "--highlight-words"], "--highlight-words is for vtt: add -f vtt"),
        (["-f", "srt", "--subtitles", "highlight_words=1"], "--highlight-words is for vtt"),
        (["--nbest", "2"], "--nbest is for json and jsonl: add -f json"),
        (["-f", "json", "--nbest", "9"], "nbest (9) is more than beam (2): raise beam"),
        (["-f", "srt", "--subtitles", "line=2"], "unknown key 'line', did you mean 'lines'?"),
        (["-f", "srt", "--subtitles", "lines"], "write key=number, as line_chars=42"),
        (["--fast", "--accurate"], "--fast and --accurate do not go together"),
        (["-f", "textgri"], "'textgri' is not known; did you mean 'TextGrid'?"),
        (["-f", "all,textgri"], "'textgri' is not known; did you mean 'TextGrid'?"),
    ],
)
def test_what_has_no_effect_is_refused(
    transcribe: Run, recordings: Path, options: list[str], said: str
) -> None:
    result = transcribe(recordings / "one.wav", *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert said in result.stderr


def test_subtitle_limits_reach_the_file(transcribe: Run, recordings: Path) -> None:
    printed = transcribe(
        *(recordings / "two.flac", "-f", "SRT"),
        *("--subtitles", "line_chars=8", "--subtitles", "lines=1"),
    ).stdout
    cues = shown_cues(printed, ",")
    assert cues
    assert all(len(lines) == 1 and len(lines[0]) <= 8 for _, _, lines in cues)


def events_of(stderr: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in stderr.splitlines()]


def test_json_logs_have_an_event_for_each_input(
    transcribe: Run, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    broken = recordings / "broken.wav"
    broken.write_bytes(b"")
    pattern = f"{tmp_path}/*.mp3"
    result = transcribe(recordings, pattern, "--log-format", "json", "-o", out)
    events = events_of(result.stderr)
    assert result.exit_code == 1
    assert all(str(event.pop("time")).endswith("+00:00") for event in events)
    told = [(event["event"], Path(str(event.get("input", ""))).name) for event in events]
    names = ["broken.wav", "one.wav", "two.flac"]
    assert [one for one in told if one[0] == "started"] == [("started", name) for name in names]
    assert sorted(one for one in told if one[0] in ("done", "failed")) == [
        ("done", "one.wav"),
        ("done", "two.flac"),
        ("failed", "broken.wav"),
    ]
    [failed] = [event for event in events if event["event"] == "failed"]
    assert failed["kind"] == "AudioError"
    assert "empty file" in str(failed["message"])
    for event in events:
        if event["event"] == "done":
            assert event["files"] == [str(out / f"{Path(str(event['input'])).stem}.txt")]
            assert event["real_time_factor"] == pytest.approx(
                float(str(event["seconds"])) / float(str(event["duration"])), abs=1e-3
            )
    assert events[-1]["event"] == "finished"
    assert (events[-1]["inputs"], events[-1]["failed"], events[-1]["duration"]) == (4, 2, 3.0)
    assert (events[0]["event"], events[0]["kind"]) == ("error", "AudioError")
    assert "no file matches" in str(events[0]["message"])


def test_errors_of_the_call_are_json_too(transcribe: Run, recordings: Path) -> None:
    result = transcribe(recordings / "one.wav", "--log-format", "json", "--beam", "x")
    [event] = events_of(result.stderr)
    assert (result.exit_code, event["event"]) == (2, "message")
    assert "not a valid integer" in str(event["message"])
    result = transcribe(recordings / "one.wav", "--log-format", "json", "--lm", "nowhere")
    [event] = events_of(result.stderr)
    assert (result.exit_code, event["event"], event["kind"]) == (2, "error", "ModelError")


def test_quiet_leaves_errors(transcribe: Run, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    transcribe(recordings / "one.wav", "-o", out)
    result = transcribe(recordings, recordings / "nowhere.wav", "-o", out, "--skip-existing", "-q")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "nowhere.wav: no such file" in result.stderr
