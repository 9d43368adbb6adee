from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.manifest import read_manifest, scan_manifest
from asr.data.utterance import utterance_of
from asr.errors import ManifestError
from tests.data.sound import corpus, lines, tone, write

GOOD = {"audio_filepath": "a.wav", "duration": 1.5, "text": "hello", "speaker": "ann"}


def only(cuts):
    (cut,) = cuts
    return cut


def test_json_lines_become_cuts_with_paths_relative_to_the_manifest(tmp_path):
    line = {**GOOD, "audio_filepath": "sound/a b.wav", "language": "en", "accent": "us", "n": [1]}
    cut = only(read_manifest(lines(tmp_path / "m.jsonl", [line])))
    assert cut.id == "sound/a b"
    assert cut.recording.sources[0].source == str(tmp_path / "sound" / "a b.wav")
    assert (cut.start, cut.duration) == (0, 1.5)
    part = only(cut.supervisions)
    assert (part.text, part.speaker, part.language) == ("hello", "ann", "en")
    assert cut.custom == {"accent": "us", "n": [1]}


def test_an_absolute_path_stays_and_a_folder_stands_for_its_manifest(tmp_path):
    lines(tmp_path / "manifest.jsonl", [{**GOOD, "audio_filepath": "/x/a.wav"}])
    assert only(read_manifest(tmp_path)).recording.sources[0].source == "/x/a.wav"


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\n \n"])
def test_byte_order_mark_and_blank_lines(tmp_path, start):
    path = tmp_path / "m.jsonl"
    path.write_bytes(start + json.dumps(GOOD).encode())
    assert only(read_manifest(path)).supervisions[0].text == "hello"


def test_gzipped_json_lines(tmp_path):
    path = tmp_path / "m.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.write(json.dumps(GOOD) + "\n")
    assert only(read_manifest(path)).duration == 1.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"duration": "2"}, "field 'duration' must be a number of seconds, it is '2'"),
        ({"duration": True}, "field 'duration'"),
        ({"duration": 0}, "field 'duration' must be above 0"),
        ({"duration": -1.0}, "field 'duration'"),
        ({"duration": float("nan")}, "field 'duration'"),
        ({"text": 7}, "field 'text' must be text, it is 7"),
        ({"text": ...}, "field 'text' is missing"),
        ({"text": ..., "sentence": "a"}, "'text' is missing; rename 'sentence' to 'text'"),
        ({"audio_filepath": ..., "path": "a"}, "is missing; rename 'path' to 'audio_filepath'"),
        ({"audio_filepath": ...}, "field 'audio_filepath' is missing"),
        ({"audio_filepath": ""}, "field 'audio_filepath' is empty"),
        ({"audio_filepath": "a\0b.wav"}, "field 'audio_filepath' holds a zero byte"),
        (
            {"audio_filepath": "a\0b.wav", "duration": None},
            "field 'audio_filepath' holds a zero byte",
        ),
        ({"speaker": ["a"]}, "field 'speaker' must be text"),
        ({"offset": -1}, "field 'offset'"),
    ],
)
def test_a_wrong_field_is_named_with_file_and_line(tmp_path, change, said):
    line = {key: value for key, value in {**GOOD, **change}.items() if value is not ...}
    path = lines(tmp_path / "m.jsonl", [{**GOOD, "id": "first"}, line])
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert f"{path}, line 2: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"audio_filepath": "a.wav", ', "line 1: not JSON"),
        (b"hello\n", "line 1: not JSON"),
        (b"[1]\n", "line 1: not a JSON object"),
        (b"\xff\xfe\n", "line 1: not UTF-8"),
        (b"", "empty"),
        (b"\n\n", "empty"),
    ],
)
def test_what_is_no_json_lines(tmp_path, text, said):
    path = tmp_path / "m.jsonl"
    path.write_bytes(text)
    with pytest.raises(ManifestError, match=said):
        read_manifest(path)


def test_every_bad_line_is_found_and_the_first_is_raised(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(f'nonsense\n{json.dumps(GOOD)}\n{{"text": 1}}\n')
    cuts, problems = scan_manifest(path)
    assert len(cuts) == 1
    assert ["line 1" in str(problems[0]), "line 3" in str(problems[1])] == [True, True]
    with pytest.raises(ManifestError, match=r"line 1: not JSON.*1 more"):
        read_manifest(path)


def test_duplicate_ids_name_both_lines(tmp_path):
    path = lines(tmp_path / "m.jsonl", [{**GOOD, "id": name} for name in "xyx"])
    with pytest.raises(ManifestError, match=r"line 3: id 'x' is also at .*line 1"):
        read_manifest(path)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["audio_filepath", "duration", "text", "speaker", "offset", "id", "x"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none()),
    )
)
def test_any_line_is_an_entry_or_a_manifest_error(values):
    try:
        entry = utterance_of(values, Path("/c"), "m, line 1")
    except ManifestError as error:
        assert str(error).startswith("m, line 1: ")  # noqa: PT017 - some lines are good
    else:
        assert entry.duration > 0
        assert isinstance(entry.text, str)
        assert entry.cut().duration == entry.duration


def test_offsets_are_parts_of_a_file_whose_length_is_read(tmp_path):
    write(tmp_path / "a.wav", 3.0)
    parts = [{**GOOD, "offset": 0}, {**GOOD, "offset": 1.5}]
    cuts = list(read_manifest(lines(tmp_path / "m.jsonl", parts)))
    assert [(cut.id, cut.start, cut.duration) for cut in cuts] == [
        ("a-0", 0, 1.5),
        ("a-1500", 1.5, 1.5),
    ]
    assert cuts[0].recording.duration == 3.0


@pytest.mark.parametrize(("name", "separator"), [("m.csv", ","), ("m.tsv", "\t"), ("m.txt", ";")])
def test_tables(tmp_path, name, separator):
    header = ["audio_filepath", "duration", "text", "speaker", "accent"]
    row = ["a.wav", "1.5", f'"well{separator} ""yes"""', "ann", "us"]
    path = tmp_path / name
    path.write_text("\n".join(separator.join(cells) for cells in (header, row)) + "\n")
    cut = only(read_manifest(path))
    assert (cut.duration, cut.supervisions[0].text) == (1.5, f'well{separator} "yes"')
    assert cut.custom == {"accent": "us"}


@pytest.mark.parametrize("table", [False, True])
def test_a_missing_duration_is_that_of_the_file(tmp_path, table):
    soundfile.write(tmp_path / "a.wav", np.zeros(12000), 8000)
    if table:
        path = tmp_path / "m.tsv"
        path.write_text("audio_filepath\ttext\toffset\tduration\na.wav\thi\t\t\na.wav\tho\t1\t\n")
    else:
        whole = {"audio_filepath": "a.wav", "text": "hi"}
        path = lines(tmp_path / "m.jsonl", [{**whole, "duration": None}, {**whole, "offset": 1}])
    assert [(cut.start, cut.duration) for cut in read_manifest(path)] == [(0, 1.5), (1, 0.5)]


def test_an_offset_past_the_end_and_a_file_that_is_not_there(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    path = lines(tmp_path / "m.jsonl", [{"audio_filepath": "a.wav", "text": "", "offset": 2}])
    with pytest.raises(ManifestError, match="line 1: field 'offset' is 2, and the file ends"):
        read_manifest(path)
    path = lines(tmp_path / "m.jsonl", [{"audio_filepath": "gone.wav", "text": "hi"}])
    assert only(read_manifest(path)).duration == 0.001  # whoever opens it says what is wrong


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("audio_filepath,duration,text\na.wav,long,hi\n", "line 2: field 'duration'"),
        ("audio_filepath,duration,text\na.wav,1,hi\nb.wav,1\n", "line 3: 2 columns"),
        ("audio_filepath,duration\na.wav,1\n", "line 2: field 'text' is missing"),
        ('audio_filepath,text\na.wav,hi\nb.wav,"oh\nc.wav,no\n', "line 3: a double quote is not"),
        (  # as in Common Voice; the rows between the quotes were one text
            'audio_filepath\ttext\na.wav\thi\nb.wav\t"oh no\nc.wav\tno\nd.wav\t"Nobody came\n',
            "line 3: a double quote is not closed",
        ),
        ('audio_filepath,"te"xt\na.wav,hi\n', "line 1: a double quote is not closed"),
        (
            f'audio_filepath,text\na.wav,"{"hi " * 50_000}',
            "m.csv: cannot be read as a table: field",
        ),
        ("path,sentence\na.wav,hi\n", "'audio_filepath' is not among the columns"),
    ],
)
def test_wrong_tables(tmp_path, rows, said):
    path = tmp_path / "m.csv"
    path.write_text(rows)
    with pytest.raises(ManifestError, match=said):
        read_manifest(path)


def test_a_text_of_a_table_may_have_quotes_and_several_lines(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text('audio_filepath,duration,text\na,1,so "he" said\nb,1,"""oh"" he\nsaid"\n')
    assert [cut.supervisions[0].text for cut in read_manifest(path)] == [
        'so "he" said',
        '"oh" he\nsaid',
    ]


def kaldi(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("wav_scp", "wav.scp")).write_text(text)
    return folder


def test_kaldi_folder(tmp_path):
    write(tmp_path / "a.wav", 2.0)
    folder = kaldi(tmp_path, wav_scp="r1 a.wav\n", text="r1 HELLO THERE\n", utt2spk="r1 ann\n")
    cut = only(read_manifest(folder))
    assert (cut.id, cut.duration) == ("r1", 2.0)
    assert (cut.supervisions[0].text, cut.supervisions[0].speaker) == ("HELLO THERE", "ann")


def test_kaldi_segments_and_unpacking_commands(tmp_path):
    flac = write(tmp_path / "a.flac", 3.0)
    folder = kaldi(
        tmp_path / "data",
        wav_scp=f"r1 flac -c -d -s {flac} |\n",
        segments="u1 r1 0.5 1.25\nu2 r1 1.25 -1\n",
        text="u1 ONE\nu2 TWO\n",
    )
    cuts = list(read_manifest(folder))
    assert [(c.id, c.start, round(c.end, 3)) for c in cuts] == [("u1", 0.5, 1.25), ("u2", 1.25, 3)]
    assert cuts[0].recording.sources[0].source == str(flac)


def test_kaldi_commands_are_never_run(tmp_path):
    mark = tmp_path / "was-run"
    folder = kaldi(tmp_path / "data", wav_scp=f"r1 touch {mark} |\n", text="r1 X\n")
    with pytest.raises(ManifestError, match=r"wav.scp, line 1: a shell command"):
        read_manifest(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"text": "r2 X\n"}, "'r1' has no line in"),
        ({}, "text: cannot be read"),
        ({"text": "r1 X\n", "segments": "u r9 0 1\n"}, "recording 'r9' is not in wav.scp"),
        ({"text": "u X\n", "segments": "u r1 1 0.5\n"}, "segments, line 1: the segment ends"),
        ({"text": "u X\n", "segments": "u r1 x\n"}, "segments, line 1: not 'UTTERANCE"),
        ({"text": "r1 X\nr1 Y\n"}, "text, line 2: 'r1' is also on line 1"),
    ],
)
def test_wrong_kaldi_folders(tmp_path, files, said):
    write(tmp_path / "a.wav", 1.0)
    with pytest.raises(ManifestError, match=said):
        read_manifest(kaldi(tmp_path, wav_scp="r1 a.wav\n", **files))


def test_folder_of_audio_and_texts(tmp_path):
    write(tmp_path / "x" / "a.wav", 1.0)
    (tmp_path / "x" / "a.txt").write_text("hello\nthere\n")
    write(tmp_path / "84" / "84-1-0000.flac", 0.5)
    (tmp_path / "84" / "84-1.trans.txt").write_text("84-1-0000 GOOD DAY\n")
    (tmp_path / "README.txt").write_text("about\n")
    cuts = list(read_manifest(tmp_path))
    assert [(c.id, c.duration, c.supervisions[0].text) for c in cuts] == [
        ("84/84-1-0000", 0.5, "GOOD DAY"),
        ("x/a", 1.0, "hello there"),
    ]


def test_audio_without_text_is_an_error_except_for_noise(tmp_path):
    write(tmp_path / "a.wav", 1.0)
    with pytest.raises(ManifestError, match=r"a\.wav: has no text; write it to a\.txt"):
        read_manifest(tmp_path)
    assert only(read_manifest(tmp_path, texts=False)).duration == 1.0


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
def test_lhotse_cuts(tmp_path, name):
    cuts = read_manifest(corpus(tmp_path / "c", [1.0, 2.0]))
    cuts.to_file(tmp_path / name)
    again = list(read_manifest(tmp_path / name))
    assert [cut.to_dict() for cut in again] == [cut.to_dict() for cut in cuts]


def test_a_damaged_lhotse_cut_names_its_line(tmp_path):
    cuts = read_manifest(corpus(tmp_path / "c", [1.0]))
    cuts.to_file(tmp_path / "cuts.jsonl")
    with (tmp_path / "cuts.jsonl").open("a") as file:
        file.write('{"type": "MonoCut", "id": "x"}\n')
    with pytest.raises(ManifestError, match=r"cuts.jsonl, line 2: not a Lhotse cut"):
        read_manifest(tmp_path / "cuts.jsonl")


def test_shar_folder_is_read_lazily(tmp_path):
    from asr.data.samples import cut_samples

    samples = (tone(1.0) * 32767).astype(np.int16)
    write(tmp_path / "c" / "audio" / "u0.wav", 1.0)
    soundfile.write(tmp_path / "c" / "audio" / "u0.wav", samples, 16000)
    line = {**GOOD, "audio_filepath": "audio/u0.wav", "duration": 1.0}
    cuts = read_manifest(lines(tmp_path / "c" / "m.jsonl", [line]))
    (tmp_path / "shar").mkdir()
    cuts.to_shar(tmp_path / "shar", fields={"recording": "wav"}, shard_size=10)
    assert any(tarfile.is_tarfile(path) for path in (tmp_path / "shar").glob("*.tar"))
    shar = read_manifest(tmp_path / "shar")
    assert shar.is_lazy
    cut = only(shar)
    assert cut.supervisions[0].text == "hello"
    np.testing.assert_array_equal(np.rint(cut_samples(cut, 16000) * 32768), samples)


@pytest.mark.parametrize("make", ["missing", "empty folder", "binary"])
def test_what_is_no_corpus(tmp_path, make):
    path = tmp_path / "it"
    if make == "empty folder":
        path.mkdir()
    elif make == "binary":
        path.write_bytes(bytes(range(128)))
    with pytest.raises(ManifestError, match=str(path)):
        read_manifest(path)


def test_a_real_corpus_and_its_durations(corpora):
    from asr.data.durations import all_seconds

    cuts = list(read_manifest(corpora / "dev" / "an4"))
    seconds = all_seconds(cut.recording.sources[0].source for cut in cuts)
    assert len(cuts) == 130
    for cut in cuts:
        assert seconds[cut.recording.sources[0].source] == pytest.approx(cut.duration, abs=0.01)
