"""Text for training and scoring: one normaliser, and tokenizers behind one protocol."""

from asr.text.config import NormalizerConfig, TokenizerConfig
from asr.text.languages import Languages
from asr.text.loading import load_tokenizer
from asr.text.normalizer import TextNormalizer
from asr.text.tokenizer import UNKNOWN_MARK, Labels, Tokenizer
from asr.text.training import train_tokenizer

__all__ = [
    "UNKNOWN_MARK",
    "Labels",
    "Languages",
    "NormalizerConfig",
    "TextNormalizer",
    "Tokenizer",
    "TokenizerConfig",
    "load_tokenizer",
    "train_tokenizer",
]
