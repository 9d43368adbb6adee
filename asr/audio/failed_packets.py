"""What FFmpeg could not decode of a recording: how much, where and why."""

from __future__ import annotations

from typing import Any

import av

#: Seconds. No codec's packets are longer; damaged containers say anything.
_LONGEST_PACKET = 0.5


class FailedPackets:
    """Counts what could not be decoded, and the silence that stands for it.

    Args:
        pauses: the codec has packets for pauses (comfort noise, none at all) that FFmpeg refuses:
            they may be most of a telephone call, and say nothing about the file.
    """

    def __init__(self, pauses: bool) -> None:
        self._pauses = pauses
        self.count = 0
        self.bad = 0
        """Of them, those that are no valid data; others FFmpeg merely does not know."""
        self._first_reason = ""
        self._waiting = 0.0
        self._silent = 0.0
        self._places: list[float] = []

    def add(self, packet: Any, error: BaseException) -> None:
        """A packet, or what could not be read as one (None)."""
        self.count += 1
        self.bad += not (self._pauses or isinstance(error, av.PatchWelcomeError))
        self._first_reason = self._first_reason or reason(error)
        if packet is not None and packet.duration and packet.time_base:
            seconds = float(packet.duration * packet.time_base)
            # More is no packet's duration; the time stamps say what is missing.
            self._waiting += seconds if 0 < seconds < _LONGEST_PACKET else 0.0

    def add_frame(self, frame: Any) -> None:
        """A frame that was decoded to what is no sound."""
        self.count += 1
        self.bad += 1
        self._first_reason = (
            self._first_reason or f"{frame.sample_rate} Hz, {frame.layout.nb_channels} channels"
        )

    def take_silence(self, place: float) -> float:
        """The seconds that are missing at second `place`, before the next good frame."""
        seconds, self._waiting = self._waiting, 0.0
        self._silent += seconds
        if seconds:
            self._places.append(place)
        return seconds

    def notes(self) -> list[str]:
        """Says how many, where, and why."""
        if not self.count:
            return []
        what = "1 packet" if self.count == 1 else f"{self.count} packets"
        where = f"; silence stands for {self._silent:.2f} s at {first_places(self._places)}"
        return [
            f"{what} could not be decoded ({self._first_reason}){where if self._places else ''}"
        ]


def first_places(seconds: list[float]) -> str:
    """The first three places, and how many more there are."""
    more = len(seconds) - 3
    places = ", ".join(f"{second:.2f} s" for second in seconds[:3])
    return places + (f" and {more} more" if more > 0 else "")


def reason(error: BaseException) -> str:
    """FFmpeg's text for an error."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rstrip(".").lower()
