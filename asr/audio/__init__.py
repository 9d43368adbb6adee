"""Any file or pipe to mono float32 samples at the model's rate: decode, mix, resample."""

from asr.audio.limits import AudioLimits
from asr.audio.resample import Resampler
from asr.audio.samples import Audio, BlockReader, from_samples
from asr.audio.stream import AUDIO_ENDINGS, AudioStream, load_audio, open_audio

__all__ = [
    "AUDIO_ENDINGS",
    "Audio",
    "AudioLimits",
    "AudioStream",
    "BlockReader",
    "Resampler",
    "from_samples",
    "load_audio",
    "open_audio",
]
