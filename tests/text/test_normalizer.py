from __future__ import annotations

import json
import pickle
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr.config import parse
from asr.errors import ConfigError
from asr.text import NormalizerConfig, TextNormalizer

normalize = TextNormalizer()

#: Pieces that the rules fight over, so that random texts meet them next to each other.
PIECES = "|".join(
    (
        "Mr.|Mrs|Dr.|St.| st. | St |Main |The |Gen. |No. |etc.|U.S.|p.m.|don't|AΣ",
        "million|k|st|th|s|'s",
        "#|$|£|€|%|&|+|°|@|:|.|,|-|–|—|/|'|’|`|(|_|▁|😀|\"|\0| |\t|\u3000|´|¨|…|™",
        "5|12|007|1984|1,234|3.14|.5|5:30|30|80s|½|²|٣|Ⅳ|①",
        "ﬁ|ŉ|İ|ẞ|é|Å|e\u0301|\u0301|\u0345|漢|が|か\u3099|नि|\u00ad|\u200d|\ufe0f|\u20e3",
    )
).split("|")
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.text(max_size=12),
    st.text(st.sampled_from("0123456789.,:/$%'- stndrhapm"), max_size=12),
)
configs = st.builds(
    NormalizerConfig,
    language=st.sampled_from(["en", "de"]),
    lowercase=st.booleans(),
    unicode=st.booleans(),
    diacritics=st.sampled_from(["keep", "fold"]),
    numbers=st.booleans(),
    symbols=st.booleans(),
    abbreviations=st.booleans(),
    punctuation=st.booleans(),
    apostrophes=st.sampled_from(["keep", "remove"]),
)


@settings(max_examples=500)
@given(texts)
@example("3st́St.")
@example("‘Tis ‑ ŉ Mr.́ 5️⃣")
def test_twice_is_once(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once


@settings(max_examples=500)
@given(texts, configs)
def test_twice_is_once_whatever_the_rules(text: str, config: NormalizerConfig) -> None:
    normalizer = TextNormalizer(config)
    once = normalizer(text)
    assert normalizer(once) == once


@given(texts)
def test_only_letters_apostrophes_and_single_spaces_remain(text: str) -> None:
    found = normalize(text)
    assert found == " ".join(found.split())
    assert found == found.lower()
    for character in set(found) - {" ", "'"}:
        assert unicodedata.category(character) in ("Ll", "Lo", "Lm", "Mn", "Mc", "No", "Nl")
    assert not re.search(r"(?<![^\W_])'|'(?![^\W_])", found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HE SAID IT'S MINE", "he said it's mine"),
        ("", ""),
        (" \t\n ", ""),
        ("... !?", ""),
        ("  two   words\n", "two words"),
        ("‘Bravo!’ he said—“well‑done…”", "bravo he said well done"),
        ("don’t don`t don´t donʼt", "don't don't don't don't"),
        ("'tis the boys' rock 'n' roll", "tis the boys rock n roll"),
        ("co-operate, re\u00adread zero\u200bwidth", "co operate reread zerowidth"),
        ("ﬁne ｗｉｄｅ", "fine wide"),
        ("café straße 漢字 नि ελλάς", "café straße 漢字 नि ελλάς"),
        ("cafe\u0301", "café"),
        ("U.S. e.g. Ph.D.", "u s e g ph d"),
        ("AT&T, 20°C, a+b=c, me@home", "at and t twenty degrees c a plus b equals c me at home"),
        ("a_b/c", "a b c"),
    ],
)
def test_writing(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. and Mrs. Smith", "mister and missus smith"),
        ("mr smith and dr who", "mister smith and doctor who"),
        ("MR.SMITH", "mister smith"),
        ("Mme. d'Albany", "madame d'albany"),
        ("Dr's orders", "doctor's orders"),
        ("Prof. Lee vs. Capt. Orr, Jr., etc.", "professor lee versus captain orr junior et cetera"),
        ("St. Paul is on Main St. in town", "saint paul is on main street in town"),
        ("Gen. Lee, but no gen. here", "general lee but no gen here"),
        ("mrsa drama esther", "mrsa drama esther"),
    ],
)
def test_abbreviations(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in Minneapolis, St. Paul", "in minneapolis saint paul"),
        ("Mount St. Helens", "mount saint helens"),
        ("Lord St. John's St.-René", "lord saint john's saint rené"),
        ("St Paul's, about St Petersburg", "saint paul's about saint petersburg"),
        ("ST PAUL AND ST. PAUL", "saint paul and saint paul"),
        ("near st. louis", "near saint louis"),
        ("the church of St.", "the church of saint"),
        ("He lives on Main St. He went", "he lives on main street he went"),
        ("Main St., Paul said", "main street paul said"),
        ("Main St. bridge, 10 Baker St.", "main street bridge ten baker street"),
        ("Wall St was; from Wall St", "wall street was from wall street"),
        ("at Main St, Boston", "at main street boston"),
        ("on 5th St. Bridge", "on fifth street bridge"),
        ("on main st. in town, the st.", "on main street in town the street"),
        ("1st. of May, the 'st' of first", "first of may the st of first"),
        ("the st of it, thou NEED'ST MUST", "the st of it thou need'st must"),
        ("3rd. Ave. and 4th Rd.", "third avenue and fourth road"),
    ],
)
def test_saints_and_streets(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Bell of Mulholland Dr. is", "doctor bell of mulholland drive is"),
        ("see Lakeshore Dr., Chicago", "see lakeshore drive chicago"),
        (
            "See Dr. Bell. The Dr. said: Yes Joe Dr.",
            "see doctor bell the doctor said yes joe doctor",
        ),
        ("THE GOOD DR. WAS", "the good doctor was"),
        ("Ft. Worth is six ft. Then", "fort worth is six ft then"),
        ("Rev. Mr. Bell, Lt. Gen. Lee", "reverend mister bell lieutenant general lee"),
        ("the House Rep. He and the next gen. Then", "the house rep he and the next gen then"),
        ("MT. EVEREST", "mount everest"),
    ],
)
def test_titles_need_a_name(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        ({"lowercase": False}, "Mr. X's", "mister X's"),
        ({"punctuation": False}, "Well—yes, “no”!", 'well-yes, "no"!'),
        ({"numbers": False}, "21st, $5", "21st 5"),
        ({"symbols": False}, "a & b", "a b"),
        ({"abbreviations": False}, "Mr. X", "mr x"),
        ({"unicode": False, "punctuation": False}, "“ﬁ”", "“ﬁ”"),
        ({"diacritics": "fold"}, "Café Straße Ærø Łódź İ ñ", "cafe strasse aero lodz i n"),
        ({"diacritics": "fold"}, "й が नि ά", "й が नि ά"),
        ({"apostrophes": "remove"}, "don't 'quote'", "dont quote"),
        ({"language": "de"}, "Mr. 21, 1.000 & 1,5!", "mr einundzwanzig eintausend eins komma fünf"),
        ({"language": "de", "diacritics": "fold"}, "5", "funf"),
        ({"language": "fr"}, "3 000 000", "trois millions"),
    ],
)
def test_each_rule_is_optional(values: dict[str, Any], text: str, expected: str) -> None:
    assert TextNormalizer(NormalizerConfig(**values))(text) == expected


def test_unknown_language_is_named() -> None:
    with pytest.raises(ConfigError, match="language 'xx' has no number words"):
        parse(NormalizerConfig, {"language": "xx"}, "recipe.yaml")
    NormalizerConfig(language="xx", numbers=False)


def test_normal_text_is_returned_as_it_is() -> None:
    text = "it's all been said before"
    assert normalize(text) is text


def test_normalizer_can_be_sent_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(normalize))("Mr. 5") == "mister five"


@pytest.mark.parametrize("part", ["Main Dr. and ", "ON MAIN DR. AND ", "St. ", "'St ", "Gen. Mt. "])
def test_each_abbreviation_looks_only_near_itself(part: str) -> None:
    # With the square of the length this would take minutes.
    assert normalize(part * 40_000)


def test_training_corpora_hold_only_letters_and_apostrophes(corpora: Path) -> None:
    left = {
        character: (path.parent.name, text)
        for path in sorted(corpora.glob("train/*/manifest.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
        for text in [json.loads(line)["text"]]
        for character in set(normalize(text)) - set("abcdefghijklmnopqrstuvwxyz' ")
    }
    assert left == {}


@pytest.mark.parametrize("language", ["tr", "az"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IŞIK yandı", "ışık yandı"),
        ("İstanbul", "istanbul"),
        ("I\u0307zmir", "izmir"),
        ("Izmir", "ızmir"),
        ("DIŞARI", "dışarı"),
        ("ALTI", "altı"),
    ],
)
def test_turkish_has_two_letters_i(language: str, text: str, expected: str) -> None:
    normalized = TextNormalizer(NormalizerConfig(language=language, numbers=False))(text)
    assert normalized == expected
    assert TextNormalizer()("ALTI") == "alti"
