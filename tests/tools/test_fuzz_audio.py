"""A short run of the program that damages audio files; the long one is for releases."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


def test_a_few_damaged_files_of_every_format_do_no_harm(
    tool: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz = tool("fuzz_audio")
    monkeypatch.setattr(fuzz.child_decoder, "STEP_SECONDS", fuzz.STEP_SECONDS)
    result = fuzz.Result()
    for kind in fuzz.ALL_KINDS:
        for number in range(2):
            fuzz.decode(kind, number, result)
    fuzz.decode("mkv", 1010, result)  # crashed FFmpeg 8.0
    assert result.faults == []
    assert sum(result.outcomes.values()) == 2 * len(fuzz.ALL_KINDS) + 1
    assert result.outcomes["refused"] > 10
    assert result.outcomes["decoded, with a note"] > 10


def test_a_damaged_file_is_the_same_each_time(tool: Callable[[str], ModuleType]) -> None:
    fuzz = tool("fuzz_audio")
    assert fuzz.damaged_file("mkv", 7) == fuzz.damaged_file("mkv", 7)
    assert fuzz.damaged_file("mkv", 7) != fuzz.damaged_file("mkv", 8)
    assert fuzz.damaged_file("mkv", 7) != fuzz.whole_file("mkv")


def test_a_process_that_dies_is_a_fault_and_the_rest_goes_on(
    tool: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz = tool("fuzz_audio")

    class Dying:
        exitcode = -11

        def __init__(self, target: object, args: tuple) -> None:  # type: ignore[type-arg]
            self.files, self.pipe = args

        def start(self) -> None:
            for index, (_, number) in enumerate(self.files):
                self.pipe.send(index)
                if number == 1:
                    return
            self.pipe.send(fuzz.Result(outcomes=fuzz.Counter(decoded=len(self.files))))

        def join(self) -> None:
            pass

    class Context:
        Pipe = staticmethod(fuzz.multiprocessing.Pipe)
        Process = Dying

    monkeypatch.setattr(fuzz.multiprocessing, "get_context", lambda method: Context)
    result = fuzz.run_batch([("mkv", 0), ("mkv", 1), ("mkv", 2), ("wav-16", 3)])
    assert result.faults == ["mkv 1: the process died (-11)"]
    assert result.outcomes["decoded"] == 2
