"""Text for training and scoring: one normaliser, and tokenizers behind one protocol."""

from asr.text.config import NormalizerConfig, PromptConfig, TokenizerConfig
from asr.text.loading import load_tokenizer
from asr.text.normalizer import TextNormalizer
from asr.text.prompts import PromptFields
from asr.text.tokenizer import UNKNOWN_MARK, Labels, Tokenizer
from asr.text.training import train_tokenizer

__all__ = [
    "UNKNOWN_MARK",
    "Labels",
    "NormalizerConfig",
    "PromptConfig",
    "PromptFields",
    "TextNormalizer",
    "Tokenizer",
    "TokenizerConfig",
    "load_tokenizer",
    "train_tokenizer",
]
