from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from asr.text import NormalizerConfig, TextNormalizer

normalize = TextNormalizer()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 7 42 105 1066", "zero seven forty two one hundred and five one thousand and sixty six"),
        ("1,234", "one thousand two hundred and thirty four"),
        (
            "12,345,678",
            "twelve million three hundred and forty five thousand six hundred and seventy eight",
        ),
        ("1,23", "one twenty three"),
        ("5 million", "five million"),
        # decimals
        ("3.14 0.5 .5", "three point one four zero point five point five"),
        ("1,234.5", "one thousand two hundred and thirty four point five"),
        ("1.2.3", "one point two point three"),
        ("It is 5. Then 6.", "it is five then six"),
        ("Vol.5", "vol five"),
        # signs and gaps
        ("-5 and a-5", "minus five and a five"),
        ("1914–1918", "nineteen fourteen to nineteen eighteen"),
        ("555-2345", "five hundred and fifty five two thousand three hundred and forty five"),
        # years
        (
            "1984 1900 1905 1100",
            "nineteen eighty four nineteen hundred nineteen oh five eleven hundred",
        ),
        ("2000 2005 2010 2099", "two thousand two thousand five twenty ten twenty ninety nine"),
        ("1099 2100", "one thousand and ninety nine two thousand one hundred"),
        (
            "1980s, 1900s, '80s and 90's",
            "nineteen eighties nineteen hundreds eighties and nineties",
        ),
        # ordinals
        ("1st 2nd 3rd 21st 100th", "first second third twenty first one hundredth"),
        ("1,000th", "one thousandth"),
        ("He came 1st. She came 3rd.", "he came first she came third"),
        # money
        (
            "$5 $1 £1 €100 ¥500",
            "five dollars one dollar one pound one hundred euros five hundred yen",
        ),
        ("$5.50 £2.01 $0.05", "five dollars and fifty cents two pounds and one penny five cents"),
        ("$.50 $0.00", "fifty cents zero dollars"),
        ("$1,234.50", "one thousand two hundred and thirty four dollars and fifty cents"),
        (
            "$3.5 million, $3M, £2bn",
            "three point five million dollars three million dollars two billion pounds",
        ),
        ("5€ and 5 €", "five euros and five euros"),
        ("$5 more", "five dollars more"),
        # percent
        ("50% 2.5 %", "fifty percent two point five percent"),
        # times
        ("5:30 5:05 12:00", "five thirty five oh five twelve o'clock"),
        ("5:30 pm, 5:30 p.m., 5PM", "five thirty p m five thirty p m five p m"),
        ("5:00 am", "five a m"),
        ("17:00 00:30", "seventeen hundred zero thirty"),
        ("10:15:20", "ten fifteen twenty"),
        ("3:2", "three two"),
        # fractions
        ("½ cup, 5½ cups, 1 1/2", "one half cup five and one half cups one and one half"),
        ("3/4 2/3 9/10", "three quarters two thirds nine tenths"),
        ("24/7 3/4/2020", "twenty four seven three four twenty twenty"),
        # names of things
        ("#1, No. 5, no. No.", "number one number five no no"),
        ("mp3 B2B 4x4", "mp three b two b four x four"),
        ("007", "zero zero seven"),
        (
            "1234567890123456",
            "one two three four five six seven eight nine zero one two three four five six",
        ),
        ("٣ ３", "three three"),
    ],
)
def test_english(text: str, expected: str) -> None:
    assert normalize(text) == expected


@given(st.integers(0, 10**15 - 1).filter(lambda n: not 1100 <= n <= 2099))
def test_cardinals_are_those_of_num2words(number: int) -> None:
    expected = " ".join(num2words(number).replace(",", " ").replace("-", " ").split())
    assert normalize(str(number)) == expected
    assert normalize(f"{number:,}") == expected


@given(st.integers(1100, 2099))
def test_years_have_two_halves(year: int) -> None:
    words = normalize(f"in {year}").split()[1:]
    halves = {normalize(str(year // 100)), normalize(str(year % 100))}
    if year % 1000 < 10:  # 2005
        assert words[1:2] == ["thousand"]
    elif year % 100 == 0:
        assert words[-1] == "hundred"
    elif year % 100 < 10:
        assert words[-2] == "oh"
    else:
        assert " ".join(words) in {f"{a} {b}" for a in halves for b in halves}


@given(st.integers(1, 10**6))
def test_ordinals_are_those_of_num2words(number: int) -> None:
    ending = (
        "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    expected = num2words(number, to="ordinal").replace(",", " ").replace("-", " ")
    assert normalize(f"{number}{ending}") == " ".join(expected.split())


@given(st.integers(0, 999), st.integers(0, 99))
def test_money_adds_up(dollars: int, cents: int) -> None:
    words = normalize(f"${dollars}.{cents:02}")
    assert ("dollar" in words) == (dollars > 0 or cents == 0)
    assert ("cent" in words) == (cents > 0)
    if dollars and cents:
        first, second = words.split(" and " + normalize(str(cents)) + " cent")
        assert first == f"{normalize(str(dollars))} dollar{'s' if dollars > 1 else ''}"
        assert second == ("s" if cents > 1 else "")


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("de", "21 und 1.000.000", "einundzwanzig und eine million"),
        ("de", "1,5", "eins komma fünf"),
        ("fr", "21 1,5", "vingt et un un virgule cinq"),
        ("es", "12.05.2020", "doce cinco dos mil veinte"),
    ],
)
def test_other_languages(language: str, text: str, expected: str) -> None:
    assert TextNormalizer(NormalizerConfig(language=language))(text) == expected


@pytest.mark.parametrize("language", ["de", "es", "fr"])
def test_other_languages_spell_codes_digit_by_digit(language: str) -> None:
    normalize = TextNormalizer(NormalizerConfig(language=language))
    assert normalize("1" * 400).split() == [normalize("1")] * 400  # past what num2words has


@pytest.mark.parametrize("part", ["1", "1,", "000,", "1.", "$1", "1 %", "1st", "1/"])
def test_each_number_is_read_over_once(part: str) -> None:
    # With the square of the length this would take an hour.
    assert TextNormalizer()(part * 50_000)
