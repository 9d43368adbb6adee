"""Language models over the recogniser's labels: LSTM, Transformer, n-gram; and their folder."""

from asr.lm.folder import LoadedLM, check_same_labels, load_lm_folder, save_lm_folder
from asr.lm.ngram import NGram
from asr.lm.protocol import LanguageModel, NeuralLanguageModel

__all__ = [
    "LanguageModel",
    "LoadedLM",
    "NGram",
    "NeuralLanguageModel",
    "check_same_labels",
    "load_lm_folder",
    "save_lm_folder",
]
