"""Reads a corpus in any form that corpora come in, as Lhotse cuts.

What form it is, is seen from the files themselves; nobody has to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from asr.data.audio_folder import folder_utterances
from asr.data.columns import AS_THEY_ARE, Columns
from asr.data.durations import all_seconds, audio_below
from asr.data.kaldi import kaldi_utterances
from asr.data.lines import delimiter_of, json_utterances, table_utterances, text_lines
from asr.data.utterance import USUAL_NAMES, Utterance, other_name
from asr.dependencies import need
from asr.errors import AudioError, ManifestError

if TYPE_CHECKING:
    from lhotse import CutSet

_Entries = Callable[[Path, bool], Iterator[Utterance | ManifestError]]

#: A file of Lhotse cuts above this size (compressed) is read anew each epoch, not kept in memory.
LAZY_BYTES = 256 * 1024 * 1024

_FORMS = (
    "a JSON object a line with audio_filepath and text (and duration, which is looked up where it "
    "is missing); a table (CSV, TSV) with these "
    "columns; a Kaldi data folder (wav.scp); Lhotse cuts (.jsonl or .jsonl.gz); a Lhotse Shar "
    "folder; a folder with manifest.jsonl in it, or with audio files and a .txt beside each"
)


def read_manifest(path: str | Path, texts: bool = True, columns: Columns = AS_THEY_ARE) -> CutSet:
    """The cuts of a corpus, in its own order.

    Args:
        path: JSON lines (`audio_filepath`, `text`, and where known `duration`, `speaker`, `id`,
            `offset`, `language`; other fields are kept in the cut's `custom`), a CSV or TSV
            table with these columns, a Kaldi data folder, Lhotse cuts, a Lhotse Shar folder, or
            a folder of audio with texts. Paths are relative to the manifest.
        texts: False for noise: texts may be missing.
        columns: which columns of a table (keys of JSON lines) have our fields, where they are
            called otherwise; see `Columns`.

    Returns:
        cuts with one supervision each. Durations are those that the manifest gives, or else those
        of the files; recordings
        of files whose header was not read carry a nominal 16 kHz. Shar folders and very large
        cut sets are read lazily.

    Raises:
        ManifestError: it cannot be read, an entry is wrong (file, line, field), an id is there
            twice, or there is nothing in it.
    """
    cuts, problems = scan_manifest(path, texts, columns)
    if problems:
        more = f" (and {len(problems) - 1} more; `asr validate` lists them)"
        raise ManifestError(str(problems[0]) + (more if len(problems) > 1 else ""))
    return cuts


def scan_manifest(
    path: str | Path, texts: bool = True, columns: Columns = AS_THEY_ARE
) -> tuple[CutSet, list[ManifestError]]:
    """The cuts of a corpus as in `read_manifest`, and everything that is wrong with the rest.

    Raises:
        ManifestError: nothing can be read at all.
        DependencyError: Lhotse is not installed.
    """
    need("lhotse", "train")
    from lhotse import CutSet

    place = Path(path)
    if not place.exists():
        raise ManifestError(f"{place}: no such file or folder; correct the path")
    entries = _form_of(place, columns)
    if entries is None:
        return _lhotse_cuts(place)
    results = list(entries(place, texts))
    problems = [result for result in results if isinstance(result, ManifestError)]
    utterances = [result for result in results if isinstance(result, Utterance)]
    if not results:
        raise ManifestError(f"{place}: no utterance in it")
    problems += same_ids((utterance.id, utterance.where) for utterance in utterances)
    return CutSet.from_cuts(utterance.cut() for utterance in _with_totals(utterances)), problems


def _form_of(place: Path, columns: Columns) -> _Entries | None:
    """The reader of a corpus by what it looks like; None for what Lhotse reads."""
    if place.is_dir():
        if columns:
            raise ManifestError(f"{place}: a folder, which has no columns; leave the columns out")
        return _folder_form(place)
    with place.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    first = next((line for _, line in text_lines(place)), None)
    if first is None:
        raise ManifestError(f"{place}: empty; what can be read is {_FORMS}")
    if isinstance(first, ManifestError):
        raise first
    endings = [ending.lower() for ending in place.suffixes]
    if first.lstrip().startswith("{") or ".jsonl" in endings or ".json" in endings:
        if not _is_cut(first):
            return partial(json_utterances, columns=columns)
        if columns:
            raise ManifestError(f"{place}: Lhotse cuts have no columns; leave the columns out")
        return None
    header = [name.strip().strip('"') for name in first.split(delimiter_of(first))]
    if "audio_filepath" in (*header, *columns) and len(header) > 1 and not zipped:
        return partial(table_utterances, columns=columns)
    if zipped or len(header) < 2:
        raise ManifestError(
            f"{place}, line 1: not JSON, nor the header of a table; what can be read is {_FORMS}"
        )
    raise ManifestError(
        f"{place}, line 1: field 'audio_filepath' is not among the columns "
        f"({', '.join(header[:8])}); {_advice(header)}what can be read is {_FORMS}"
    )


def _advice(header: list[str]) -> str:
    """How to name the columns that look like ours, if there are some."""
    likely = {name: other for name in USUAL_NAMES if (other := other_name(header, name))}
    if not likely:
        return ""
    named = ",".join(f"{name}={other}" for name, other in likely.items())
    recipe = ", ".join(f"{name}: {other}" for name, other in likely.items())
    return (
        f"name the columns with --columns {named} (in a recipe, beside manifest: "
        f"columns: {{{recipe}}}), and folders as audio_filepath=clips/{{path}}; "
    )


def _folder_form(place: Path) -> _Entries | None:
    if any(place.glob("cuts.*.jsonl*")):
        return None
    if (place / "wav.scp").is_file():
        return kaldi_utterances
    if (place / "manifest.jsonl").is_file():
        return lambda folder, texts: json_utterances(folder / "manifest.jsonl", texts)
    if audio_below(place):
        return folder_utterances
    raise ManifestError(f"{place}: no corpus in this folder; what can be read is {_FORMS}")


def _is_cut(line: str) -> bool:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and str(values.get("type", "")).endswith("Cut")


def _lhotse_cuts(place: Path) -> tuple[CutSet, list[ManifestError]]:
    from lhotse import CutSet

    try:
        if place.is_dir():
            return CutSet.from_shar(in_dir=place), []
        if place.stat().st_size > LAZY_BYTES:
            return CutSet.from_jsonl_lazy(place), []
        cuts = _decoded_cuts(place)
    except ManifestError:
        raise
    except Exception as error:  # Lhotse raises whatever a broken set leads to
        raise ManifestError(f"{place}: not a Lhotse cut set that can be read: {error!r}") from None
    return cuts, same_ids((cut.id, f"{place}, cut {n}") for n, cut in enumerate(cuts, start=1))


def _decoded_cuts(place: Path) -> CutSet:
    from lhotse import CutSet
    from lhotse.serialization import deserialize_item

    cuts = []
    for number, line in text_lines(place):
        if isinstance(line, ManifestError):
            raise line
        try:
            cuts.append(deserialize_item(json.loads(line)))
        except Exception as error:  # a field that is missing or wrong, in Lhotse's own words
            raise ManifestError(f"{place}, line {number}: not a Lhotse cut: {error!r}") from None
    cut_set = CutSet.from_cuts(cuts)
    first = next((cut.recording for cut in cuts if getattr(cut, "recording", None)), None)
    source = first.sources[0] if first is not None else None
    if source is not None and source.type == "file":
        beside = place.parent / source.source
        if not Path(source.source).exists() and beside.exists():
            cut_set = cut_set.with_recording_path_prefix(place.parent).to_eager()
    return cut_set


def same_ids(named: Iterable[tuple[str, str]]) -> list[ManifestError]:
    """What is wrong with (id, where it stands) pairs: ids that are there twice."""
    first: dict[str, str] = {}
    problems = []
    for name, where in named:
        if name in first:
            problems.append(
                ManifestError(f"{where}: id '{name}' is also at {first[name]}; give each its own")
            )
        else:
            first[name] = where
    return problems


def _with_totals(entries: list[Utterance]) -> list[Utterance]:
    """Entries that are parts of a file with the length of that file, where it can be read."""
    parts = {entry.audio for entry in entries if entry.offset is not None and entry.total is None}
    seconds = all_seconds(sorted(parts))
    return [
        entry
        if isinstance(length := seconds.get(entry.audio), AudioError) or length is None
        else replace(entry, total=length)
        for entry in entries
    ]
