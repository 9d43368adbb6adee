"""Sounds and files that the audio tests make for themselves."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import soundfile

RATE = 16000

#: name: (libsndfile format, subtype), all written by soundfile.
SNDFILE_KINDS = {
    "wav-8": ("WAV", "PCM_U8"),
    "wav-16": ("WAV", "PCM_16"),
    "wav-24": ("WAV", "PCM_24"),
    "wav-32": ("WAV", "PCM_32"),
    "wav-float": ("WAV", "FLOAT"),
    "wav-double": ("WAV", "DOUBLE"),
    "wav-alaw": ("WAV", "ALAW"),
    "wav-mulaw": ("WAV", "ULAW"),
    "wav-adpcm": ("WAV", "IMA_ADPCM"),
    "wav-gsm": ("WAV", "GSM610"),
    "wavex": ("WAVEX", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "nist": ("NIST", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", None),
}
#: name: (FFmpeg container, codec, options), all written by PyAV.
AV_KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "m4a": ("mp4", "aac", {}),
    "m4a-index-first": ("mp4", "aac", {"movflags": "faststart"}),
    "mp4-fragments": (
        "mp4",
        "aac",
        {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"},
    ),
    "mov": ("mov", "pcm_s16le", {}),
    "webm": ("webm", "libopus", {}),
    "mkv": ("matroska", "aac", {}),
    "aac": ("adts", "aac", {}),
    "ts": ("mpegts", "aac", {}),
    "avi": ("avi", "libmp3lame", {}),
    "mp3-ffmpeg": ("mp3", "libmp3lame", {}),
    "mp3-bare": ("mp3", "libmp3lame", {"write_xing": "0"}),
    "opus-ffmpeg": ("ogg", "libopus", {}),
    "flac-ffmpeg": ("flac", "flac", {}),
}
KINDS = (*SNDFILE_KINDS, *AV_KINDS)
#: Kinds whose samples come back with an error of rounding only, and the largest error.
EXACT = {
    "wav-8": 2**-7,
    "wav-16": 2**-15,
    "wav-24": 2**-23,
    "wav-32": 1e-7,
    "wav-float": 0.0,
    "wav-double": 0.0,
    "wav-alaw": 0.02,
    "wav-mulaw": 0.02,
    "wavex": 2**-15,
    "rf64": 2**-15,
    "w64": 2**-15,
    "aiff": 2**-15,
    "au": 2**-15,
    "caf": 2**-15,
    "nist": 2**-15,
    "voc": 2**-15,
    "flac": 2**-15,
    "mov": 2**-15,
    "flac-ffmpeg": 2**-15,
}


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """A sweep in noise (N,), float32, that every codec keeps and no two places of are alike."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time))
    tone = 0.3 * np.sin(2 * np.pi * (200 + 150 * time) * time)
    return (tone + 0.005 * noise).astype(np.float32)


def packed(samples: np.ndarray, rate: int, kind: str) -> bytes:
    """The samples (N,) or (N, channels) as a file of `kind`."""
    if kind in SNDFILE_KINDS:
        container, subtype = SNDFILE_KINDS[kind]
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format=container, subtype=subtype)
        return file.getvalue()
    container, codec, options = AV_KINDS[kind]
    return muxed([samples], rate, container, codec, options)


@cache
def example(kind: str, seconds: float = 4.0) -> bytes:
    """`sound(seconds)` as a file of `kind`."""
    return packed(sound(seconds), RATE, kind)


def muxed(
    tracks: list[np.ndarray],
    rate: int,
    container: str,
    codec: str,
    options: dict[str, str] | None = None,
    video: bool = False,
    first_time: float = 0.0,
) -> bytes:
    """A file with one mono audio track for each of `tracks`, and a video track if asked for."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        with av.open(str(path), "w", format=container, options=options or {}) as output:
            picture = output.add_stream("mpeg4", rate=10) if video else None
            codec_rate = 48000 if codec == "libopus" else rate
            streams = [output.add_stream(codec, rate=codec_rate) for _ in tracks]
            for stream in streams:
                stream.layout = "mono"
            if picture is not None:
                picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
                for number in range(10):
                    image = av.VideoFrame(64, 64, "yuv420p")
                    image.pts = number
                    output.mux(picture.encode(image))
                output.mux(picture.encode(None))
            for stream, samples in zip(streams, tracks, strict=True):
                _encode(output, stream, samples, rate, first_time)
        return path.read_bytes()


def _encode(output: object, stream: object, samples: np.ndarray, rate: int, start: float) -> None:
    context = stream.codec_context  # type: ignore[attr-defined]
    context.open(strict=False)
    resampler = av.AudioResampler(
        context.format.name, "mono", context.sample_rate, frame_size=context.frame_size or 1024
    )
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = rate, round(start * rate)
    for piece in (*resampler.resample(frame), *resampler.resample(None), None):
        output.mux(stream.encode(piece))  # type: ignore[attr-defined]
