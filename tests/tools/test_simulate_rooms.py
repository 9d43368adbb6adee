"""Simulated rooms: what is drawn is what is heard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr.data.augment import add_room, room_responses
from tools.simulate_rooms import RATE, draw_room, respond

TOOL = Path(__file__).parents[2] / "tools" / "simulate_rooms.py"


def decay(response: np.ndarray) -> float:
    """T20 (ISO 3382-1): the time in which the energy that is left falls from -5 to -25 dB, by 3."""
    left = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    level = 10 * np.log10(left / left[0] + 1e-12)
    return 3 * (int(np.argmax(level < -25)) - int(np.argmax(level < -5))) / RATE


def test_rooms_are_within_reason_and_everybody_is_inside():
    rooms = [draw_room(0, number) for number in range(300)]
    for room in rooms:
        for who in (room.speaker, room.microphone):
            assert np.all(who > 0.3)
            assert np.all(who < room.size)
        assert np.linalg.norm(room.speaker - room.microphone) > 0.3
    times = np.array([room.reverberation for room in rooms])
    assert times.min() >= 0.12
    assert times.max() < 1.6
    assert np.median(times) == pytest.approx(0.3, abs=0.1)
    assert draw_room(0, 5).size.tolist() == rooms[5].size.tolist()
    assert draw_room(1, 5).size.tolist() != rooms[5].size.tolist()


def test_a_room_decays_as_it_was_drawn():
    pytest.importorskip("pyroomacoustics", reason="asr[rooms] is not installed")
    for number in (0, 1, 2):
        room = draw_room(3, number)
        response = respond(room, 1)
        assert decay(response) == pytest.approx(room.reverberation, rel=0.45)  # Sabine is rough
        assert np.max(np.abs(response)) == pytest.approx(0.9)
        np.testing.assert_array_equal(respond(room, 1), response)
        assert not np.array_equal(respond(room, 2), response)


def test_the_program_writes_what_augmentation_reads_and_keeps_what_is_there(tmp_path):
    pytest.importorskip("pyroomacoustics", reason="asr[rooms] is not installed")

    def run(count: int) -> str:
        command = [sys.executable, str(TOOL), "-o", str(tmp_path), "--count", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=TOOL.parents[1])
        assert done.returncode == 0, done.stderr
        return done.stderr

    run(2)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert "3 responses" in run(3)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    responses = room_responses(str(tmp_path), RATE)
    assert len(responses) == 3
    samples = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    for response in responses:
        assert np.abs(response[0]) >= 0.09 * np.abs(response).max()
        assert np.mean(add_room(samples, response) ** 2) == pytest.approx(1.0, rel=0.05)
