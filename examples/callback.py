"""Prints what is said, from a callback, while the program does something else.

python examples/callback.py                  # the microphone: pip install 'asr[mic]'
python examples/callback.py talk.mp3         # a recording, as fast as it can be heard
"""

from __future__ import annotations

import sys

import asr


def show(update: asr.StreamUpdate) -> None:
    """Called in the listener's thread, for each block of sound."""
    for segment in update.final:
        print(f"{segment.start:7.2f} {segment.end:7.2f}  {segment.text}", flush=True)


def main() -> None:
    """Listens until the recording ends, or until Enter is pressed."""
    model = asr.load_model()
    if len(sys.argv) > 1:
        asr.listen(sys.argv[1], show, model=model).wait()
    else:
        with asr.listen(asr.Microphone(), show, model=model):
            input("Speak; Enter ends.\n")


if __name__ == "__main__":
    try:
        main()
    except asr.AsrError as error:
        sys.exit(str(error))
