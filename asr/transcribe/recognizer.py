"""The recogniser: an opened model folder that turns audio into transcripts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from asr.audio import Audio, AudioLimits
from asr.errors import AsrError, ConfigError
from asr.folders import model_folder
from asr.lm import LanguageModel, LoadedLM
from asr.model import ChunkContext
from asr.model.folder import LoadedModel, load_model_folder
from asr.model.weights import LoadedDtype
from asr.search import PhraseTree, SearchConfig
from asr.transcribe.context import chunk_context
from asr.transcribe.devices import BATCH_SECONDS, chosen_device
from asr.transcribe.files.batch import BatchSettings, Recording, transcribe_batched
from asr.transcribe.files.chunked import transcribe_chunked
from asr.transcribe.files.segment_decoder import SegmentDecoder
from asr.transcribe.files.segmenter import cut_segments, segment_rules
from asr.transcribe.files.source import AudioSource, open_recording
from asr.transcribe.hotwords import Hotwords, phrase_tree
from asr.transcribe.options import (
    asked_search,
    confidence_map,
    default_search,
    language_model,
)
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.stream import Stream
from asr.transcribe.streams.stream_decoder import StreamDecoder
from asr.transcribe.words.timing import WordTimer
from asr.types import Transcript

#: How much of a stream the encoder hears at once where nothing else is asked for.
CHUNK_MS = 640.0


def load_model(
    path: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    *,
    lm: str | os.PathLike[str] | bool | None = None,
    limits: AudioLimits | None = None,
    dtype: LoadedDtype = "float32",
) -> Recognizer:
    """Opens a model folder for transcribing.

    Args:
        path: the folder; None is the model that ships with the package.
        device: "auto" takes the GPU where there is one; "cpu", "cuda" or "cuda:N" insist.
        lm: the folder of a language model; None takes the one that the model folder carries
            (`lm/`), if any; False takes none.
        limits: what an input may cost at most; None is 12 hours of sound.
        dtype: what the weights are kept as: "float32", or "stored", the type that they are stored
            in (float16 and bfloat16 take half the memory; bfloat16 suits CPUs and GPUs that
            multiply it natively).

    Raises:
        ModelError: a folder is missing, damaged, or not what it should be, or the language model
            is for another tokenizer.
        ConfigError: there is no such device here, or no such `dtype`.
    """
    place = chosen_device(device)
    loaded = load_model_folder(model_folder(path), dtype)
    return Recognizer(loaded, place, limits=limits, lm=language_model(loaded, lm))


class Recognizer:
    """Turns audio into transcripts with one model, on one device.

    Made by `load_model`. Transcribing changes nothing in it.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        device: torch.device | str = "cpu",
        endpoint: EndpointConfig | None = None,
        limits: AudioLimits | None = None,
        lm: LoadedLM | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.model = loaded.model.to(self.device).eval()
        self.tokenizer = loaded.tokenizer
        self.config = loaded.config
        self.folder = loaded.folder
        self.endpoint = endpoint or EndpointConfig()
        self.limits = limits or AudioLimits()
        self.lm = lm
        if lm is not None:
            lm.lm.to(self.device).eval()
        self.loaded = loaded
        self.search = default_search(loaded, lm)
        self.confidence = confidence_map(loaded)

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.config.name

    @property
    def sample_rate(self) -> int:
        """Samples per second that the model hears; other rates are resampled to it."""
        return self.model.sample_rate

    @property
    def frame_seconds(self) -> float:
        """Length of one frame of the encoder."""
        return self.model.encoder.frame_seconds

    def transcribe(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        *,
        chunk_ms: float | None = None,
        left_ms: float | None = None,
        endpoint: EndpointConfig | None = None,
        beam: int | None = None,
        ctc_weight: float | None = None,
        nbest: int | None = None,
        lm_weight: float | None = None,
        ilm_weight: float | None = None,
        length_reward: float | None = None,
        hotwords: Hotwords | None = None,
        hotword_weight: float | None = None,
    ) -> Transcript:
        """What one recording says; of any length, with memory for less than a minute of it.

        Args:
            audio: a path, "-" (standard input), an opened binary file, an `asr.audio.Audio`, or
                samples (N,) or (N, channels): floats in [-1, 1] or int16.
            sample_rate: of samples, which carry none themselves; not for files.
            chunk_ms: None lets the encoder see whole stretches. Otherwise the recording is a
                stream that is fed by itself: see `stream`.
            left_ms: how much a chunk sees of the past; None is about five seconds.
            endpoint: where segments end; None takes the recogniser's rules. Without chunks pauses
                are told by loudness alone: see `asr.transcribe.files.segmenter`.
            beam, ctc_weight, nbest, lm_weight, ilm_weight, length_reward, hotword_weight: as in
                `SearchConfig`; None takes the model's own.
            hotwords: phrases that are likely to be said: a file with one a line, a list of them,
                or phrases with their weights (1 is usual); see docs/hotwords.md.

        Raises:
            AudioError: the audio cannot be used.
            ConfigError: an option is out of range.
            ModelError: the model cannot do what was asked.
        """
        [(_, result)] = self.transcribe_many(
            [audio],
            sample_rate=sample_rate,
            chunk_ms=chunk_ms,
            left_ms=left_ms,
            endpoint=endpoint,
            beam=beam,
            ctc_weight=ctc_weight,
            nbest=nbest,
            lm_weight=lm_weight,
            ilm_weight=ilm_weight,
            length_reward=length_reward,
            hotwords=hotwords,
            hotword_weight=hotword_weight,
        )
        if isinstance(result, AsrError):
            raise result
        return result

    def transcribe_many(
        self,
        sources: Iterable[AudioSource],
        *,
        sample_rate: int | None = None,
        batch_seconds: float | None = None,
        chunk_ms: float | None = None,
        left_ms: float | None = None,
        endpoint: EndpointConfig | None = None,
        beam: int | None = None,
        ctc_weight: float | None = None,
        nbest: int | None = None,
        lm_weight: float | None = None,
        ilm_weight: float | None = None,
        length_reward: float | None = None,
        hotwords: Hotwords | None = None,
        hotword_weight: float | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[tuple[AudioSource, Transcript | AsrError]]:
        """Transcribes many recordings, with stretches of several decoded together.

        Args:
            sources: as `transcribe` takes one; read one by one, so a generator is welcome.
            batch_seconds: seconds of sound decoded together; None suits the device.
            progress: called with the seconds of sound that were just decoded.
            The others are as in `transcribe`.

        Returns:
            an iterator of (source, transcript), in the order of `sources`, each as soon as it and
            those before it are done. Where a source cannot be used, its AsrError stands in place
            of the transcript and the others go on. What a recording says does not depend on the
            others.

        Raises:
            ConfigError, ModelError: at once, as in `transcribe`.
        """
        seconds = batch_seconds if batch_seconds is not None else BATCH_SECONDS[self.device.type]
        if not 0 < seconds < math.inf:
            raise ConfigError(f"batch_seconds must be above 0 and finite, got {seconds}")
        if _is_one(sources):
            raise ConfigError("transcribe_many takes a list; for one recording there is transcribe")
        options = self._search(
            beam=beam,
            ctc_weight=ctc_weight,
            nbest=nbest,
            lm_weight=lm_weight,
            ilm_weight=ilm_weight,
            length_reward=length_reward,
            hotword_weight=hotword_weight,
        )

        phrases = phrase_tree(hotwords, self.loaded, hotword_weight)

        def opened(source: AudioSource) -> AbstractContextManager[Recording]:
            return open_recording(source, sample_rate, self.sample_rate, self.limits)

        if chunk_ms is not None:
            hearing = self._hearing(self._context(chunk_ms, left_ms), options, endpoint, phrases)
            return transcribe_chunked(sources, opened, hearing, seconds, progress)
        if left_ms is not None:
            raise ConfigError("left_ms needs chunk_ms: without chunks all of the past is seen")
        rules = segment_rules(self.model.encoder, endpoint, self.endpoint)
        work = BatchSettings(
            rate=self.sample_rate,
            decode=SegmentDecoder(
                self.model, self.tokenizer.labels, options, self._language_model, phrases
            ),
            clock=self._clock(options),
            cut=lambda sound: cut_segments(sound, self.sample_rate, rules),
            batch_seconds=seconds,
            progress=progress,
        )
        return transcribe_batched(sources, opened, work)

    def stream(
        self,
        sample_rate: int,
        chunk_ms: float = CHUNK_MS,
        left_ms: float | None = None,
        endpoint: EndpointConfig | None = None,
        *,
        beam: int | None = None,
        ctc_weight: float | None = None,
        nbest: int | None = None,
        lm_weight: float | None = None,
        ilm_weight: float | None = None,
        length_reward: float | None = None,
        hotwords: Hotwords | None = None,
        hotword_weight: float | None = None,
    ) -> Stream:
        """A live stream: feed it sound, and it says what it has heard.

        Args:
            sample_rate: of the samples that will be fed, in Hz.
            chunk_ms: the encoder hears chunks of this many milliseconds, a multiple of
                `frame_seconds`: what is said appears about so much later. Shorter ones cost more
                work, and some accuracy.
            left_ms: how much a chunk sees of the past; None is about five seconds.
            endpoint: where segments end; None takes the recogniser's rules.
            beam, ctc_weight, nbest, lm_weight, ilm_weight, length_reward, hotword_weight: as in
                `SearchConfig`; None takes the model's own.
            hotwords: phrases that are likely to be said: a file with one a line, a list of them,
                or phrases with their weights (1 is usual); see docs/hotwords.md.

        Raises:
            AudioError: there is no such rate.
            ConfigError: an option is out of range.
            ModelError: the model cannot do what was asked.
        """
        options = self._search(
            beam=beam,
            ctc_weight=ctc_weight,
            nbest=nbest,
            lm_weight=lm_weight,
            ilm_weight=ilm_weight,
            length_reward=length_reward,
            hotword_weight=hotword_weight,
        )
        phrases = phrase_tree(hotwords, self.loaded, hotword_weight)
        hearing = self._hearing(self._context(chunk_ms, left_ms), options, endpoint, phrases)
        return Stream(hearing, sample_rate)

    @property
    def _language_model(self) -> LanguageModel | None:
        return self.lm.lm if self.lm is not None else None

    def _hearing(
        self,
        context: ChunkContext,
        options: SearchConfig,
        endpoint: EndpointConfig | None,
        hotwords: PhraseTree | None,
    ) -> StreamDecoder:
        rules = endpoint or self.endpoint
        clock, lm = self._clock(options), self._language_model
        labels = self.tokenizer.labels
        return StreamDecoder(self.model, labels, context, options, rules, clock, lm, hotwords)

    def _clock(self, options: SearchConfig) -> WordTimer:
        maps = self.confidence
        sure = maps.of(lm=options.lm_weight > 0) if maps else None
        return WordTimer.of(self.model, self.tokenizer.decode, sure)

    def _context(self, chunk_ms: float, left_ms: float | None) -> ChunkContext:
        return chunk_context(self.frame_seconds, chunk_ms, left_ms)

    def _search(self, **asked: Any) -> SearchConfig:
        """The model's search with what was asked for in place of its own."""
        return asked_search(self.search, self.loaded, self.lm, asked)


def _is_one(sources: Any) -> bool:
    """Whether one recording was given for a list; the pieces of a path or an array are none."""
    if isinstance(sources, str | bytes | os.PathLike | Audio) or hasattr(sources, "read"):
        return True
    return getattr(sources, "ndim", 2) < 2
