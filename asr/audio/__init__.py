"""Any file or pipe to mono float32 samples at the model's rate: decode, mix, resample."""

from asr.audio.limits import AudioLimits
from asr.audio.microphone import Microphone, input_devices
from asr.audio.pace import paced
from asr.audio.pcm import PCM_FORMATS, PcmFormat, PcmReader
from asr.audio.resample import Resampler
from asr.audio.samples import Audio, BlockReader, from_samples
from asr.audio.stream import AUDIO_ENDINGS, AudioStream, load_audio, open_audio

__all__ = [
    "AUDIO_ENDINGS",
    "PCM_FORMATS",
    "Audio",
    "AudioLimits",
    "AudioStream",
    "BlockReader",
    "Microphone",
    "PcmFormat",
    "PcmReader",
    "Resampler",
    "from_samples",
    "input_devices",
    "load_audio",
    "open_audio",
    "paced",
]
