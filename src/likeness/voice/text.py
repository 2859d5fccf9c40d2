"""Text as it is spoken: numbers, money, units and abbreviations written out, by language.

A language is a table (`Language`) and no code of its own, but for the agreement of numbers in
gender. Portuguese numbers are Brazilian. What is already words comes back unchanged, so that a text
may be normalised twice.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from likeness.common.errors import LikenessError

Match = re.Match[str]
Noun = tuple[str, str]  # singular and plural


@dataclass(frozen=True)
class Language:
    """How one language speaks what it writes in signs.

    Attributes:
        numbers: its name in num2words.
        decimal, thousands: signs in numbers.
        point, minus, and_, to, by, over: words between and before numbers; `and_` joins money and
            its cents.
        fraction_as_number: whether 3,14 ends in "fourteen" or in "one four".
        years: whether 1984 is "nineteen eighty-four" or a number as any other.
        of_money: the word between a round million and a currency.
        o_clock: said of full hours.
        and_minutes: between hours and minutes; without one, minutes below ten are "oh five".
        ordinal: pattern of ordinals: group 1 the digits; a group `feminine` if it is that.
        abbreviations: by their spelling, with a small or a capital first letter.
        before_number: abbreviations, as written, that are such only before a number.
        contexts: patterns of abbreviations that depend on what is around them.
        signs: single characters that are spoken.
        currencies: sign to its noun and that of its hundredth.
        units: sign to noun, after a number.
        feminine: nouns of these tables that numbers agree with.
        magnitudes: words between a number and a currency that belong to the number.
        fractions: those that have a name.
    """

    numbers: str
    decimal: str
    thousands: str
    point: str
    minus: str
    and_: str
    to: str
    by: str
    over: str
    fraction_as_number: bool
    years: bool
    of_money: str
    o_clock: str
    and_minutes: str
    ordinal: str
    abbreviations: dict[str, str]
    before_number: dict[str, str]
    contexts: tuple[tuple[str, str], ...]
    signs: dict[str, str]
    currencies: dict[str, tuple[Noun, Noun]]
    units: dict[str, Noun]
    feminine: frozenset[str]
    magnitudes: tuple[str, ...]
    fractions: dict[str, str]


ENGLISH = Language(
    numbers="en",
    decimal=".",
    thousands=",",
    point="point",
    minus="minus",
    and_="and",
    to="to",
    by="by",
    over="over",
    fraction_as_number=False,
    years=True,
    of_money="",
    o_clock="o'clock",
    and_minutes="",
    ordinal=r"(\d+(?:,\d{3})*)(?:st|nd|rd|th)\b",
    abbreviations={
        "Mr.": "Mister",
        "Mrs.": "Missus",
        "Ms.": "Miss",
        "Dr.": "Doctor",
        "Prof.": "Professor",
        "Jr.": "Junior",
        "Sr.": "Senior",
        "Co.": "Company",
        "Ltd.": "Limited",
        "Inc.": "Incorporated",
        "Ave.": "Avenue",
        "Rd.": "Road",
        "Mt.": "Mount",
        "vs.": "versus",
        "etc.": "et cetera",
        "e.g.": "for example",
        "i.e.": "that is",
        "approx.": "approximately",
        "incl.": "including",
        "max.": "maximum",
        "min.": "minimum",
        "dept.": "department",
    },
    before_number={
        "No.": "number",
        "Nos.": "numbers",
        "Vol.": "volume",
        "vol.": "volume",
        "p.": "page",
    },
    contexts=((r"\bSt\.(?=\s[A-Z])", "Saint"), (r"\bSt\.", "Street")),
    signs={"%": "percent", "&": "and", "+": "plus", "=": "equals", "@": "at", "°": "degrees"},
    currencies={
        "US$": (("dollar", "dollars"), ("cent", "cents")),
        "R$": (("real", "reais"), ("centavo", "centavos")),
        "$": (("dollar", "dollars"), ("cent", "cents")),
        "€": (("euro", "euros"), ("cent", "cents")),
        "£": (("pound", "pounds"), ("penny", "pence")),
        "¥": (("yen", "yen"), ("sen", "sen")),
        "₹": (("rupee", "rupees"), ("paisa", "paise")),
    },
    units={
        "km/h": ("kilometer per hour", "kilometers per hour"),
        "mph": ("mile per hour", "miles per hour"),
        "km": ("kilometer", "kilometers"),
        "cm": ("centimeter", "centimeters"),
        "mm": ("millimeter", "millimeters"),
        "m": ("meter", "meters"),
        "ft": ("foot", "feet"),
        "kg": ("kilogram", "kilograms"),
        "mg": ("milligram", "milligrams"),
        "g": ("gram", "grams"),
        "lbs": ("pound", "pounds"),
        "lb": ("pound", "pounds"),
        "oz": ("ounce", "ounces"),
        "ml": ("milliliter", "milliliters"),
        "l": ("liter", "liters"),
        "L": ("liter", "liters"),
        "kHz": ("kilohertz", "kilohertz"),
        "Hz": ("hertz", "hertz"),
        "MHz": ("megahertz", "megahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "kW": ("kilowatt", "kilowatts"),
        "W": ("watt", "watts"),
        "V": ("volt", "volts"),
        "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"),
        "h": ("hour", "hours"),
        "min": ("minute", "minutes"),
        "°C": ("degree Celsius", "degrees Celsius"),
        "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    },
    feminine=frozenset(),
    magnitudes=("hundred", "thousand", "million", "billion", "trillion"),
    fractions={
        "1/2": "one half",
        "1/3": "one third",
        "2/3": "two thirds",
        "1/4": "one quarter",
        "3/4": "three quarters",
    },
)

PORTUGUESE = Language(
    numbers="pt_BR",
    decimal=",",
    thousands=".",
    point="vírgula",
    minus="menos",
    and_="e",
    to="a",
    by="por",
    over="sobre",
    fraction_as_number=True,
    years=False,
    of_money="de",
    o_clock="horas",
    and_minutes="e",
    ordinal=r"(\d+(?:\.\d{3})*)\.?(?:[ºo°](?![\wºª])|(?P<feminine>ª))",
    abbreviations={
        "Sr.": "Senhor",
        "Sra.": "Senhora",
        "Srta.": "Senhorita",
        "Dr.": "Doutor",
        "Dra.": "Doutora",
        "Prof.": "Professor",
        "Profa.": "Professora",
        "Av.": "Avenida",
        "R.": "Rua",
        "Ltda.": "Limitada",
        "Cia.": "Companhia",
        "etc.": "et cetera",
        "ex.": "exemplo",
        "aprox.": "aproximadamente",
        "máx.": "máximo",
        "mín.": "mínimo",
        "vs.": "versus",
    },
    before_number={
        "nº": "número",
        "Nº": "número",
        "n.º": "número",
        "núm.": "número",
        "vol.": "volume",
        "pág.": "página",
        "p.": "página",
    },
    contexts=(),
    signs={
        "%": "por cento",
        "&": "e",
        "+": "mais",
        "=": "igual a",
        "@": "arroba",
        "°": "graus",
    },
    currencies={
        "US$": (("dólar", "dólares"), ("centavo", "centavos")),
        "R$": (("real", "reais"), ("centavo", "centavos")),
        "$": (("dólar", "dólares"), ("centavo", "centavos")),
        "€": (("euro", "euros"), ("centavo", "centavos")),
        "£": (("libra", "libras"), ("centavo", "centavos")),
        "¥": (("iene", "ienes"), ("sen", "sen")),
    },
    units={
        "km/h": ("quilômetro por hora", "quilômetros por hora"),
        "km": ("quilômetro", "quilômetros"),
        "cm": ("centímetro", "centímetros"),
        "mm": ("milímetro", "milímetros"),
        "m": ("metro", "metros"),
        "kg": ("quilo", "quilos"),
        "mg": ("miligrama", "miligramas"),
        "g": ("grama", "gramas"),
        "ml": ("mililitro", "mililitros"),
        "l": ("litro", "litros"),
        "L": ("litro", "litros"),
        "kHz": ("quilohertz", "quilohertz"),
        "Hz": ("hertz", "hertz"),
        "MHz": ("megahertz", "megahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "kW": ("quilowatt", "quilowatts"),
        "W": ("watt", "watts"),
        "V": ("volt", "volts"),
        "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"),
        "h": ("hora", "horas"),
        "min": ("minuto", "minutos"),
        "°C": ("grau Celsius", "graus Celsius"),
    },
    feminine=frozenset({"libra", "libras", "hora", "horas"}),
    magnitudes=("mil", "milhão", "milhões", "bilhão", "bilhões", "trilhão", "trilhões"),
    fractions={
        "1/2": "um meio",
        "1/3": "um terço",
        "2/3": "dois terços",
        "1/4": "um quarto",
        "3/4": "três quartos",
    },
)

SPANISH = Language(
    numbers="es",
    decimal=",",
    thousands=".",
    point="coma",
    minus="menos",
    and_="con",
    to="a",
    by="por",
    over="sobre",
    fraction_as_number=True,
    years=False,
    of_money="de",
    o_clock="en punto",
    and_minutes="y",
    ordinal=r"(\d+)\.?(?:º|(?P<feminine>ª)|(?:er|ro|do|to|mo|vo|no)\b|(?P<feminine2>ra|da|ta|ma|va|na)\b)",
    abbreviations={
        "Sr.": "Señor",
        "Sra.": "Señora",
        "Srta.": "Señorita",
        "Dr.": "Doctor",
        "Dra.": "Doctora",
        "D.": "Don",
        "Dña.": "Doña",
        "Prof.": "Profesor",
        "Profa.": "Profesora",
        "Ud.": "Usted",
        "Uds.": "Ustedes",
        "Av.": "Avenida",
        "Avda.": "Avenida",
        "Cía.": "Compañía",
        "etc.": "etcétera",
        "ej.": "ejemplo",
        "aprox.": "aproximadamente",
        "máx.": "máximo",
        "mín.": "mínimo",
        "vs.": "versus",
    },
    before_number={
        "nº": "número",
        "Nº": "número",
        "n.º": "número",
        "núm.": "número",
        "vol.": "volumen",
        "pág.": "página",
        "p.": "página",
    },
    contexts=(),
    signs={
        "%": "por ciento",
        "&": "y",
        "+": "más",
        "=": "igual a",
        "@": "arroba",
        "°": "grados",
    },
    currencies={
        "US$": (("dólar", "dólares"), ("centavo", "centavos")),
        "R$": (("real", "reales"), ("centavo", "centavos")),
        "$": (("dólar", "dólares"), ("centavo", "centavos")),
        "€": (("euro", "euros"), ("céntimo", "céntimos")),
        "£": (("libra", "libras"), ("penique", "peniques")),
        "¥": (("yen", "yenes"), ("sen", "sen")),
    },
    units={
        "km/h": ("kilómetro por hora", "kilómetros por hora"),
        "km": ("kilómetro", "kilómetros"),
        "cm": ("centímetro", "centímetros"),
        "mm": ("milímetro", "milímetros"),
        "m": ("metro", "metros"),
        "kg": ("kilo", "kilos"),
        "mg": ("miligramo", "miligramos"),
        "g": ("gramo", "gramos"),
        "ml": ("mililitro", "mililitros"),
        "l": ("litro", "litros"),
        "L": ("litro", "litros"),
        "kHz": ("kilohercio", "kilohercios"),
        "Hz": ("hercio", "hercios"),
        "MHz": ("megahercio", "megahercios"),
        "GHz": ("gigahercio", "gigahercios"),
        "kW": ("kilovatio", "kilovatios"),
        "W": ("vatio", "vatios"),
        "V": ("voltio", "voltios"),
        "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"),
        "h": ("hora", "horas"),
        "min": ("minuto", "minutos"),
        "°C": ("grado Celsius", "grados Celsius"),
    },
    feminine=frozenset({"libra", "libras", "hora", "horas"}),
    magnitudes=("mil", "millón", "millones", "billón", "billones"),
    fractions={
        "1/2": "un medio",
        "1/3": "un tercio",
        "2/3": "dos tercios",
        "1/4": "un cuarto",
        "3/4": "tres cuartos",
    },
)

LANGUAGES = {"en": ENGLISH, "es": SPANISH, "pt": PORTUGUESE}
# What ends in a point and yet ends no sentence, in any of the languages.
ABBREVIATIONS = frozenset(
    {"st.", *(short.lower() for table in LANGUAGES.values() for short in table.abbreviations)}
)

PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‚′", "'"),
        **dict.fromkeys("“”„«»″", '"'),
        **dict.fromkeys("–—−", "-"),
        "…": "...",
        "|": ",",
        "×": "x",
    }
)
KEPT = ".,;:!?¿¡'\"()- "
LONGEST = 9  # digits that are still read as one number


def check_language(language: str) -> None:
    """Raises `LikenessError` where there is no table for a language code (`en`, `pt`, `pt-BR`)."""
    if _code(language) not in LANGUAGES:
        raise LikenessError(
            f"language {language!r}: no table of text rules; it must be one of "
            f"{', '.join(sorted(LANGUAGES))} (or add one to likeness.voice.text)"
        )


def normalize(text: str, language: str) -> str:
    """The text in words and punctuation: no digits, no signs, single spaces.

    Raises:
        LikenessError: there is no table for the language.
    """
    check_language(language)
    plain = unicodedata.normalize("NFC", text).translate(PLAIN)
    for pattern, speak in _RULES[_code(language)]:
        plain = pattern.sub(speak, plain)
    spoken = "".join(letter if _is_spoken(letter) else " " for letter in plain)
    spoken = re.sub(r"\s+", " ", spoken).strip()
    return re.sub(r" +([.,;:!?])", r"\1", spoken)


def count_words(text: str, language: str) -> int:
    """How many words are spoken: `$19.99` is one word to write and five to say."""
    return len(re.findall(r"[^\W_]+(?:'[^\W_]+)*", normalize(text, language)))


def _code(language: str) -> str:
    return re.split("[-_]", language.lower())[0]


def _is_spoken(letter: str) -> bool:
    return letter in KEPT or unicodedata.category(letter)[0] in "LM"


Rule = tuple[re.Pattern[str], Callable[[Match], str]]


def _rules(table: Language) -> list[Rule]:
    """Patterns and what they become, in the order in which they are applied."""
    speak = _Speaker(table)
    mark, group = re.escape(table.decimal), re.escape(table.thousands)
    # A point of another language's decimals is read too, where it cannot mean thousands.
    grouped = rf"\d{{1,3}}(?:{group}\d{{3}})+(?:{mark}\d+)?"
    number = rf"(?:{grouped}|\d+(?:{mark}\d+|\.\d{{1,2}}(?!\d))?)"
    money = "|".join(re.escape(sign) for sign in table.currencies)
    units = "|".join(re.escape(unit) for unit in sorted(table.units, key=len, reverse=True))
    large = "|".join(table.magnitudes)
    signs = "".join(table.signs)

    def rule(pattern: str, become: Callable[[Match], str]) -> Rule:
        return re.compile(pattern), become

    def always(words: str) -> Callable[[Match], str]:
        return lambda match: words

    rules = [
        # Times of day before full stops and colons are anything else.
        rule(r"\b([ap])\.\s?m\.", lambda m: f"{m[1]} m"),
        rule(r"\b(\d{1,2})[:h](\d{2})\b", speak.time),
        *[
            rule(rf"(?<!\w){re.escape(short)}\s?(?=\d)", always(f"{full} "))
            for short, full in table.before_number.items()
        ],
        *[
            rule(rf"(?<![\w.]){_either_case(short)}(?!\w)", speak.abbreviation(full))
            for short, full in table.abbreviations.items()
        ],
        *[rule(pattern, always(full)) for pattern, full in table.contexts],
        rule(r"#\s?(?=\d)", always(f"{next(iter(table.before_number.values()))} ")),
        rule(rf"({money})\s?({number})(?:\s({large})\b)?", speak.money_before),
        rule(rf"({number})(?:\s({large}))?\s?({money})", speak.money_after),
        rule(r"(?<![\d/])(\d+)/(\d+)(?![\d/])", speak.fraction),
        rule(table.ordinal, speak.ordinal),
        rule(r"(?<=\d)[xX](?=\d)| [xX] (?=\d)", always(f" {table.by} ")),
        rule(rf"({number})\s?-\s?(?=\d)", lambda m: f"{m[1]} {table.to} "),
        rule(rf"(?<![\w.,-])-(?={number})", always(f"{table.minus} ")),
        rule(rf"({number})\s?({units})(?![\w/])", speak.unit),
    ]
    if table.years:
        rules.append(rule(r"\b((?:1[1-9]|20)\d0)s\b", speak.decade))
        rules.append(rule(r"(?<![\d.,])(1[1-9]\d\d|20[1-9]\d)(?![\d%]|[.,]\d)", speak.year))
    return [
        *rules,
        rule(rf"({number})", speak.number),
        rule(r"\b(?:[A-Z]\.){2,}", lambda m: " ".join(m[0].replace(".", ""))),
        rule(rf"\s?([{re.escape(signs)}])\s?", lambda m: f" {table.signs[m[1]]} "),
    ]


def _either_case(short: str) -> str:
    first = short[0]
    return f"[{first.upper()}{first.lower()}]{re.escape(short[1:])}"


class _Speaker:
    """What the patterns' matches are in words, by a language's table."""

    def __init__(self, table: Language) -> None:
        self.table = table

    def abbreviation(self, full: str) -> Callable[[Match], str]:
        def become(match: Match) -> str:
            first = full[0].upper() if match[0][0].isupper() else full[0].lower()
            # The point of an abbreviation at the end of a text is its full stop as well.
            stop = "." if not match.string[match.end() :].strip() else ""
            return first + full[1:] + stop

        return become

    def cardinal(self, value: int, noun: str = "") -> str:
        """A whole number in words, agreeing with the noun that it counts."""
        from num2words import num2words

        words = str(num2words(value, lang=self.table.numbers)).replace(",", "")
        return _agree(words, noun in self.table.feminine, bool(noun), self.table.numbers)

    def amount(self, digits: str, noun: str = "") -> str:
        """A number as it is written, with signs for thousands and decimals, in words."""
        whole, fraction = self._parts(digits)
        if (whole.startswith("0") and len(whole) > 1) or len(whole) > LONGEST:
            return " ".join(self.cardinal(int(digit)) for digit in whole)
        spoken = self.cardinal(int(whole), "" if fraction else noun)
        if not fraction:
            return spoken
        zeros = len(fraction) - len(fraction.lstrip("0"))
        if self.table.fraction_as_number and zeros < len(fraction):
            after = [self.cardinal(0)] * zeros + [self.cardinal(int(fraction))]
        else:
            after = [self.cardinal(int(digit)) for digit in fraction]
        return " ".join([spoken, self.table.point, *after])

    def _parts(self, digits: str) -> tuple[str, str]:
        bare = digits
        if self.table.thousands != "." or re.fullmatch(r"\d{1,3}(\.\d{3})+(,\d+)?", bare):
            bare = bare.replace(self.table.thousands, "")
        whole, _, fraction = bare.replace(",", ".").partition(".")
        return whole, fraction

    def number(self, match: Match) -> str:
        """A number by itself; set apart from letters, as in A4."""
        text = match.string
        before = text[match.start() - 1] if match.start() else " "
        after = text[match.end()] if match.end() < len(text) else " "
        left = " " if before.isalpha() else ""
        return left + self.amount(match[1]) + (" " if after.isalpha() else "")

    def year(self, match: Match) -> str:
        from num2words import num2words

        return str(num2words(int(match[1]), lang=self.table.numbers, to="year"))

    def decade(self, match: Match) -> str:
        spoken = self.year(match)
        return spoken[:-1] + "ies" if spoken.endswith("y") else spoken + "s"

    def ordinal(self, match: Match) -> str:
        from num2words import num2words

        value = int(match[1].replace(self.table.thousands, ""))
        spoken = str(num2words(value, lang=self.table.numbers, to="ordinal")).replace(",", "")
        if any(match.groupdict().values()):
            spoken = re.sub(r"o\b", "a", spoken)
        elif match[0].endswith("er"):
            spoken = re.sub(r"(primer|tercer)o$", r"\1", spoken)
        return spoken

    def fraction(self, match: Match) -> str:
        named = self.table.fractions.get(match[0])
        return named or f"{self.amount(match[1])} {self.table.over} {self.amount(match[2])}"

    def time(self, match: Match) -> str:
        hours, minutes = int(match[1]), int(match[2])
        if hours > 24 or minutes > 59:
            return match[0].replace(":", " ")
        spoken = self.cardinal(hours, "horas" if "horas" in self.table.feminine else "")
        if not minutes:
            half_day = re.match(r"\s?[ap] ?m\b", match.string[match.end() :], re.I)
            return spoken if half_day else f"{spoken} {self.table.o_clock}"
        between = self.table.and_minutes or ("oh" if minutes < 10 else "")
        return " ".join(filter(None, [spoken, between, self.cardinal(minutes)]))

    def unit(self, match: Match) -> str:
        noun = self._noun(match[1], self.table.units[match[2]])
        return f"{self.amount(match[1], noun)} {noun}"

    def _noun(self, digits: str, forms: Noun) -> str:
        return forms[0] if self._parts(digits) == ("1", "") else forms[1]

    def money_before(self, match: Match) -> str:
        return self._money(match[1], match[2], match[3])

    def money_after(self, match: Match) -> str:
        return self._money(match[3], match[1], match[2])

    def _money(self, sign: str, digits: str, large: str | None) -> str:
        main, hundredth = self.table.currencies[sign]
        of = f"{self.table.of_money} " if self.table.of_money else ""
        if large:
            of = "" if large == "mil" else of
            return f"{self.amount(digits)} {large} {of}{main[1]}"
        whole, fraction = self._parts(digits)
        if fraction and len(fraction) != 2:
            return f"{self.amount(digits)} {main[1]}"
        noun = self._noun(whole, main)
        spoken = self.cardinal(int(whole), noun)
        of = of if re.search(r"(ão|ões|ón|ones)$", spoken) else ""
        parts = [f"{spoken} {of}{noun}"] if int(whole) or not int(fraction or 0) else []
        if fraction and int(fraction):
            cents = self._noun(fraction.lstrip("0"), hundredth)
            parts.append(f"{self.cardinal(int(fraction), cents)} {cents}")
        return f" {self.table.and_} ".join(parts)


def _agree(words: str, feminine: bool, counts: bool, language: str) -> str:
    """A Portuguese or Spanish number in the form that it has before its noun."""
    if language == "pt_BR" and feminine:
        words = re.sub(r"\bum$", "uma", words)
        words = re.sub(r"\bdois\b", "duas", words)
        words = re.sub(r"entos\b", "entas", words)
    elif language == "es":
        words = re.sub(r"veintiuno(?= mil)", "veintiún", words)
        words = re.sub(r"\buno(?= mil)", "un", words)
        if feminine:
            words = re.sub(r"uno$", "una", words)
            words = re.sub(r"(cient|quinient)os\b", r"\1as", words)
        elif counts:
            words = re.sub(r"veintiuno$", "veintiún", words)
            words = re.sub(r"\buno$", "un", words)
    return words


_RULES = {code: _rules(table) for code, table in LANGUAGES.items()}
