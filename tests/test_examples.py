"""The programs in examples/ run as their docstrings say."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.conftest import REPOSITORY, SAMPLES

EXAMPLES = REPOSITORY / "examples"
SAMPLE = SAMPLES / "quilter.wav"
# As `ffmpeg -i FILE -f s16le -ac 1 -ar 16000 -`.
WRITER = (
    "import soundfile, sys; "
    "sys.stdout.buffer.write(soundfile.read(sys.argv[1], dtype='int16')[0].tobytes())"
)


@pytest.fixture(scope="module")
def environment(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Programs load the model that ships; here that is the tiny one."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(
        "import pathlib, asr.folders as folders\n"
        f"folders.SHIPPED = pathlib.Path({str(tiny_model)!r})\n"
    )
    paths = os.pathsep.join([str(folder), str(REPOSITORY)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def said(tiny_model: Path) -> list[str]:
    from asr.transcribe.recognizer import load_model

    segments = load_model(tiny_model, "cpu").transcribe(SAMPLE, chunk_ms=640).segments
    return [segment.text for segment in segments]


def run(environment: dict[str, str], name: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_callback(environment: dict[str, str], said: list[str]) -> None:
    lines = run(environment, "callback.py", SAMPLE).splitlines()
    assert [line[17:] for line in lines] == said


def test_raw_pcm(environment: dict[str, str], said: list[str]) -> None:
    out = run(environment, "raw_pcm.py", sys.executable, "-c", WRITER, SAMPLE)
    assert out.splitlines() == said


def test_tcp_server(environment: dict[str, str], said: list[str]) -> None:
    pcm = soundfile.read(SAMPLE, dtype="int16")[0]
    at_16k, at_8k = pcm.tobytes(), pcm[::2].tobytes()

    async def client(port: int, *sent: bytes) -> list[dict[str, Any]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.writelines(sent)
        writer.write_eof()
        text = (await reader.read()).decode()
        writer.close()
        return [json.loads(line) for line in text.splitlines()]

    async def main() -> None:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, EXAMPLES / "tcp_server.py", "0"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert server.stdout
            port = int((await server.stdout.readline()).split()[-1])
            one, other, *wrong = await asyncio.gather(
                client(port, b"16000\n", at_16k),
                client(port, b"8000\n", at_8k),
                client(port, b"3\n"),
                client(port, b"\0\1\n"),
            )
            assert [event["text"] for event in one if event["type"] == "final"] == said
            assert any(event["type"] == "partial" for event in one)
            assert [event["end"] for event in other if event["type"] == "final"] == pytest.approx(
                [event["end"] for event in one if event["type"] == "final"], abs=0.3
            )
            assert [[event["type"] for event in events] for events in wrong] == [["error"]] * 2
        finally:
            server.terminate()
            await server.wait()

    asyncio.run(asyncio.wait_for(main(), 120))
    assert said


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 42
    assert f"python examples/{path.name}" in text
