"""What is written is what is spoken, by a table for each language."""

import random
import re

import pytest

from likeness.common.errors import LikenessError
from likeness.voice.text import LANGUAGES, check_language, count_words, normalize

EN = {
    "Plain words, nothing else.": "Plain words, nothing else.",
    "Mr. Smith and Dr. Jones": "Mister Smith and Doctor Jones",
    "Mrs. Hall vs. Ms. Low": "Missus Hall versus Miss Low",
    "Item No. 5 is here.": "Item number five is here.",
    "No. That is wrong.": "No. That is wrong.",
    "St. Louis": "Saint Louis",
    "12 Main St., upstairs": "twelve Main Street, upstairs",
    "bolts, nuts, etc.": "bolts, nuts, et cetera.",
    "socks, e.g. wool": "socks, for example wool",
    "7": "seven",
    "21 pairs": "twenty-one pairs",
    "101 items": "one hundred and one items",
    "1,254 items": "one thousand two hundred and fifty-four items",
    "2,500,000 items": "two million five hundred thousand items",
    "007": "zero zero seven",
    "1st, 2nd, 3rd and 21st": "first, second, third and twenty-first",
    "In 1984 and 2024.": "In nineteen eighty-four and twenty twenty-four.",
    "in 1900, 1905 and 2005": "in nineteen hundred, nineteen oh-five and two thousand and five",
    "the 1990s and the 1910s": "the nineteen nineties and the nineteen tens",
    "3.14": "three point one four",
    "0.05 of it": "zero point zero five of it",
    "-5 outside": "minus five outside",
    "$19.99": "nineteen dollars and ninety-nine cents",
    "$1": "one dollar",
    "$1.01": "one dollar and one cent",
    "$0.50": "fifty cents",
    "$20.00": "twenty dollars",
    "$1,250": "one thousand two hundred and fifty dollars",
    "$2.5 million": "two point five million dollars",
    "£1 or €2.50": "one pound or two euros and fifty cents",
    "£0.01": "one penny",
    "US$5": "five dollars",
    "25% off": "twenty-five percent off",
    "3.5%": "three point five percent",
    "1 kg": "one kilogram",
    "2.5kg": "two point five kilograms",
    "30 cm x 40 cm": "thirty centimeters by forty centimeters",
    "10x20": "ten by twenty",
    "90 km/h": "ninety kilometers per hour",
    "25°C": "twenty-five degrees Celsius",
    "sizes 6-8": "sizes six to eight",
    "a 5-inch screen": "a five-inch screen",
    "1/2 cup": "one half cup",
    "5/8": "five over eight",
    "at 10:30": "at ten thirty",
    "at 10:05": "at ten oh five",
    "at 9:00": "at nine o'clock",
    "at 9:00 a.m.": "at nine a m",
    "R&D": "R and D",
    "2 + 2 = 4": "two plus two equals four",
    "#12": "number twelve",
    "A4 paper": "A four paper",
    "the U.S. size": "the U S size",
    "“Soft” – don’t iron…": '"Soft" - don\'t iron...',
    "♪ la la ♪": "la la",
    "left | right": "left, right",
    "two\nlines  and\ttabs": "two lines and tabs",
    "1234567890": "one two three four five six seven eight nine zero",
}
PT = {
    "Eu não sei.": "Eu não sei.",
    "O Sr. Silva e a Dra. Souza": "O Senhor Silva e a Doutora Souza",
    "Av. Paulista, nº 12": "Avenida Paulista, número doze",
    "R$ 19,99": "dezenove reais e noventa e nove centavos",
    "R$ 1": "um real",
    "R$ 1,00": "um real",
    "R$ 0,50": "cinquenta centavos",
    "R$ 1.254,00": "mil duzentos e cinquenta e quatro reais",
    "R$ 5 milhões": "cinco milhões de reais",
    "R$ 2000000": "dois milhões de reais",
    "R$ 3 mil": "três mil reais",
    "US$ 5": "cinco dólares",
    "£2": "duas libras",
    "em 1984": "em mil novecentos e oitenta e quatro",
    "1.254 itens": "mil duzentos e cinquenta e quatro itens",
    "3,14": "três vírgula catorze",
    "3,05": "três vírgula zero cinco",
    "2.5 vezes": "dois vírgula cinco vezes",
    "25%": "vinte e cinco por cento",
    "1º lugar, 2ª fila": "primeiro lugar, segunda fila",
    "21ª": "vigésima primeira",
    "1 kg e 2,5 kg": "um quilo e dois vírgula cinco quilos",
    "21 h": "vinte e uma horas",
    "às 10h30": "às dez e trinta",
    "às 2:15": "às duas e quinze",
    "às 8:00": "às oito horas",
    "30°C": "trinta graus Celsius",
    "de 5-10": "de cinco a dez",
    "-3 graus": "menos três graus",
    "1/2 xícara": "um meio xícara",
    "A & B": "A e B",
}
ES = {
    "¿Qué tal?": "¿Qué tal?",
    "El Sr. Ruiz y la Dra. Gil": "El Señor Ruiz y la Doctora Gil",
    "n.º 5": "número cinco",
    "19,99 €": "diecinueve euros con noventa y nueve céntimos",
    "$1": "un dólar",
    "$21": "veintiún dólares",
    "£1": "una libra",
    "5 millones €": "cinco millones de euros",
    "1.254 cosas": "mil doscientos cincuenta y cuatro cosas",
    "21.000": "veintiún mil",
    "21": "veintiuno",
    "3,14": "tres coma catorce",
    "3,05": "tres coma cero cinco",
    "50%": "cincuenta por ciento",
    "1º, 2ª y 3er": "primero, segunda y tercer",
    "1 kg": "un kilo",
    "21 km": "veintiún kilómetros",
    "201 h": "doscientas una horas",
    "a las 10:30": "a las diez y treinta",
    "a la 1:15": "a la una y quince",
    "en 1984": "en mil novecientos ochenta y cuatro",
    "-2 °C": "menos dos grados Celsius",
    "10x20": "diez por veinte",
}
TABLE = [
    (language, written, spoken)
    for language, rows in (("en", EN), ("pt", PT), ("es", ES))
    for written, spoken in rows.items()
]


@pytest.mark.parametrize(("language", "written", "spoken"), TABLE)
def test_what_is_written_is_spoken(language: str, written: str, spoken: str) -> None:
    assert normalize(written, language) == spoken


@pytest.mark.parametrize(("language", "written", "spoken"), TABLE)
def test_spoken_text_stays_as_it_is(language: str, written: str, spoken: str) -> None:
    assert normalize(spoken, language) == spoken


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_no_digit_and_no_sign_is_left(language: str) -> None:
    everything = (
        "".join(map(chr, range(32, 0x2200))) + " 1x2y3 0,5.7:9h8/7 $1€2R$3 12345678901 ½ ² ٣"
    )
    spoken = normalize(everything, language)
    assert not re.search(r"[\d|$€%&+=@#°/<>\\\n]", spoken)
    assert "  " not in spoken


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_nothing_that_is_written_is_too_odd(language: str) -> None:
    draw = random.Random(1)
    for _ in range(2000):
        text = "".join(draw.choices("0123456789,.:/-$€%x hkgsºª ", k=draw.randint(1, 12)))
        spoken = normalize(text, language)
        assert not re.search(r"\d", spoken), text
        assert bool(re.search(r"\d", text)) <= bool(re.search(r"[^\W\d]", spoken)), text


@pytest.mark.parametrize("language", ["pt", "pt-BR", "pt_br", "PT"])
def test_a_region_may_follow_the_language(language: str) -> None:
    assert normalize("2", language) == "dois"


def test_an_unknown_language_is_one_error_that_names_those_known() -> None:
    for call in (lambda: check_language("de"), lambda: normalize("Hallo", "de")):
        with pytest.raises(LikenessError, match=r"'de'.*en, es, pt") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_words_are_counted_as_they_are_spoken() -> None:
    assert count_words("It's $19.99, Mr. Low.", "en") == 9
    assert count_words("... !", "en") == 0
