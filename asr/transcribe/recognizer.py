"""The recogniser: an opened model folder that turns audio into transcripts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch

from asr.audio import Audio, AudioLimits
from asr.errors import AsrError, ConfigError, ModelError
from asr.folders import SHIPPED, model_folder
from asr.lm import LanguageModel, LoadedLM
from asr.model import ChunkContext
from asr.model.folder import LoadedModel, load_model_folder
from asr.model.weights import LoadedDtype
from asr.search import SearchConfig
from asr.transcribe.devices import BATCH_SECONDS, chosen_device
from asr.transcribe.files.batch import BatchSettings, Recording, transcribe_batched
from asr.transcribe.files.chunked import transcribe_chunked
from asr.transcribe.files.segment_decoder import SegmentDecoder
from asr.transcribe.files.segmenter import cut_segments, segment_rules
from asr.transcribe.files.source import AudioSource, open_recording
from asr.transcribe.files.speech import SpeechDetector
from asr.transcribe.hotwords import phrase_tree
from asr.transcribe.language import LanguageSetting
from asr.transcribe.options import OptionValues, TranscribeOptions
from asr.transcribe.settings import (
    chunk_context,
    confidence_map,
    default_search,
    language_model,
    search_config,
)
from asr.transcribe.streams.chunk_encoder import can_stream
from asr.transcribe.streams.endpoint import EndpointConfig
from asr.transcribe.streams.reencoding_decoder import ReencodingDecoder
from asr.transcribe.streams.stream import Stream
from asr.transcribe.streams.stream_decoder import ChunkDecoder, StreamDecoder
from asr.transcribe.words.timing import WordTimer
from asr.types import Segment, Transcript

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: How much of a stream the encoder sees at once by default.
CHUNK_MS = 640.0


def load_model(
    path: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    *,
    lm: str | os.PathLike[str] | bool | None = None,
    limits: AudioLimits | None = None,
    dtype: LoadedDtype = "float32",
) -> Recognizer:
    """Opens a model for transcribing.

    Args:
        path: a model folder, a Whisper checkpoint in another format (a folder, or a file `NAME.pt`:
            docs/whisper.md), or the name of a published model, which is fetched (`asr models` lists
            them); None is the model that ships with the package.
        device: "auto" takes the GPU where there is one; "cpu", "cuda" or "cuda:N" insist.
        lm: the folder of a language model; None takes the one that the model folder carries
            (`lm/`), if any; False takes none.
        limits: what an input may cost at most; None is 12 hours of sound.
        dtype: what the weights are kept as: "float32", or "stored", the type that they are stored
            in (float16 and bfloat16 take half the memory; bfloat16 suits CPUs and GPUs that
            multiply it natively; int8 becomes float32).

    Raises:
        ModelError: a model is missing, damaged, or not what it should be, a published model cannot
            be fetched, or the language model is for another tokenizer.
        ConfigError: there is no such device here, or no such `dtype`.
        DependencyError: a published model would have to be fetched, and a library is missing.
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
        """Samples per second of the model; other rates are resampled to it."""
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
        options: TranscribeOptions | None = None,
        **values: Unpack[OptionValues],
    ) -> Transcript:
        """The transcript of one recording of any length; less than a minute of it is in memory.

        Args:
            audio: a path, "-" (standard input), an opened binary file, an `asr.audio.Audio`, or
                samples (N,) or (N, channels): floats in [-1, 1] or int16.
            sample_rate: of samples, which carry none themselves; not for files.
            options, values: see `TranscribeOptions`. Its fields may be given as keyword arguments
                (`beam=4`), which replace those of `options`. With `chunk_ms` the recording is
                decoded as a stream that is fed with it, otherwise in whole segments.

        Raises:
            AudioError: the audio cannot be used.
            ConfigError: an option is unknown, out of range or needs another one.
            ModelError: the model cannot do what an option needs.
        """
        [(_, result)] = self.transcribe_many(
            [audio], sample_rate=sample_rate, options=options, **values
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
        progress: Callable[[float], None] | None = None,
        on_segments: Callable[[AudioSource, Sequence[Segment]], None] | None = None,
        options: TranscribeOptions | None = None,
        **values: Unpack[OptionValues],
    ) -> Iterator[tuple[AudioSource, Transcript | AsrError]]:
        """Transcribes many recordings; segments of several are decoded in one batch.

        Args:
            sources: as `transcribe` takes one; read one by one, so a generator is welcome.
            batch_seconds: seconds of sound decoded together; None suits the device.
            progress: called with the seconds of sound that were just decoded.
            on_segments: called, while a long recording is being decoded, with it and its segments
                so far, for the next recording that is to come out of the iterator. The last
                segments come with its transcript only.
            sample_rate, options, values: as in `transcribe`.

        Returns:
            an iterator of (source, transcript), in the order of `sources`, each as soon as it and
            those before it are done. Where a source cannot be used, its AsrError stands in place
            of the transcript and the others go on. A transcript does not depend on the other
            sources.

        Raises:
            ConfigError, ModelError: at once, as in `transcribe`.
        """
        seconds = batch_seconds if batch_seconds is not None else BATCH_SECONDS[self.device.type]
        if not isinstance(seconds, Real) or not 0 < seconds < math.inf:
            raise ConfigError(f"batch_seconds must be a number above 0 and finite, got {seconds!r}")
        if _is_one(sources):
            raise ConfigError("transcribe_many takes a list; for one recording there is transcribe")
        if not isinstance(sources, Iterable):
            raise ConfigError(
                f"transcribe_many takes a list of recordings, got {type(sources).__name__}"
            )
        options = TranscribeOptions.of(options, **values)

        def opened(source: AudioSource) -> AbstractContextManager[Recording]:
            return open_recording(source, sample_rate, self.sample_rate, self.limits)

        if options.chunk_ms is not None:
            decoder = self._stream_decoder(options, options.chunk_ms)
            return transcribe_chunked(sources, opened, decoder, seconds, progress, on_segments)
        language = LanguageSetting.of(self.loaded, options)
        search = self._search_config(options)
        rules = segment_rules(self.model.encoder, options.endpoint, self.endpoint)
        settings = BatchSettings(
            rate=self.sample_rate,
            decode=self._segment_decoder(options, language, search),
            word_timer=self._word_timer(search),
            cut=lambda sound: cut_segments(sound, self.sample_rate, rules),
            batch_seconds=seconds,
            progress=progress,
            timestamps=language.labels.timestamps if options.timestamps else None,
        )
        return transcribe_batched(sources, opened, settings, on_segments)

    def stream(
        self,
        sample_rate: int,
        *,
        options: TranscribeOptions | None = None,
        **values: Unpack[OptionValues],
    ) -> Stream:
        """A live stream: feed it samples, and it returns the text so far.

        Args:
            sample_rate: of the samples that will be fed, in Hz.
            options, values: as in `transcribe`; `chunk_ms` is 640 by default. To clear an option,
                give None for it and for those that need it: `left_ms` needs `chunk_ms`, which
                streams always have, and `hotword_weight` needs `hotwords`.

        Raises:
            AudioError: there is no such rate.
            ConfigError, ModelError: as in `transcribe`.
        """
        merged = TranscribeOptions.merged(options, values)
        if merged.get("chunk_ms") is None:
            merged = {**merged, "chunk_ms": CHUNK_MS}
        options = TranscribeOptions(**merged)
        decoder = self._stream_decoder(options, options.chunk_ms or CHUNK_MS)
        return Stream(decoder, sample_rate)

    @cached_property
    def _speech_detector(self) -> SpeechDetector | None:
        """Finds speech by the CTC of the shipped model; None for a model that has CTC itself."""
        if self.model.ctc is not None:
            return None
        try:
            folder = model_folder(None)
        except ModelError:
            raise ModelError(
                f"model '{self.name}' has no CTC and may make up text where nobody speaks, so the "
                "model that ships with asr looks for speech first, and this installation ships "
                f"none ({SHIPPED}): install asr with it, or go without: set search.heard_only to "
                "false in config.yaml of the model folder ('asr import' makes one of other formats)"
            ) from None
        shipped = load_model_folder(folder)
        model = shipped.model.to(self.device).eval()
        blank = shipped.tokenizer.labels.ctc_blank
        return SpeechDetector(model, blank, self.tokenizer)

    @property
    def _language_model(self) -> LanguageModel | None:
        return self.lm.lm if self.lm is not None else None

    def _stream_decoder(self, options: TranscribeOptions, chunk_ms: float) -> StreamDecoder:
        """The settings of a stream, for models that stream and for those that cannot."""
        language, search = LanguageSetting.of(self.loaded, options), self._search_config(options)
        context = chunk_context(self.frame_seconds, chunk_ms, options.left_ms)
        if not can_stream(self.model):
            return self._reencoding_decoder(options, context, language, search)
        if language.detects:
            raise ModelError(
                f"model '{self.name}' does not detect the language of a stream or of chunks: "
                "name it (--language CODE, or language='CODE')"
            )
        return ChunkDecoder(
            self.model,
            language.labels,
            context,
            search,
            options.endpoint or self.endpoint,
            self._word_timer(search),
            self._language_model,
            phrase_tree(options.hotwords, self.loaded),
            language.language,
            language.prompt,
        )

    def _reencoding_decoder(
        self,
        options: TranscribeOptions,
        context: ChunkContext,
        language: LanguageSetting,
        search: SearchConfig,
    ) -> ReencodingDecoder:
        """The settings of a stream of a model that needs whole segments."""
        if options.left_ms is not None:
            raise ConfigError(
                f"left_ms (--left-ms): model '{self.name}' cannot stream, and sees the whole of "
                "each segment; leave it out"
            )
        decode = self._segment_decoder(options, language, search)

        def decode_in(code: str | None) -> SegmentDecoder:
            if code is None or not language.detects:
                return decode
            named = LanguageSetting.of(self.loaded, TranscribeOptions.of(options, language=code))
            return replace(decode, language=named)

        assert context.chunk is not None
        phrases = decode.hotwords.phrases if decode.hotwords is not None else None
        # the fields are those of the tokenizer, and mappings cannot be hashed
        values = tuple(sorted(language.values.items()))
        asked = (language.labels, language.language, values, language.prompt, search, phrases)
        return ReencodingDecoder(
            self.model,
            segment_rules(self.model.encoder, options.endpoint, self.endpoint),
            self._word_timer(search),
            context.chunk,
            decode_in,
            (id(self.model), id(self._language_model), asked),
            language.language,
        )

    def _segment_decoder(
        self, options: TranscribeOptions, language: LanguageSetting, search: SearchConfig
    ) -> SegmentDecoder:
        """What decodes whole segments: of recordings, and of streams of such models."""
        return SegmentDecoder(
            self.model,
            language,
            search,
            self._language_model,
            phrase_tree(options.hotwords, self.loaded),
            self._word_timer(search),
            self._speech_detector if search.heard_only else None,
        )

    def _word_timer(self, search: SearchConfig) -> WordTimer:
        maps = self.confidence
        confidence = maps.of(lm=search.lm_weight > 0) if maps else None
        return WordTimer.of(self.model, self.tokenizer.decode, confidence)

    def _search_config(self, options: TranscribeOptions) -> SearchConfig:
        """The model's search with the given options in place of its own."""
        return search_config(self.search, self.loaded, self.lm, options)


def _is_one(sources: Any) -> bool:
    """Whether one recording was given for a list; the pieces of a path or an array are none."""
    if isinstance(sources, str | bytes | os.PathLike | Audio) or hasattr(sources, "read"):
        return True
    return getattr(sources, "ndim", 2) < 2
