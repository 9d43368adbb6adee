"""Samples to features: front ends by type, and global normalisation, whole or by steps."""

from asr.frontend.kaldi import KaldiConfig, KaldiLogMel
from asr.frontend.norm import FeatureStatistics, GlobalNorm
from asr.frontend.protocol import (
    FRONTENDS,
    Frontend,
    FrontendConfig,
    frontend_config,
    register_frontend,
)
from asr.frontend.whisper import WhisperConfig, WhisperLogMel

__all__ = [
    "FRONTENDS",
    "FeatureStatistics",
    "Frontend",
    "FrontendConfig",
    "GlobalNorm",
    "KaldiConfig",
    "KaldiLogMel",
    "WhisperConfig",
    "WhisperLogMel",
    "frontend_config",
    "register_frontend",
]
