"""The time that one call of a run may take, and how much of it the end of the run needs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: Of the model folder, with its curves and pictures: what is planned for it, in seconds.
EXPORT_SECONDS = 4.0


@dataclass
class CallTime:
    """Plans the end of a call, so that it is over after `limit` seconds.

    Steps can be stopped at any time; the validations and the files behind them cannot, so their
    time is set aside. What has not been measured yet is estimated.

    Attributes:
        limit: seconds that the call may take, None for no limit.
        begun: when the call began, by `time.monotonic`.
    """

    limit: float | None
    begun: float = field(default_factory=lambda: time.monotonic(), init=False)
    _validation: float | None = field(default=None, init=False)
    _checkpoint: float = field(default=0.0, init=False)
    _step: float = field(default=0.0, init=False)

    @contextmanager
    def validation(self) -> Iterator[None]:
        """Measures how long a validation takes."""
        before = time.monotonic()
        yield
        self._validation = time.monotonic() - before

    @contextmanager
    def checkpoint(self) -> Iterator[None]:
        """Measures how long a checkpoint takes."""
        before = time.monotonic()
        yield
        self._checkpoint = time.monotonic() - before

    def step_took(self, seconds: float) -> None:
        """Takes note of how long the last step took."""
        self._step = seconds

    def end_seconds(self, validations: int, estimate: float) -> float:
        """Seconds from the decision to stop to the end of the call.

        Args:
            validations: that come behind the last step.
            estimate: seconds of one, for as long as none has been measured.
        """
        return validations * self._seconds(estimate) + 2 * self._checkpoint + EXPORT_SECONDS

    def left(self, end: float, estimate: float, validates: bool) -> float:
        """Seconds that are left for further steps; below 0, the run must stop (NaN: no limit).

        Args:
            end: of `end_seconds`.
            validates: whether a validation is due before the next step: one more than at the end.
        """
        if self.limit is None:
            return float("nan")
        due = self._seconds(estimate) if validates else 0.0
        return self.begun + self.limit - time.monotonic() - end - due - self._step

    def _seconds(self, estimate: float) -> float:
        return self._validation if self._validation is not None else estimate
