"""Transcripts with case and punctuation for the second English model.

    python recipes/english/cased.py TEACHER...

Each TEACHER is a JSON-lines file of `id` and `teacher`: what a Whisper model writes for an
utterance of data/train.jsonl (`teacher.py`). Words that both have are written as the teacher
writes them, with its punctuation; where they differ the transcript is right. Utterances whose own
text has case and punctuation keep it. What the teacher has not written yet, or where it differs in
more than `--most` of the words, is left out and counted.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
from collections import Counter
from pathlib import Path

from asr.text import NormalizerConfig, TextNormalizer

HERE = Path(__file__).parent
#: Corpora whose texts have case and punctuation.
CASED = ("commonvoice-2023", "ljspeech-part", "vctk-p239")
_NORMALIZE = TextNormalizer(NormalizerConfig())
_ENDINGS = re.compile(r"[^\w']*$")


def main() -> None:
    """Reads the command line and writes the manifest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("teachers", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path, default=HERE / "data" / "train.jsonl")
    parser.add_argument("--most", type=float, default=0.4, help="share of words that may differ")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "data" / "cased.jsonl")
    args = parser.parse_args()
    taught = {}
    for path in args.teachers:
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            taught[entry["id"]] = entry["teacher"]
    counts, entries = Counter[str](), []
    for line in args.manifest.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["set"] in CASED:
            text: str | None = entry["text"]
            what = "own text"
        elif entry["id"] not in taught:
            text, what = None, "no teacher"
        else:
            text = cased(entry["text"], taught[entry["id"]], args.most)
            what = "teacher's case" if text else "teacher differs"
        counts[what] += 1
        if text:
            entries.append({**entry, "text": text})
    with args.output.open("w", encoding="utf-8") as file:
        for entry in entries:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    hours = sum(entry["duration"] for entry in entries) / 3600
    print(f"{args.output}: {len(entries)} utterances, {hours:.2f} h; {dict(counts)}")


def cased(reference: str, teacher: str, most: float) -> str | None:
    """The words of `reference`, written as `teacher` writes those that they have in common.

    None where more than `most` of the words of either differ.
    """
    words = _NORMALIZE(reference).split()
    # a written word may be several spoken ones ("Mr.", "1840"): it is taken or left as a whole
    written = [(form, _NORMALIZE(form).split()) for form in teacher.split()]
    written = [(form, spoken) for form, spoken in written if spoken]
    spoken = [word for _, some in written for word in some]
    owner = [place for place, (_, some) in enumerate(written) for _ in some]
    same: dict[int, int] = {}  # place in `spoken` to place in `words`
    alike: dict[int, int] = {}  # the same for words that differ, one for one
    matcher = difflib.SequenceMatcher(None, spoken, words, False)
    for kind, a, a_end, b, b_end in matcher.get_opcodes():
        if kind == "equal":
            same |= {a + n: b + n for n in range(a_end - a)}
        elif a_end - a == b_end - b:
            alike |= {a + n: b + n for n in range(a_end - a)}
    if not words or len(same) < (1 - most) * max(len(words), len(spoken)):
        return None
    result: list[str | None] = list(words)
    for place, (form, some) in enumerate(written):
        first = owner.index(place)
        if len(some) == 1 and first in alike:
            result[alike[first]] = like(form, words[alike[first]])
            continue
        places = [same.get(first + n) for n in range(len(some))]
        if None in places or places != list(range(places[0], places[0] + len(some))):
            continue
        result[places[0]] = form
        for gone in places[1:]:
            result[gone] = None
    text = [word for word in result if word is not None]
    if not text:
        return None
    text[0] = text[0][:1].upper() + text[0][1:]
    ending = _ENDINGS.search(teacher)
    if ending and not _ENDINGS.search(text[-1]).group() and ending.group():
        text[-1] += ending.group().strip()
    return " ".join(text)


def like(form: str, word: str) -> str:
    """`word` with the first letter's case and the punctuation around `form`."""
    inner = form.strip("\"'.,;:!?()-")
    if not inner:
        return word
    before, _, after = form.partition(inner)
    return before + (word[:1].upper() + word[1:] if inner[0].isupper() else word) + after


if __name__ == "__main__":
    main()
