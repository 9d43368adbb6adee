"""A tokenizer over SentencePiece models, unigram or BPE."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

from asr.atomic import write_atomic
from asr.errors import ConfigError, ModelError
from asr.text.config import TokenizerConfig
from asr.text.sampling import Draw, bpe_sampler, unigram_sampler
from asr.text.special_labels import BLANK, END, LABELS, SPECIAL_PIECES, UNKNOWN
from asr.text.tokenizer import UNKNOWN_MARK, WORD_MARK, Labels

PIECE_FILE = "tokenizer.model"
#: Part of the result: SentencePiece adds up counts thread by thread, so another number of threads
#: gives slightly other pieces.
_THREADS = 4
_NO_LIMIT = 1 << 30


class PieceTokenizer:
    """Labels are SentencePiece pieces; `model` is the serialised model, kept byte for byte."""

    prompt_fields = None
    """See `Tokenizer.prompt_fields`: there are none."""

    def __init__(self, model: bytes, config: TokenizerConfig) -> None:
        self.model = model
        self.config = config
        self._processor = _processor(model)
        self._generator = random.Random(config.sample_seed)

    @property
    def size(self) -> int:
        """Number of labels, the three special ones included."""
        return int(self._processor.get_piece_size())

    @property
    def labels(self) -> Labels:
        """Which of its labels are special."""
        return LABELS

    def encode(self, text: str, sample: bool | random.Random = False) -> list[int]:
        """The labels of `text`; see `Tokenizer.encode`."""
        if sample is False:
            return list(self._processor.encode(text))
        generator = self._generator if sample is True else sample
        drawn = [t for word in text.split() for t in self._draw(WORD_MARK + word, generator)]
        # A run of unknown characters is one label, as SentencePiece has it.
        runs = ([UNKNOWN] if key == UNKNOWN else run for key, run in groupby(drawn))
        return [token for run in runs for token in run]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; see `Tokenizer.decode`."""
        kept = [int(token) for token in ids if token not in (BLANK, END)]
        for token in kept:
            self._check(token)
        return str(self._processor.decode(kept)) if kept else ""

    def piece(self, token: int) -> str:
        """The piece; `WORD_MARK` stands for a space."""
        self._check(token)
        return str(self._processor.id_to_piece(int(token)))

    def unknown(self, text: str) -> Counter[str]:
        """The characters of `text` that cannot be written, and how often each occurs."""
        if not set(text) - self._characters:
            return Counter()  # nearly every text: no need to cut it
        cut = self._processor.encode_as_proto(text).pieces
        return Counter(c for piece in cut if piece.id == UNKNOWN for c in piece.surface)

    def save(self, folder: str | Path) -> Path:
        """Writes `tokenizer.model` into `folder` and returns its path."""
        path = Path(folder) / PIECE_FILE
        write_atomic(path, self.model)
        return path

    def __getstate__(self) -> dict[str, Any]:
        """Data loader processes get the model; what can be computed from it stays behind."""
        return {
            "model": self.model,
            "config": self.config,
            "generator": self._generator.getstate(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["model"], state["config"])  # type: ignore[misc]
        self._generator.setstate(state["generator"])

    @cached_property
    def _characters(self) -> frozenset[str]:
        """Spaces and the characters that are pieces by themselves."""
        pieces = map(self._processor.id_to_piece, range(len(SPECIAL_PIECES), self.size))
        return frozenset(piece for piece in pieces if len(piece) == 1) | {" "}

    @cached_property
    def _draw(self) -> Draw:
        labels = range(len(SPECIAL_PIECES), self.size)
        pieces = {self._processor.id_to_piece(token): token for token in labels}
        scores = {token: self._processor.get_score(token) for token in labels}
        if is_bpe(scores):
            return bpe_sampler(pieces, scores, self.config.sample_dropout)
        return unigram_sampler(pieces, scores, self.config.sample_alpha)

    def _check(self, token: int) -> None:
        if not 0 <= token < self.size:
            raise ModelError(f"tokenizer: label {token} is not one of its {self.size} labels")


def is_bpe(scores: dict[int, float]) -> bool:
    """True for the scores of a BPE model: minus the rank of the merge, so whole numbers."""
    return all(score == -i for i, score in enumerate(scores.values()))


def train_pieces(lines: Sequence[str], config: TokenizerConfig) -> PieceTokenizer:
    """Trains a SentencePiece model of `config.type` on lines of text, none of them empty.

    Raises:
        ConfigError: `config.size` does not fit the text; the message has a size that does.
    """
    from sentencepiece import SentencePieceTrainer

    model = BytesIO()
    blank, unknown, end = SPECIAL_PIECES
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type=config.type,
            vocab_size=config.size,
            character_coverage=config.character_coverage,
            required_chars=_all_characters(lines) if config.character_coverage == 1 else "",
            normalization_rule_name="identity",  # TextNormalizer has done it
            pad_id=BLANK,
            unk_id=UNKNOWN,
            eos_id=END,
            bos_id=-1,
            pad_piece=blank,
            unk_piece=unknown,
            eos_piece=end,
            unk_surface=UNKNOWN_MARK,
            max_sentence_length=_NO_LIMIT,  # longer lines would be left out without a word
            num_threads=_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ConfigError(f"tokenizer: {_advice(str(error), config)}") from error
    return PieceTokenizer(model.getvalue(), config)


def _all_characters(lines: Iterable[str]) -> str:
    """Every character of `lines`, once.

    SentencePiece adds its coverage up in float32, so in a long text it takes 1 for reached before
    the rarest characters.
    """
    characters: set[str] = set()
    for line in lines:
        characters.update(line)
    return "".join(sorted(characters - {" "}))


def _advice(message: str, config: TokenizerConfig) -> str:
    """What SentencePiece's error means for the settings."""
    if match := re.search(r"Vocabulary size too high .* <= (\d+)", message):
        return (
            f"size {config.size} is too large for this little text; set size to {match[1]} or "
            "less, or give more text"
        )
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"size {config.size} is too small to write every character of the text; set size to "
            f"{match[1]} or more, or lower character_coverage"
        )
    return f"SentencePiece could not train on this text ({message})"


def parse_pieces(content: bytes, path: Path, config: TokenizerConfig) -> PieceTokenizer:
    """Makes a tokenizer of a SentencePiece model's bytes.

    Raises:
        ModelError: they are no such model, or one whose special labels are not ours.
    """
    try:
        tokenizer = PieceTokenizer(content, config)
    except RuntimeError as error:
        raise ModelError(f"{path}: not a SentencePiece model, or damaged; copy it anew") from error
    processor = tokenizer._processor
    ids = (processor.pad_id(), processor.unk_id(), processor.eos_id(), processor.bos_id())
    if ids != (BLANK, UNKNOWN, END, -1) or processor.id_to_piece(BLANK) != SPECIAL_PIECES[BLANK]:
        raise ModelError(
            f"{path}: a SentencePiece model whose special labels are not ours (blank, unknown, "
            f"end and begin are {ids}, must be {(BLANK, UNKNOWN, END, -1)}); train one with "
            "'asr tokenizer', or the file is damaged"
        )
    return tokenizer


def _processor(model: bytes) -> Any:
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_proto=model)
