"""Makes samples/: short dev recordings in the formats that people bring.

    python tools/make_samples.py ../shared/corpora/dev samples

The utterances are named here, with the credits that their licences ask for; all of them are dev
recordings, which no model is trained on. samples/README.md and samples/manifest.jsonl are written
from the same table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

LIBRISPEECH = "LibriSpeech (Panayotov et al. 2015), CC BY 4.0"
COMMON_VOICE = "Mozilla Common Voice (Ardila et al. 2020), CC0"


@dataclass(frozen=True)
class Sample:
    """One file of samples/: where it comes from, and what it is written as."""

    name: str
    corpus: str
    utterance: str
    form: str
    credit: str


SAMPLES = (
    Sample("quilter.wav", "librispeech", "1272-128104-0000", "wav, 16 bit, 16 kHz", LIBRISPEECH),
    Sample("verloc.flac", "librispeech", "777-126732-0052", "flac, 16 bit, 16 kHz", LIBRISPEECH),
    Sample("boarding-house.opus", "librispeech-other", "2506-11278-0007", "Ogg Opus", LIBRISPEECH),
    Sample(
        "unscrewing.m4a", "commonvoice-v1", "cv-dev-003125", "AAC in m4a, 44.1 kHz", COMMON_VOICE
    ),
    Sample(
        "tax.mp3",
        "commonvoice-2023",
        "common_voice_en_40236759",
        "mp3, 24 kHz, stereo",
        COMMON_VOICE,
    ),
    Sample(
        "queen-telephone.wav",
        "librispeech",
        "5338-284437-0012",
        "wav, mu-law, 8 kHz: the telephone band",
        LIBRISPEECH,
    ),
)

README = """# Samples

Short recordings to try the program on, made by `tools/make_samples.py` from the dev sets of public
corpora. No model of this package has been trained on them. What they say is in `manifest.jsonl`,
as the corpus writes it.

| file | form | utterance | credit |
|---|---|---|---|
{rows}
The LibriSpeech recordings (librispeech.org, from LibriVox readings) are under the Creative Commons
Attribution 4.0 licence (creativecommons.org/licenses/by/4.0); they were cut by the corpus and
re-encoded here. The Common Voice recordings (commonvoice.mozilla.org) are dedicated to the public
domain (creativecommons.org/publicdomain/zero/1.0).
"""


def main(dev: Path, folder: Path) -> None:
    """Writes all samples, their manifest and their README into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, lines = [], []
    for sample in SAMPLES:
        entry = find(dev / sample.corpus, sample.utterance)
        source = dev / sample.corpus / entry["audio_filepath"]
        write(sample, source, folder / sample.name)
        rows.append(f"| {sample.name} | {sample.form} | {sample.utterance} | {sample.credit} |\n")
        kept = {"id": sample.utterance, "audio_filepath": sample.name}
        kept |= {key: entry[key] for key in ("duration", "text", "speaker") if key in entry}
        lines.append(json.dumps(kept, ensure_ascii=False) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "README.md").write_text(README.format(rows="".join(rows)), encoding="utf-8")


def find(corpus: Path, utterance: str) -> dict:
    """The manifest line of `utterance`."""
    for line in (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["id"] == utterance:
            return entry
    raise SystemExit(f"{corpus}: no utterance {utterance}")


def write(sample: Sample, source: Path, target: Path) -> None:
    """Writes `source` in the form of `sample`; an Opus file is copied as it is."""
    if target.suffix == ".opus":
        target.write_bytes(source.read_bytes())
        return
    samples, rate = soundfile.read(source, dtype="float32")
    if sample.name == "queen-telephone.wav":
        soundfile.write(target, soxr.resample(samples, rate, 8000), 8000, subtype="ULAW")
    elif target.suffix == ".m4a":
        write_m4a(target, soxr.resample(samples, rate, 44100), 44100)
    elif target.suffix == ".mp3":
        resampled = soxr.resample(samples, rate, 24000)
        soundfile.write(target, np.stack([resampled, resampled], axis=1), 24000)
    else:
        soundfile.write(target, samples, rate, subtype="PCM_16")


def write_m4a(target: Path, samples: np.ndarray, rate: int) -> None:
    """Writes mono samples (N,) as AAC in an MP4 container."""
    with av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono", bit_rate=64000)
        for frame in frames(samples, rate):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def frames(samples: np.ndarray, rate: int, size: int = 1024) -> Iterator[av.AudioFrame]:
    """Cuts samples (N,) into the frames of `size` samples that the AAC encoder takes."""
    for start in range(0, len(samples), size):
        block = np.ascontiguousarray(samples[None, start : start + size], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate = rate
        frame.pts = start
        yield frame


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
