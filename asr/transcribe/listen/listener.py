"""The callback form: a thread that listens, and calls for each update."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from asr.audio import PcmFormat
from asr.errors import AudioError
from asr.transcribe.listen.live import AHEAD_SECONDS, Live
from asr.transcribe.listen.source import LiveSource, open_live
from asr.transcribe.options import OptionValues, TranscribeOptions
from asr.transcribe.recognizer import Recognizer, load_model
from asr.types import StreamUpdate

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Listener:
    """A source that is being listened to, in the background; made by `listen`.

    As a context manager it ends with the block: `stop` is called, and errors are raised.
    """

    def __init__(self, live: Live, on_update: Callable[[StreamUpdate], object]) -> None:
        self._live = live
        self._on_update = on_update
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="asr-listener", daemon=True)
        self._thread.start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self._live.close()
            self._thread.join()

    @property
    def running(self) -> bool:
        """Whether more updates may come."""
        return self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the source has ended, at most `timeout` seconds; returns whether it has.

        Raises:
            AsrError: the sound broke off.
            Exception: whatever the callback raised; it ended the listening.
        """
        self._thread.join(timeout)
        error, self._error = self._error, None
        if error is not None:
            raise error
        return not self.running

    def stop(self) -> None:
        """Reads no more, hears what has been read, and waits for the last update.

        In the callback itself it does not wait. Raises as `wait`.
        """
        self._live.stop()
        if threading.current_thread() is not self._thread:
            self.wait()

    def _run(self) -> None:
        try:
            for update in self._live:
                self._on_update(update)
        except BaseException as error:  # handed to the thread that waits
            self._error = error
        finally:
            self._live.close()


def listen(
    source: LiveSource,
    on_update: Callable[[StreamUpdate], object],
    *,
    model: Recognizer | None = None,
    sample_rate: int | None = None,
    pcm: PcmFormat = "int16",
    channels: int = 1,
    channel: int | None = None,
    ahead_seconds: float = AHEAD_SECONDS,
    options: TranscribeOptions | None = None,
    **values: Unpack[OptionValues],
) -> Listener:
    """Listens to a source in a thread of its own, and calls `on_update` there with each update.

    Args:
        source: blocks of samples (an iterable of arrays or of bytes), a binary file or pipe of
            PCM, a `Microphone`, or the path of a recording.
        on_update: gets every `StreamUpdate`, one after the other. While it runs nothing is
            heard; sound that comes meanwhile waits, and `lag` says how much.
        model: None is the one that ships; load one yourself for more than one source.
        sample_rate: of raw samples; recordings and microphones say their own.
        pcm, channels, channel: of raw samples; see `asr.audio.PcmReader`.
        ahead_seconds: how much is read before it is heard; past it the source has to wait.
        options, values: as in `Recognizer.stream` (`chunk_ms`, `beam` ...).

    Raises:
        AudioError, ConfigError, ModelError: the source or an option cannot be used. What goes
            wrong later is raised by `Listener.wait` and `stop`.
    """
    model = model or load_model()
    opened = open_live(source, sample_rate, model.sample_rate, pcm, channels, channel, model.limits)
    if opened.blocks is None:
        raise AudioError(
            f"{type(source).__name__}: an asynchronous source; listen to it with asr.stream"
        )
    try:
        stream = model.stream(opened.rate, options=options, **values)
        live = Live(stream, opened, ahead_seconds)
    except BaseException:
        opened.close()
        raise
    return Listener(live, on_update)
