"""Simulates responses of rooms of many sizes, for `data.augment.room`.

    pip install 'asr[rooms]'
    python tools/simulate_rooms.py -o recipes/english/data/rooms --count 200

Each is a shoebox room with a speaker and a microphone somewhere in it, computed with the image
method (Allen and Berkley 1979, randomised after De Sena et al. 2015) by pyroomacoustics, and
written as 16 kHz FLAC. The same --seed makes the same rooms; those that are there already are kept.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr.atomic import atomic_file
from asr.data.random_state import generator
from asr.dependencies import need
from asr.errors import AsrError

RATE = 16000
#: Metres that a head or a microphone keeps from the walls, and from each other.
_FROM_WALLS, _APART = 0.4, 0.3


@dataclass(frozen=True)
class Room:
    """A shoebox of `size` (length, width, height in metres), who is where, and its RT60 in s."""

    size: np.ndarray
    speaker: np.ndarray
    microphone: np.ndarray
    reverberation: float


def main() -> int:
    """Reads the command line and writes the responses; 2 is a wrong call or a missing library."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        for number in range(args.count):
            file = args.output / f"simulated-{args.seed}-{number:05d}.flac"
            if not file.exists():
                write(file, respond(draw_room(args.seed, number), args.seed + number))
    except AsrError as error:
        print(f"simulate_rooms: {error}", file=sys.stderr)
        return 2
    print(f"{args.output}: {args.count} responses", file=sys.stderr)
    return 0


def draw_room(seed: int, number: int) -> Room:
    """From closets to classrooms; the reverberation goes with the size, within what walls do."""
    draw = generator(seed, "room", number)
    while True:
        size = draw.uniform((2.0, 1.8, 2.2), (10.0, 7.0, 3.8))
        # Sabine: RT60 = 0.161 V / (S a); a is the mean absorption of furnished to bare rooms.
        surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
        reverberation = 0.161 * float(np.prod(size)) / (surface * draw.uniform(0.12, 0.6))
        speaker, microphone = (
            draw.uniform((_FROM_WALLS, _FROM_WALLS, low), (*(size[:2] - _FROM_WALLS), high))
            for low, high in ((1.0, 1.9), (0.7, 1.9))
        )
        if reverberation >= 0.12 and np.linalg.norm(speaker - microphone) > _APART:
            return Room(size, speaker, microphone, reverberation)


def respond(room: Room, seed: int) -> np.ndarray:
    """The response (N,) at 16 kHz: the largest sample 0.9, cut off where it has decayed by 60 dB.

    Raises:
        DependencyError: pyroomacoustics is not installed.
    """
    pra = need("pyroomacoustics", "rooms")
    pra.random.seed(seed)
    absorption, order = pra.inverse_sabine(room.reverberation, room.size)
    box = pra.ShoeBox(
        room.size, fs=RATE, materials=pra.Material(absorption), max_order=order,
        use_rand_ism=True, max_rand_disp=0.05,
    )  # fmt: skip
    box.add_source(room.speaker)
    box.add_microphone(room.microphone)
    box.compute_rir()
    response = np.asarray(box.rir[0][0], dtype=np.float32)
    left = np.cumsum(response[::-1] ** 2)[::-1]
    response = response[: int(np.argmax(left < 1e-6 * left[0])) or len(response)]
    return response * np.float32(0.9 / np.max(np.abs(response)))


def write(file: Path, response: np.ndarray) -> None:
    """Writes a response as FLAC, whole."""
    with atomic_file(file) as target:
        soundfile.write(target, response, RATE, format="FLAC", subtype="PCM_24")


if __name__ == "__main__":
    sys.exit(main())
