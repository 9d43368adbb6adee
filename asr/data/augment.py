"""Augmentation of the waveform: speed, room, noise, level, telephone, codec.

Each is a function of samples and a generator, so that what an utterance sounds like in an epoch
is a function of (seed, epoch, its id). All keep the length (speed aside) and the alignment.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.data.config import AugmentConfig, NoiseConfig
from asr.data.durations import audio_below
from asr.data.manifest import read_manifest
from asr.data.random_state import generator
from asr.data.samples import SampleCache, audio_file, cut_samples, decode
from asr.errors import ConfigError, ManifestError

#: What carries no power worth a ratio: below -90 dB of full scale.
SILENCE = 10 ** (-90 / 10)
#: Direct sound: the first sample of a room response that is within 20 dB of the largest.
_DIRECT = 10 ** (-20 / 20)
#: Container, coding and compression level of libsndfile, and the rate encoded at (None: as is).
_CODECS = {
    "mp3": ("MP3", "MPEG_LAYER_III", 0.99, None),  # about 20 kbit/s
    "vorbis": ("OGG", "VORBIS", 1.0, None),  # about 30 kbit/s
    "gsm": ("WAV", "GSM610", None, 8000),  # 13 kbit/s
    "opus": ("OGG", "OPUS", 1.0, None),  # about 7 kbit/s
}


@dataclass(frozen=True, slots=True)
class Changes:
    """What happens to one item in one epoch; None leaves a change out.

    `room` is the number of a response, `clip` that of a noise clip and the sample it starts at.
    """

    room: int | None = None
    clip: tuple[int, int] | None = None
    snr_db: float = 0.0
    gain_db: float | None = None
    law: str | None = None
    codec: str | None = None


def draw_changes(
    config: AugmentConfig, draw: np.random.Generator, rooms: int, clips: Sequence[int]
) -> Changes:
    """Draws what `config` leaves to chance, whatever computes the sound afterwards.

    Args:
        rooms: how many responses there are. clips: the samples of each noise clip.
    """
    room = clip = gain_db = law = codec = None
    snr_db = 0.0
    if config.room is not None and draw.random() < config.room.probability:
        room = int(draw.integers(rooms))
    if config.noise is not None and draw.random() < config.noise.probability:
        number = int(draw.integers(len(clips)))
        clip = (number, int(draw.integers(clips[number])) if clips[number] else 0)
        snr_db = draw.uniform(*config.noise.snr_db)
    if config.volume is not None and draw.random() < config.volume.probability:
        gain_db = draw.uniform(*config.volume.gain_db)
    if config.telephone is not None and draw.random() < config.telephone.probability:
        law = config.telephone.laws[int(draw.integers(len(config.telephone.laws)))]
    if config.codec is not None and draw.random() < config.codec.probability:
        codec = config.codec.codecs[int(draw.integers(len(config.codec.codecs)))]
    return Changes(room, clip, snr_db, gain_db, law, codec)


class Augmenter:
    """Everything an `AugmentConfig` asks for, on samples at one rate."""

    def __init__(self, config: AugmentConfig, rate: int, seed: int, jobs: int = 2) -> None:
        """Loads the noise clips and room responses.

        Raises:
            ConfigError, ManifestError, AudioError: they are missing, or there are none.
        """
        self.config = config
        self.rate = rate
        self.seed = seed
        self.noises = Noises(config.noise, rate, jobs) if config.noise else None
        self.rooms = room_responses(config.room.folder, rate) if config.room else []

    def __call__(self, samples: np.ndarray, epoch: int, name: str, speed: float) -> np.ndarray:
        """The item `name` as it sounds in `epoch`; `speed` was drawn when the epoch was planned."""
        changes = self.changes(epoch, name)
        samples = change_speed(samples, speed, self.rate)
        if changes.room is not None:
            samples = add_room(samples, self.rooms[changes.room])
        if changes.clip is not None and self.noises is not None:
            clip = self.noises.stretch(*changes.clip, len(samples))
            samples = add_noise(samples, clip, changes.snr_db)
        if changes.gain_db is not None:
            samples = change_volume(samples, changes.gain_db)
        if changes.law is not None:
            samples = telephone(samples, self.rate, changes.law)
        if changes.codec is not None:
            samples = lossy(samples, self.rate, changes.codec)
        return samples

    def changes(self, epoch: int, name: str) -> Changes:
        """What happens to the item `name` in `epoch`."""
        draw = generator(self.seed, epoch, "sound", name)
        clips = self.noises.sizes if self.noises is not None else ()
        return draw_changes(self.config, draw, len(self.rooms), clips)


class Noises:
    """Clips of noise in memory."""

    def __init__(self, config: NoiseConfig, rate: int, jobs: int = 2) -> None:
        self.config = config
        self.rate = rate
        manifest = config.manifest
        self.cache = SampleCache(rate, damaged=True)
        cuts = list(read_manifest(manifest, texts=False))
        self.cuts = [cut for cut in cuts if audio_file(cut) is not None]
        failed = self.cache.fill((str(audio_file(cut)) for cut in self.cuts), jobs)
        if failed:
            raise ManifestError(
                f"{manifest}: {len(failed)} noise clips cannot be read, the first: "
                f"{next(iter(failed.values()))}"
            )
        if not self.cuts or len(self.cuts) < len(cuts):
            raise ManifestError(
                f"{manifest}: noise must be plain audio files, "
                f"{len(self.cuts)} of {len(cuts)} clips are; name another manifest"
            )

    @cached_property
    def sizes(self) -> list[int]:
        """Samples of each clip."""
        return [len(self.clip(number)) for number in range(len(self.cuts))]

    def clip(self, number: int) -> np.ndarray:
        """Clip `number`, float32 (N,)."""
        return cut_samples(self.cuts[number], self.rate, self.cache)

    def stretch(self, number: int, start: int, length: int) -> np.ndarray:
        """`length` samples of clip `number` from sample `start` on, repeated where it is short."""
        clip = self.clip(number)
        if not len(clip):
            return np.zeros(length, np.float32)
        if start + length <= len(clip):
            return clip[start : start + length]
        return np.take(clip, np.arange(start, start + length), mode="wrap")


def room_responses(folder: str, rate: int) -> list[np.ndarray]:
    """The responses in a folder, each from its direct sound on, of unit energy.

    The direct sound is where a response first comes within 20 dB of its largest sample (ISO
    3382-1): far from the speaker a reflection can be the largest, tens of milliseconds later.

    Raises:
        ConfigError: there is no such folder, or no audio in it.
        AudioError: a response cannot be decoded.
    """
    files = audio_below(Path(folder))
    if not files:
        raise ConfigError(f"{folder}: no room responses (audio files) there; correct the folder")
    responses = []
    for file in files:
        response = decode(file, rate)
        if not len(response) or not np.any(response):
            raise ConfigError(f"{file}: a room response that is silent; remove it")
        level = np.abs(response)
        response = response[int(np.argmax(level >= _DIRECT * np.max(level))) :]
        responses.append((response / np.sqrt(np.sum(response**2))).astype(np.float32))
    return responses


def change_speed(samples: np.ndarray, factor: float, rate: int) -> np.ndarray:
    """Samples (N,) played `factor` times as fast: about N / factor samples."""
    if factor == 1.0 or not len(samples):
        return samples
    return soxr.resample(samples, rate * factor, rate, quality="HQ")


def change_volume(samples: np.ndarray, gain_db: float) -> np.ndarray:
    """Multiplied by a gain, or by less where the loudest sample would go beyond full scale."""
    gain = 10 ** (gain_db / 20)
    peak = float(np.max(np.abs(samples), initial=0.0))
    if gain > 1 and peak * gain > 1:
        gain = max(1.0, 1 / peak)
    return samples * np.float32(gain)


def add_noise(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Noise (N,) added at a ratio of mean powers; nothing where either of them is silent."""
    power, noise_power = _power(samples), _power(noise)
    if power < SILENCE or noise_power < SILENCE:
        return samples
    return samples + noise * np.float32(np.sqrt(power / noise_power / 10 ** (snr_db / 10)))


def add_room(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolved with a response that starts with the direct sound; same length, same power.

    Overlap and add in blocks of a power of two (Oppenheim and Schafer, 1975): the transform stays
    in the cache of the processor whatever the length of the utterance.
    """
    if not len(samples):
        return samples
    size = 1 << max(15, (2 * len(response) - 1).bit_length())
    hop = size - len(response) + 1
    blocks = -(-len(samples) // hop)
    padded = np.zeros(blocks * hop, np.float32)
    padded[: len(samples)] = samples
    spectrum = np.fft.rfft(padded.reshape(blocks, hop), size) * np.fft.rfft(response, size)
    parts = np.fft.irfft(spectrum, size)
    wet = np.zeros(blocks * hop + size, np.float32)
    for block, part in enumerate(parts):
        wet[block * hop : block * hop + size] += part
    wet = wet[: len(samples)]
    power = _power(wet)
    return wet if power < SILENCE else wet * np.float32(np.sqrt(_power(samples) / power))


def telephone(samples: np.ndarray, rate: int, law: str) -> np.ndarray:
    """Through a telephone line (ITU-T G.711): band limits, 8 kHz, 8 bits by mu or A law."""
    narrow = _high_pass(soxr.resample(samples, rate, 8000, quality="MQ"))
    coded = _coded(narrow, 8000, "WAV", "ULAW" if law == "mu" else "ALAW", None)
    return _fit(soxr.resample(coded, 8000, rate, quality="MQ"), len(samples))


def lossy(samples: np.ndarray, rate: int, codec: str) -> np.ndarray:
    """Encoded and decoded with one of `CodecConfig.codecs`, at its lowest rate."""
    container, coding, level, own_rate = _CODECS[codec]
    if not len(samples):
        return samples
    at = own_rate or rate
    given = samples if at == rate else soxr.resample(samples, rate, at, quality="MQ")
    coded = _coded(given, at, container, coding, level)
    back = coded if at == rate else soxr.resample(coded, at, rate, quality="MQ")
    return _fit(back, len(samples))


def _coded(
    samples: np.ndarray, rate: int, container: str, coding: str, level: float | None
) -> np.ndarray:
    memory = io.BytesIO()
    peak = float(np.max(np.abs(samples), initial=0.0))
    scale = np.float32(1 / peak if peak > 1 else 1)  # encoders cut off what is beyond full scale
    soundfile.write(
        memory, samples * scale, rate, format=container, subtype=coding, compression_level=level
    )
    memory.seek(0)
    return soundfile.read(memory, dtype="float32")[0] / scale


def _high_pass(narrow: np.ndarray) -> np.ndarray:
    """Removes what is below 300 Hz from samples at 8 kHz, with a linear-phase filter."""
    taps = 257
    at = np.arange(taps) - taps // 2
    low = 2 * 300 / 8000 * np.sinc(2 * 300 / 8000 * at) * np.hamming(taps)
    high = -low / low.sum()
    high[taps // 2] += 1
    return np.convolve(narrow, high.astype(np.float32), mode="same")[: len(narrow)]


def _fit(samples: np.ndarray, length: int) -> np.ndarray:
    """Exactly `length` samples: filters and frames of codecs leave a few more or less."""
    if len(samples) >= length:
        return samples[:length]
    return np.concatenate([samples, np.zeros(length - len(samples), samples.dtype)])


def _power(samples: np.ndarray) -> float:
    return float(np.dot(samples, samples)) / max(1, len(samples))
