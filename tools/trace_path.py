"""Which files of asr/ are entered on the way of one recording, and of one block of a stream.

    python tools/trace_path.py transcribe samples/quilter.wav
    python tools/trace_path.py stream samples/quilter.wav

Prints the files in the order in which one of their functions is first called; imports do not
count. docs/architecture.md quotes the lists.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import asr

PACKAGE = Path(asr.__file__).parent
BLOCK_SECONDS = 0.1


@contextlib.contextmanager
def entered_files() -> Iterator[list[str]]:
    """The files of the package whose functions are called in the block, in order, in any thread."""
    files: dict[str, None] = {}

    def enter(frame: FrameType, event: str, argument: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(str(PACKAGE)) and frame.f_code.co_name != "<module>":
            files[str(Path(name).relative_to(PACKAGE.parent))] = None

    order: list[str] = []
    threading.setprofile(enter)
    sys.setprofile(enter)
    try:
        yield order
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        order.extend(files)


def transcribe_file(path: str) -> list[str]:
    """The files that `asr transcribe PATH` enters, from the command line to the printed text."""
    from asr.cli.main import program

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            program(["transcribe", "-q", path])

    run()  # what imports call is no part of the way
    with entered_files() as files:
        run()
    return files


def stream_block(path: str) -> list[str]:
    """The files that `Stream.feed` and `flush` enter, from blocks of 0.1 s to updates."""
    from asr.audio import load_audio

    model = asr.load_model()
    audio = load_audio(path, model.sample_rate)
    stream = model.stream(model.sample_rate)
    size = round(BLOCK_SECONDS * model.sample_rate)
    with entered_files() as files:
        for start in range(0, len(audio.samples), size):
            stream.feed(audio.samples[start : start + size])
        stream.flush()
    return files


WAYS: dict[str, Callable[[str], list[str]]] = {
    "transcribe": transcribe_file,
    "stream": stream_block,
}


def main() -> None:
    """Prints one list."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("recording")
    arguments = parser.parse_args()
    files = WAYS[arguments.way](arguments.recording)
    print(*files, f"{len(files)} files", sep="\n")


if __name__ == "__main__":
    main()
