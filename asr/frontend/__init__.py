"""Samples to features: log-mel filterbank and global normalisation, whole or by steps."""

from asr.frontend.config import FrontendConfig
from asr.frontend.logmel import LogMel, LogMelState
from asr.frontend.norm import FeatureStatistics, GlobalNorm

__all__ = ["FeatureStatistics", "FrontendConfig", "GlobalNorm", "LogMel", "LogMelState"]
