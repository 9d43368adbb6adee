"""The microphone (FAULTS S6): what comes, what was lost, and what is said when there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asr.audio import Microphone, input_devices, microphone
from asr.errors import AudioError, ConfigError, DependencyError
from tests.audio.microphones import plugged


def test_what_is_said_comes_and_overruns_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = plugged(monkeypatch, "Desk", "Head set")
    with Microphone(channels=2) as mic:
        assert (mic.name, mic.rate) == ("Desk", 16000)
        assert fake.options["blocksize"] == 800
        for number in range(3):
            fake.say(np.full((800, 2), number, np.int16), overflow=number == 1)
        assert [int(next(mic)[0, 0]) for _ in range(3)] == [0, 1, 2]
        assert mic.overruns == 1
        fake.say(np.full((800, 2), 3, np.int16))
    assert [block.shape for block in mic] == [(800, 2)]  # what had come before it was closed


def test_devices_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, "Desk", "Head set")
    assert input_devices() == [
        "0: Desk (2 channels, 16000 Hz, default)",
        "1: Head set (2 channels, 16000 Hz)",
    ]


@pytest.mark.parametrize("device", [1, "1", "head"])
def test_a_device_is_a_number_or_part_of_a_name(
    monkeypatch: pytest.MonkeyPatch, device: Any
) -> None:
    plugged(monkeypatch, "Desk", "Head set")
    with Microphone(device, sample_rate=44100) as mic:
        assert (mic.name, mic.rate) == ("Head set", 44100)


def test_an_unplugged_microphone_is_told_after_what_it_gave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = plugged(monkeypatch, "Desk")
    mic = Microphone()
    fake.say(np.ones((800, 1), np.int16))
    fake.unplug()
    assert len(next(mic)) == 800
    with pytest.raises(AudioError, match=r"'Desk' gives no sound any more; devices: 0: Desk"):
        next(mic)


def test_a_microphone_that_falls_silent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, "Desk")
    monkeypatch.setattr(microphone, "GONE_SECONDS", 0.05)
    with pytest.raises(AudioError, match="no sound any more"):
        next(Microphone())


def test_sound_that_nobody_fetches_is_an_error_and_not_dropped_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = plugged(monkeypatch, "Desk")
    monkeypatch.setattr(microphone, "MOST_WAITING_SECONDS", 1.0)
    mic = Microphone()
    for _ in range(30):
        fake.say(np.ones((800, 1), np.int16))
    with pytest.raises(AudioError, match="too slow for this model"):
        next(mic)


def test_no_such_device_a_busy_one_and_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = plugged(monkeypatch, "Desk")
    with pytest.raises(AudioError, match=r"microphone 'Car': .*No input device.*devices: 0: Desk"):
        Microphone("Car")
    fake.busy = True
    with pytest.raises(AudioError, match=r"default microphone: .*unavailable.*devices: 0: Desk"):
        Microphone()
    plugged(monkeypatch)
    with pytest.raises(AudioError, match="there is no device to record with here"):
        Microphone()
    assert input_devices() == []


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(error: Exception) -> None:
        def load(name: str) -> Any:
            raise error

        monkeypatch.setattr("asr.dependencies.import_module", load)

    without(ModuleNotFoundError("No module named 'sounddevice'", name="sounddevice"))
    with pytest.raises(DependencyError, match=r"pip install 'asr\[mic\]'"):
        Microphone()
    without(OSError("PortAudio library not found"))
    with pytest.raises(DependencyError, match="apt install libportaudio2"):
        input_devices()


def test_options_that_make_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, "Desk")
    with pytest.raises(ConfigError):
        Microphone(channels=0)
