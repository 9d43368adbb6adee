"""Hears another program, which writes 16-bit PCM at 16 kHz, and shows text that may still change.

python examples/raw_pcm.py ffmpeg -v error -i talk.mp3 -f s16le -ac 1 -ar 16000 -
python examples/raw_pcm.py arecord -q -t raw -f S16_LE -r 16000
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import asr


def main() -> None:
    """Feeds a stream itself: no thread, no event loop."""
    if not (command := sys.argv[1:]) or not shutil.which(command[0]):
        sys.exit(f"name a program that writes PCM to its standard output:\n\n{__doc__}")
    stream = asr.load_model().stream(sample_rate=16000)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        assert program.stdout
        while block := program.stdout.read(3200):  # 0.1 s
            show(stream.feed(block[: len(block) // 2 * 2]))
    show(stream.flush())
    sys.exit(program.returncode)


def show(update: asr.StreamUpdate) -> None:
    """Finals are lines; the text that is open stands in brackets behind what is stable of it."""
    for segment in update.final:
        print(segment.text, flush=True)
    if update.partial:
        text, stable = update.partial.text, update.stable
        print(f"... {text[:stable]}[{text[stable:]}]", file=sys.stderr)


if __name__ == "__main__":
    main()
