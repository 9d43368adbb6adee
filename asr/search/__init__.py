"""Beam search over weighted scorers: from memory to hypotheses."""

from asr.search.attention import AttentionScorer
from asr.search.config import SearchConfig
from asr.search.ctc import CTCPrefixScorer
from asr.search.decoding import continue_search, search
from asr.search.hotwords import HotwordScorer
from asr.search.joint import all_scorers, fitting, joint_scorers
from asr.search.lm import InternalLMScorer, LanguageModelScorer, LengthScorer
from asr.search.phrases import PhraseTree
from asr.search.protocol import Scorer, SearchResult, WeightedScorer

__all__ = [
    "AttentionScorer",
    "CTCPrefixScorer",
    "HotwordScorer",
    "InternalLMScorer",
    "LanguageModelScorer",
    "LengthScorer",
    "PhraseTree",
    "Scorer",
    "SearchConfig",
    "SearchResult",
    "WeightedScorer",
    "all_scorers",
    "continue_search",
    "fitting",
    "joint_scorers",
    "search",
]
