"""Whisper's tokenizer: byte-level BPE (Sennrich et al. 2016; Radford et al. 2019), special labels.

It is read from `tokenizer.json` of Hugging Face. A label stands for bytes, and may be a part of a
character.
"""

from __future__ import annotations

import codecs
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from asr.atomic import write_atomic
from asr.dependencies import first_line
from asr.errors import ModelError, shortened
from asr.text.byte_pairs import BytePairs
from asr.text.languages import LANGUAGE, TASK, TRANSCRIBE, TRANSLATE
from asr.text.prompts import PromptFields
from asr.text.timestamps import Timestamps
from asr.text.tokenizer import WORD_MARK, Labels

WHISPER_FILE = "whisper_tokenizer.json"
_FORMAT = {"type": "whisper", "version": 1}
END, START = "<|endoftext|>", "<|startoftranscript|>"
NO_TIMESTAMPS = "<|notimestamps|>"
PROMPT = "<|startofprev|>"
#: The label for no speech, by its older and its newer name.
NO_SPEECH = ("<|nocaptions|>", "<|nospeech|>")
TIMESTAMP_SECONDS = 0.02
#: Symbols that stand for no speech; written alone, Whisper is not to write them.
_SYMBOLS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    *("<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))"),
    *("[[", "]]", "{{", "}}", "♪♪", "♪♪♪"),
)
#: ... nor labels that begin one of these.
_MUSIC = tuple("♩♪♫♬♭♮♯")


class WhisperTokenizer:
    """Labels are byte strings, and special labels such as `<|en|>`; time stamps come last.

    Args:
        content: a `tokenizer.json` of Hugging Face.
        size: number of labels of the model; those that the file lacks are time stamps.
        suppress: labels that no hypothesis may hold, besides the special ones.
        suppress_first: labels that no hypothesis may begin with. If the end is among them, none is
            empty.
        language: code of what is spoken where nothing else is chosen, as `en`; None for models that
            know English only.
        task: `transcribe`, or `translate` to English; means nothing without language.
        tasks: those that the model can do.
        source: names the file in messages.

    Raises:
        ModelError: it is no such tokenizer, or not one of a model of that size, or lacks the
            language or the task.
    """

    def __init__(
        self,
        content: str,
        size: int,
        suppress: Sequence[int] = (),
        suppress_first: Sequence[int] = (),
        language: str | None = None,
        task: str = TRANSCRIBE,
        tasks: Sequence[str] = (TRANSCRIBE, TRANSLATE),
        source: str = "tokenizer",
    ) -> None:
        self.content = content
        self.suppress, self.suppress_first = tuple(suppress), tuple(suppress_first)
        self.language, self.task, self.tasks = language, task, tuple(tasks)
        self.source = source
        self._size = size
        try:
            self._values = json.loads(content)
            special = {str(t["content"]): int(t["id"]) for t in self._values["added_tokens"]}
            vocabulary = dict(self._values["model"]["vocab"])
            plain = {text: label for text, label in vocabulary.items() if text not in special}
            value = _byte_characters().__getitem__
            texts = {label: bytes(map(value, text)) for text, label in plain.items()}
            known = sorted([*plain.values(), *special.values()])
            if known[0] < 0 or known[-1] >= size or len(set(known)) < len(known):
                raise ValueError(f"its ids are not those of a model with {size} labels")
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"{source}: not a byte-level BPE tokenizer for this model, or damaged: "
                f"{shortened(first_line(error), 120)}"
            ) from None
        self._texts: dict[int, bytes] = texts
        self._special: dict[str, int] = special
        self._names = {label: name for name, label in special.items()}
        suppressed = (*self.suppress, *self.suppress_first)
        if wrong := [label for label in suppressed if not 0 <= label < size]:
            raise ModelError(
                f"{source}: the model suppresses labels {wrong[:5]}, which are not among its "
                f"{size}; copy all its files again"
            )
        self.prompt_fields = self._prompt_fields() if language is not None else None
        """See `Tokenizer.prompt_fields`: language and task, for models of several languages."""
        self.labels = self._labels()
        """Which labels are special. Bytes can write everything.

        The label for "no speech", which no text holds, is CTC's blank in models that get CTC.
        """

    @property
    def size(self) -> int:
        """Number of labels, special ones and time stamps included."""
        return self._size

    @property
    def space(self) -> tuple[int, ...]:
        """The label of a single space, if there is one."""
        return tuple(label for label, content in self._texts.items() if content == b" ")

    def encode(self, text: str, sample: bool | random.Random = False) -> list[int]:
        """The labels of `text`; there is one way to write it, so `sample` changes nothing.

        A text begins with a space, as Whisper writes it. Names of special labels are text as any.

        Raises:
            ModelError: the tokenizer has settings that other tokenizers of Whisper do not have.
        """
        words = " ".join(text.split())
        return self._encode(" " + words) if words else []

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`: special labels write nothing; bytes that are no character write "�".

        The first bytes of a character at the end write nothing: the others are still to come, or
        the hypothesis was cut.

        Raises:
            ModelError: an id is not one of this tokenizer's.
        """
        content = b"".join(self._bytes(int(label)) for label in ids)
        return codecs.getincrementaldecoder("utf-8")("replace").decode(content).strip()

    def piece(self, token: int) -> str:
        """The text of a label; `WORD_MARK` stands for a space, `<0xE4>` for a part of a character.

        Raises:
            ModelError: the id is not one of this tokenizer's.
        """
        content = self._bytes(int(token))
        if token not in self._texts:
            stamp = (token - self._special[NO_TIMESTAMPS] - 1) * TIMESTAMP_SECONDS
            return self._names.get(int(token), f"<|{stamp:.2f}|>")
        try:
            written = content.decode()
        except UnicodeDecodeError:
            written = "".join(chr(b) if b < 128 else f"<0x{b:02X}>" for b in content)
        return written.replace(" ", WORD_MARK)

    def unknown(self, text: str) -> Counter[str]:
        """Nothing: bytes can write every character."""
        return Counter()

    def save(self, folder: str | Path) -> Path:
        """Writes `whisper_tokenizer.json` into `folder` and returns its path."""
        path = Path(folder) / WHISPER_FILE
        state = self.__getstate__()
        del state["source"]
        state["content"] = self._values  # JSON inside JSON reads badly
        write_atomic(path, json.dumps(_FORMAT | state, ensure_ascii=False).encode() + b"\n")
        return path

    def non_speech(self) -> tuple[int, ...]:
        """The labels that the original does not write: symbols that stand for no speech.

        Raises:
            ModelError: as `encode`.
        """
        labels = {self._encode(" -")[0], self._encode(" '")[0]}
        for symbol in (*_SYMBOLS, *_MUSIC):
            for written in (self._encode(symbol), self._encode(" " + symbol)):
                if len(written) == 1 or symbol in _MUSIC:
                    labels.add(written[0])
        return tuple(sorted(labels))

    def __getstate__(self) -> dict[str, Any]:
        """Data loader processes get the arguments; what follows from them stays behind."""
        return {
            "content": self.content,
            "size": self._size,
            "suppress": self.suppress,
            "suppress_first": self.suppress_first,
            "language": self.language,
            "task": self.task,
            "tasks": self.tasks,
            "source": self.source,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _prompt_fields(self) -> PromptFields:
        codes = (re.fullmatch(r"<\|([a-z]{2,3})\|>", name) for name in self._special)
        return PromptFields(
            labels={
                LANGUAGE: {match[1]: self._special[match[0]] for match in codes if match},
                TASK: {task: self._label(f"<|{task}|>") for task in self.tasks},
            },
            before=(self._label(START),),
            after=(self._label(NO_TIMESTAMPS),),
            defaults={LANGUAGE: str(self.language), TASK: self.task},
        )

    def _labels(self) -> Labels:
        end = self._label(END)
        start: tuple[int, ...] = (self._label(START), self._label(NO_TIMESTAMPS))
        if self.prompt_fields is not None:
            try:
                start = self.prompt_fields.start({})
            except ModelError as error:
                raise ModelError(f"{self.source}: {error}") from None
        no_text = {label for label in range(self._size) if label not in self._texts} - {end}
        never = no_text.union(self.suppress) - {end}
        return Labels(
            blank=next((self._special[name] for name in NO_SPEECH if name in self._special), None),
            unknown=None,
            end=end,
            start=start,
            never=tuple(sorted(never)),
            never_first=self.suppress_first,
            prompt=self._special.get(PROMPT),
            timestamps=self._timestamps(),
        )

    def _timestamps(self) -> Timestamps | None:
        off = self._label(NO_TIMESTAMPS)
        count = self._size - off - 1
        return Timestamps(off + 1, count, TIMESTAMP_SECONDS, off) if count else None

    def _label(self, name: str) -> int:
        if name not in self._special:
            raise ModelError(
                f"{self.source}: has no label {name}; it is no tokenizer of Whisper, or damaged"
            )
        return self._special[name]

    def _bytes(self, label: int) -> bytes:
        """What a label writes."""
        if not 0 <= label < self._size:
            raise ModelError(f"tokenizer: label {label} is not one of its {self._size} labels")
        return self._texts.get(label, b"")

    def _encode(self, text: str) -> list[int]:
        return self._encoder.encode(text)

    @cached_property
    def _encoder(self) -> BytePairs:
        try:
            return BytePairs(self._values, _byte_characters())
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ModelError(
                f"{self.source}: cannot be used to encode: {shortened(first_line(error), 200)}"
            ) from None


def parse_whisper_tokenizer(content: bytes, path: Path) -> WhisperTokenizer:
    """Makes a tokenizer of what `WhisperTokenizer.save` wrote.

    Raises:
        ModelError: it is something else, damaged, or of a newer version.
    """
    try:
        values = json.loads(content)
        given = {name: values.pop(name) for name in _FORMAT}
        if given != _FORMAT:
            raise ValueError(f"its format is {given}, not {_FORMAT}")
        values["content"] = json.dumps(values["content"], ensure_ascii=False)
        return WhisperTokenizer(**values, source=str(path))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path}: not a tokenizer of Whisper, or damaged ({shortened(first_line(error), 120)});"
            " copy it anew"
        ) from None


@cache
def _byte_characters() -> dict[str, int]:
    """How `tokenizer.json` writes bytes: those that print as they are, the others from U+0100."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    characters = {chr(byte): byte for byte in printing}
    return characters | {chr(0x100 + place): byte for place, byte in enumerate(others)}
