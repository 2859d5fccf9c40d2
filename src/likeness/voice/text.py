"""Text as it is spoken: numbers, money, units and abbreviations written out, by language.

Symbols are first replaced by words (`R$ 5` becomes `5 reais`). Digits are replaced last, when the noun
that they agree with stands beside them. Each language's words are in its table
(`likeness.voice.tables`). Portuguese numbers are Brazilian. Words come back unchanged, so that a text
may be normalised twice. A symbol that no rule knows is kept, and `unknown_symbols` finds it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

from likeness.voice.languages import check_language, code
from likeness.voice.tables.all import TABLES
from likeness.voice.tables.language import Agreement, Language, Noun

Match = re.Match[str]
Rewrite = tuple[re.Pattern[str], Callable[[Match], str]]

PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‚′´`ʼ", "'"),
        **dict.fromkeys("“”„«»", '"'),
        **dict.fromkeys("‐‑–—−", "-"),
        "…": "...",
        "|": ",",
        "×": "x",
        "⁄": "/",
    }
)
KEPT = ".,;:!?¿¡'\"()- "
# Never spoken: marks of lists, of emphasis, of music and of trade.
SILENT = "[]{}/*_•·♪♫♬®™©"
LONGEST = 8  # digits; a longer number without thousands separators is read digit by digit
LARGEST = 10**18  # numbers from here on are read digit by digit
NEAR = 40  # characters before a number, in which the words that it agrees with may stand
LARGEST_ORDINAL = 10**6  # ordinals from here on are read as numbers
ROMAN = r"(X{0,3}(?:IX|IV|V?I{0,3}))"
CAPITAL = "A-ZÀ-ÖØ-Þ"
SMALL = "a-zß-öø-ÿ"
ENDS = r"(?![^\W\d_²³])"  # no letter follows, but ² or ³ may


def normalize(text: str, language: str) -> str:
    """The text in words, punctuation and single spaces; unknown symbols are kept.

    Raises:
        LikenessError: there is no table for the language.
    """
    check_language(language)
    plain = _plain(text, TABLES[code(language)])
    for pattern, speak in _RULES[code(language)]:
        plain = pattern.sub(speak, plain)
    spoken = "".join(" " if letter in SILENT else letter for letter in plain)
    spoken = re.sub(r"\s+", " ", spoken).strip()
    return re.sub(r" +([.,;:!?])", r"\1", spoken)


def unknown_symbols(spoken: str) -> str:
    """The symbols in a normalised text that no rule could put into words, each once."""
    return "".join(
        letter
        for letter in dict.fromkeys(spoken)
        if letter not in KEPT and (unicodedata.category(letter)[0] not in "LM" or letter in "ªº")
    )


def unspoken_reason(spoken: str) -> str:
    """Why a normalised text cannot be said as it is written; empty if it can."""
    if unknown_symbols(spoken):
        return "unknown_symbols"
    return "" if any(letter.isalpha() for letter in spoken) else "no_text"


def count_words(text: str, language: str) -> int:
    """How many words are spoken: `$19.99` is one word to write and five to say."""
    return len(re.findall(r"[^\W_]+(?:'[^\W_]+)*", normalize(text, language)))


def _plain(text: str, table: Language) -> str:
    """The text with one spelling for each symbol, and without invisible characters."""
    text = unicodedata.normalize("NFC", text)
    # Printed numbers group their digits with narrow or non-breaking spaces.
    if not table.thousands.isspace():
        text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", "", text)
    # French sets them inside its quotation marks as well; German ones point the other way.
    text = re.sub(r"«[\u00a0\u2009\u202f]|[\u00a0\u2009\u202f]»", '"', text)
    return "".join(map(_spell, text.translate(PLAIN)))


def _spell(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isprintable() else " "
    kind = unicodedata.decomposition(letter).partition(">")[0]
    if unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f":
        return ""
    if kind == "<fraction":
        return " " + unicodedata.normalize("NFKC", letter).replace("⁄", "/")
    # A raised letter is one (1ᵉʳ), a raised digit is a power.
    raised = kind == "<super" and unicodedata.category(letter) != "Lm"
    if not kind or raised or letter in "№″":
        return " " if letter.isspace() else letter
    # Compatibility characters: VIII, a full-width 5, degrees Celsius, the subscript 2 of CO2.
    return unicodedata.normalize("NFKC", letter) if kind[0] == "<" else letter


def _either(options: Iterable[str]) -> str:
    """A pattern that matches any of these, the longest first, and none as the start of a word."""
    ordered = sorted(options, key=len, reverse=True)
    return "|".join(re.escape(one) + (ENDS if one[-1].isalpha() else "") for one in ordered)


def _rules(table: Language) -> list[Rewrite]:
    """Patterns and their replacements, in the order in which they are applied."""
    speak = _Speaker(table)
    mark, point = re.escape(table.decimal), re.escape(_point(table))
    grouped = rf"(?:(?:{re.escape(table.thousands)}\d{{3}})+|(?:{point}\d{{3}})+)"
    # Numbers in the other language's style are read too, where they are not ambiguous.
    number = (
        rf"(?:\d{{1,3}}{grouped}(?![\d])(?:{mark}\d+)?"
        rf"|\d{{1,3}}(?:{mark}\d{{3}})+{point}\d+"
        rf"|\d{{1,3}}(?:{mark}\d{{3}}){{2,}}(?!\d)"
        rf"|\d{{1,2}}(?:,\d\d)+,\d{{3}}(?!\d)"
        rf"|\d+(?:{mark}\d+|\.\d{{1,2}}(?!\d))?"
        rf"|(?<![\w.,])[.{mark}]\d+)"
    )
    money = _either(table.currencies)
    coded = _either([sign for sign in table.currencies if sign.isalpha()])
    ahead = _either([sign for sign in table.currencies if not sign[-1].islower()])
    large = _either(table.magnitudes)
    units = _either(table.units)
    measured = rf"(?:{units})[²³23]?(?![\w²³])"
    with_point = [re.escape(unit) for unit in table.units if unit.endswith(".")]
    dotted = "|".join([rf"{measured}\.", *with_point])
    titled = "|".join(re.escape(short[:-1]) for short in table.titles)
    roman = rf"(?=[IVX]){ROMAN}(?![\w']|\.\w)"
    word = rf"[{CAPITAL}]?[{SMALL}]+" if table.capital_nouns else rf"[{SMALL}]+"

    def rule(pattern: str, become: Callable[[Match], str] | str) -> Rewrite:
        if isinstance(become, str):
            spoken = become
            return re.compile(pattern), lambda match: match.expand(spoken)
        return re.compile(pattern), become

    rules = [
        rule(
            r"(?:https?://)?((?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+@)?"
            r"((?:[A-Za-z0-9_-]+\.)+(?:com|org|net|edu|gov|info|io|dev|ai|tv|uk|br|es|pt|mx|ar|eu"
            rf"{table.domains})"
            r"(?:/[A-Za-z0-9_/-]*)?)(?![\w@])",
            speak.address,
        ),
        # Abbreviations.
        rule(r"(?:\b|(?<=\d))([ap])\.\s?m\.", speak.shortened(r"\1 m")),
        *[
            rule(rf"(?<!\w)(?:{short})\s?(?=\d)", f"{full} ")
            for short, full in {**table.before_number, "[№#]": _first(table)}.items()
        ],
        *[rule(pattern, speak.shortened(full)) for pattern, full in table.contexts],
        rule(rf"({number})\s?({dotted})", speak.measure),
        *[
            rule(
                rf"((?:\d\w*|[{CAPITAL}]\w+)\s)?\b{re.escape(short)}(?!\w)",
                speak.street(*names),
            )
            for short, names in table.streets.items()
        ],
        *[
            rule(rf"(?<![\w.]){_cases(short)}(?!\w)", speak.abbreviation(full))
            for short, full in table.abbreviations.items()
        ],
        rule(
            rf"(?<![\w.])({titled})(?=\s[{CAPITAL}]\w)",
            lambda m: table.abbreviations[f"{m[1]}."],
        ),
        rule(
            r"(?<!\d )(?<![\w.,])[1-9]\d{0,2}(?: \d{3})*? \d00(?![\w]| \d)",
            lambda m: m[0].replace(" ", table.thousands),
        ),
        # Dates, telephone and identity numbers, times.
        rule(r"(?<![\d/.-])(\d{4})-(\d\d?)-(\d\d?)(?![\d-])", lambda m: speak.date(m, 1, 2, 3)),
        rule(
            r"(?<![\d/.-])(\d\d?)([/.-])(\d\d?)\2(\d{4}|(?<=/)\d\d)(?![/.-]?\d)",
            speak.short_date,
        ),
        rule(
            rf"(?i:\b({table.dated}) ){table.day_and_month}",
            speak.day_and_month,
        )
        if table.dated
        else None,
        *speak.month_names(rule),
        *[
            rule(rf"(?<![\w.,/-]){pattern}(?![\w/]|[.,-]\d)", speak.digits)
            for pattern in (*DIALLED, *table.dialled)
        ],
        rule(r"(?<=\d)\s-\s(?=\d[^.!?]*=)", f" {table.minus} "),
        rule(
            rf"({money})(\s?{number})\s?-\s?({number})(?!\s?(?:{money}|{large}))",
            rf"\2 {table.to} \1\3",
        ),
        rule(
            rf"(\d\s?(?:{measured}|%|{money}|(?i:[ap] ?m\b))?)\s?-\s?(?=(?:{money})?\s?\.?\d)",
            rf"\1 {table.to} ",
        ),
        rule(r"(?<![\d.,])\d+(?:\.\d+){2,}(?![\w]|,\d)", speak.version),
        rule(
            rf"(?<![\w.,:/])(\d{{1,2}})(?:{table.clock})(\d\d)(?::(\d\d))?(?![\d:])"
            rf"(?:\s?(min|hs|hrs|h|horas|hours|{table.hour[1]})\b)?",
            speak.time,
        ),
        rule(r"(\d+):(?=\d)", rf"\1 {table.ratio or table.to} "),
        # Signs between and before numbers.
        rule(rf"(?<![\w.,)-])-(?=(?:{money})?\s?\.?\d)", f"{table.minus} "),
        rule(r"(?<=\d)\s?[xX]\s?(?=\d)", f" {table.by} "),
        rule(r"\s[xX]\s(?=\d)", f" {table.by} "),
        rule(rf"({number})[xX](?!\w)", rf"\1 {table.times}"),
        *[
            rule(rf"{re.escape(sign)}\s?(?=(?:{money})?\s?[.,]?\d)", f" {full} ")
            for sign, full in table.before_digit.items()
        ],
        *speak.feet_rules(rule),
        # Money and measures.
        rule(
            rf"((?:{money})\s?{number}(?:\s?(?:{large}))?|{number}\s?(?:{money}|{units}))"
            r"\s?/\s?([^\W\d_]+)",
            speak.rate,
        ),
        rule(
            rf"({ahead})\s?({number})(?:\s?({large}))?(?:\s?({coded}))?",
            lambda m: speak.money(m, m[4] or m[1], m[2], m[3]),
        ),
        rule(
            rf"({number})(?:\s?({large}))?\s?({money})", lambda m: speak.money(m, m[3], m[1], m[2])
        ),
        rule(rf"(\d/\d+)\s?({measured})", speak.part_of),
        rule(rf"(?<![\d/.,])(\d+)\s+1/2\s({word})", speak.half_last)
        if any(table.half_last)
        else None,
        rule(
            rf"(?:(?<![\d/.,])(\d+)\s+)?(?<![\d/.,])(\d+)/(\d+)(?![\d/])(?:(?=\s({word}))|)",
            speak.fraction,
        ),
        rule(r"'?\b((?:1[1-9]|20)?\d0)'?s\b", speak.decade) if table.english else None,
        *[
            rule(rf"\b(?=[IVX]){ROMAN}{mark}", speak.arabic(to))
            for mark, to in table.roman_ordinals.items()
        ],
        rule(table.ordinal, speak.ordinal),
        rule(rf"({number})\s?({measured})", speak.measure),
        # Roman numbers.
        *speak.roman_rules(rule, roman),
        # Numbers.
        rule(rf"(?<![\d.,])({table.years})(?![\d%]|[.,]\d)", speak.year) if table.years else None,
        rule(rf"({number})", speak.number),
        rule(r"\s?([⁺⁻]?[⁰¹²³⁴-⁹]+)", speak.power),
        rule(r"\b(?:[A-Z]\.){2,}", speak.letters),
        rule(rf"\s?([{re.escape(''.join(table.signs))}])\s?", lambda m: f" {table.signs[m[1]]} "),
        rule(r" {2,}", " "),
        *[rule(pattern, become) for pattern, become in table.contracted],
    ]
    return [one for one in rules if one]


# Read digit by digit: telephone numbers, and those that identify persons, firms and places.
DIALLED = (
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6}",
    r"\(\d{2,4}\)\s?\d{3,5}[ -]?\d{4}",
    r"\d{2,3}\.\d{3}\.\d{3}(?:/\d{4})?-\d{1,2}",
    r"\d+(?:-\d+){2,}",
    r"\d\d \d{4,5}-\d{4}",
    # Not a range of years, nor of round numbers.
    r"(?!(?:1\d|20)\d\d-(?:1\d|20)\d\d)\d{3,5}-(?!\d\d00)\d{4}",
    r"\d{5}-\d{3}",
    r"\d{3} \d{3} \d{4}",
    r"\d{3} \d\d \d\d \d\d",
    r"(?:\d\d|\(\d\d\)) \d{3} \d\d \d\d",
    r"0\d{2,3} \d{3,4} \d{3,4}",
)


def _point(table: Language) -> str:
    """The mark that groups digits where the other one is the decimal mark."""
    return "," if table.decimal == "." else "."


def _first(table: Language) -> str:
    return next(iter(table.before_number.values()))


def _cases(short: str) -> str:
    first, rest = short[0], short[1:]
    loud = f"|{re.escape(short.upper())}" if len(short) > 2 else ""
    return f"(?:[{first.upper()}{first.lower()}]{re.escape(rest)}{loud})"


class _Speaker:
    """Puts the patterns' matches into words, with a language's table."""

    def __init__(self, table: Language) -> None:
        self.table = table

    # --- abbreviations ----------------------------------------------------------------------------

    def shortened(self, full: str) -> Callable[[Match], str]:
        return lambda match: match.expand(full) + self._stop(match)

    def abbreviation(self, full: str) -> Callable[[Match], str]:
        def become(match: Match) -> str:
            short = match[0].rstrip(".")
            spoken = full[0].upper() if short[0].isupper() else full[0].lower()
            spoken += full[1:]
            if len(short) > 1 and short.isupper():
                spoken = spoken.upper()
            return spoken + self._stop(match)

        return become

    def street(self, title: str, road: str) -> Callable[[Match], str]:
        """A title if a name follows (Saint John), else a road (John Street)."""

        def become(match: Match) -> str:
            before = match[1] or ""
            numbered = before[:1].isdigit()
            follows = re.match(rf"\s[{CAPITAL}]\w", match.string[match.end() :])
            starts = not re.search(r"[^\s.!?]\s*$", match.string[: match.start()])
            name = follows and not self._stop(match) and not numbered
            if name or (not before and title != "Saint") or (starts and before and follows):
                return before + title
            return before + road + self._stop(match)

        return become

    def _stop(self, match: Match) -> str:
        """The point of an abbreviation at a sentence's end is its full stop as well."""
        rest = match.string[match.end() :]
        if not match[0].endswith(".") or rest.startswith((".", "?", "!")):
            return ""
        if re.fullmatch(r"[\"')\]\s]*", rest):
            return "." if match.string[: match.start()].strip() else ""
        following = re.match(rf"[\"')]*\s+[\"'(¿¡]*([{CAPITAL}]\w*)", rest)
        return "." if following and following[1].lower() in self.table.particles else ""

    def letters(self, match: Match) -> str:
        return " ".join(match[0].replace(".", "")) + self._stop(match)

    def address(self, match: Match) -> str:
        """A web or e-mail address, with its dots spoken."""
        dot = f" {self.table.dot} "
        user = (match[1] or "").replace(".", dot).replace("@", f" {self.table.signs['@']} ")
        host = re.sub(r"\bwww\b", self.table.www, match[2].rstrip("/"))
        return (user + host.replace(".", dot)).replace("/", " ")

    # --- numbers ----------------------------------------------------------------------------------

    def cardinal(self, value: int, noun: str = "", before: str = "") -> str:
        """A whole number in words, agreeing with the noun that it counts and the words before."""
        from num2words import num2words

        if value >= LARGEST:
            return " ".join(self.cardinal(int(digit)) for digit in str(value))
        words = str(num2words(value, lang=self.table.numbers)).replace(",", "")
        # A number before millions agrees with them, not with the noun.
        found = re.findall(self.table.millions, words) if self.table.millions else []
        millions, sep, rest = words.rpartition(found[-1] if found else "\0")
        return millions + sep + _agree(rest, self._context(before, noun), self.table.agreement)

    def _context(self, before: str, noun: str) -> str:
        gender = "f" if self._is_feminine(noun) else "m" if noun else ""
        return f"{before[-NEAR:]}|{gender}|{noun}"

    def amount(self, digits: str, noun: str = "", before: str = "") -> str:
        """A number with its thousands and decimal separators, in words."""
        whole, fraction = self._parts(digits)
        bare = whole == digits
        if bare and ((whole.startswith("0") and len(whole) > 1) or len(whole) > LONGEST):
            return " ".join(self.cardinal(int(digit)) for digit in whole)
        spoken = self.cardinal(int(whole), "" if fraction else noun, before) if whole else ""
        if not fraction:
            return spoken
        zeros = len(fraction) - len(fraction.lstrip("0"))
        if self.table.fraction_as_number and zeros < len(fraction) <= zeros + LONGEST:
            after = [self.cardinal(0)] * zeros + [self.cardinal(int(fraction))]
        else:
            after = [self.cardinal(int(digit)) for digit in fraction]
        return " ".join(filter(None, [spoken, self.table.point, *after]))

    def _parts(self, digits: str) -> tuple[str, str]:
        """The digits before and after the decimal mark."""
        marks = re.findall(r"[.,]", digits)
        if not marks:
            return re.sub(r"\s", "", digits), ""
        whole, _, last = digits.rpartition(marks[-1])
        three = len(last) == 3 and whole not in ("", "0")
        round_ = self.table.round_thousands and last.endswith("0")
        if len(set(marks)) == 1 and (
            len(marks) > 1 or (three and (marks[0] != self.table.decimal or round_))
        ):
            return re.sub(r"\D", "", digits), ""
        return re.sub(r"\D", "", whole), last

    def _grouped(self, whole: str) -> str:
        """A whole number that is neither a year nor read digit by digit."""
        return f"{int(whole or 0):,}".replace(",", self.table.thousands)

    def _is_feminine(self, noun: str) -> bool:
        return bool(
            re.fullmatch(self.table.feminine, noun.lower())
            and not re.fullmatch(self.table.masculine, noun.lower())
        )

    def _noun_after(self, match: Match, digits: str) -> str:
        """The noun that a number counts, as far as the words beside it show."""
        if not self.table.feminine:
            return ""
        before = match.string[: match.start()]
        if re.search(rf"(?i)\b(?:{self.table.numbered})s?\s$", before):
            return ""
        joined = rf"((?:\s(?:{self.table.to}|{self.table.joined}|{self.table.or_})\s\d+)*)"
        following = re.match(rf"{joined}(\smil)?(?:\s([^\W\d_]+))?", match.string[match.end() :])
        if following is None:
            return ""
        noun = following[3] or ""
        if noun.lower() in self.table.particles or noun[:1].isupper() != self.table.capital_nouns:
            noun = ""
        one = self._parts(digits)[0] in ("1", "01") and not following[1] and not following[2]
        if len(noun) < 2 or not (one or re.search(self.table.plurals, noun)):
            noun = ""
        return noun or ("mil" if following[2] else "")

    def number(self, match: Match) -> str:
        """A number alone; a space separates it from letters, as in A4."""
        text = match.string
        before = text[match.start() - 1] if match.start() else " "
        after = text[match.end()] if match.end() < len(text) else " "
        left = " " if before.isalpha() else ""
        noun = self._noun_after(match, match[1])
        spoken = self.amount(match[1], noun, text[: match.start()])
        millions = self.table.of_millions and re.search(rf"(?:{self.table.millions})$", spoken)
        of = f" {self.table.of_millions}" if noun and millions else ""
        joined = self.table.suffixes and re.match(self.table.suffixes, text[match.end() :])
        return left + spoken + of + (" " if after.isalpha() and not joined else "")

    def digits(self, match: Match) -> str:
        """Digit by digit, but for short groups and for the hundreds of toll-free numbers."""
        spoken = [self.table.plus] if match[0].startswith("+") else []
        for group in re.findall(r"\d+", match[0]):
            if len(group) <= self.table.dialled_groups:
                number = group.lstrip("0")
                spoken += [self.cardinal(0)] * (len(group) - len(number))
                spoken += [self.cardinal(int(number))] if number else []
            elif re.fullmatch(r"0?[89]00", group):
                spoken += [self.cardinal(0)] * group.startswith("0") + [self.cardinal(int(group))]
            else:
                spoken += [self.cardinal(int(digit)) for digit in group]
        return " ".join(spoken)

    def version(self, match: Match) -> str:
        if _point(self.table) == "." and re.fullmatch(r"\d{1,3}(\.\d{3})+", match[0]):
            return match[0]
        before = " " if match.string[: match.start()][-1:].isalpha() else ""
        point = f" {self.table.version} "
        return before + point.join(self.amount(part) for part in match[0].split("."))

    def year(self, match: Match) -> str:
        from num2words import num2words

        return str(num2words(int(match[1]), lang=self.table.numbers, to="year"))

    def decade(self, match: Match) -> str:
        spoken = self.year(match) if len(match[1]) == 4 else self.cardinal(int(match[1]))
        return spoken[:-1] + "ies" if spoken.endswith("y") else spoken + "s"

    def ordinal(self, match: Match) -> str:
        value = int(match[1].replace(self.table.thousands, ""))
        if self.table.endings:
            return self._inflected(match, self._ordinal(value))
        rest = match.string[match.end() :]
        following = re.match(rf"\s([{SMALL}]{{3,}})", rest)
        noun = following[1] if following else ""
        if noun in self.table.particles or (noun.endswith("s") and not noun.endswith("ês")):
            noun = ""
        first_of_month = value == 1 and re.match(self._month_after(), rest)
        degrees = match[0].endswith("°") and not noun and not first_of_month
        marked = re.search("[º°]", match[0]) and re.match(r"\s?[CF]\b", rest)
        if "°" in self.table.units and (degrees or marked or not value):
            return f"{match[1]}°"
        feminine = bool(match.groupdict().get("feminine"))
        spoken = self._ordinal(value, feminine)
        if not feminine and (match[0].endswith("er") or noun) and self.table.numbers == "es":
            spoken = re.sub(r"(primer|tercer)o$", r"\1", spoken)
        return spoken

    def _ordinal(self, value: int, feminine: bool = False) -> str:
        from num2words import num2words

        if value >= LARGEST_ORDINAL:
            return self.cardinal(value)
        spoken = str(num2words(value, lang=self.table.numbers, to="ordinal")).replace(",", "")
        return _agree(spoken, f"|{'f' if feminine else ''}|", self.table.ordinal_agreement)

    def _inflected(self, match: Match, spoken: str) -> str:
        """An ordinal with the ending that its place asks for; a number where none is."""
        link = rf"(?:{self.table.to}|{self.table.joined}|{self.table.or_})"
        before = re.sub(rf"(?:\d+\.,? {link} )+$", "", match.string[: match.start()])
        after = re.sub(rf"^(?:,? {link} \d+\.)+", "", match.string[match.end() :])
        following = re.match(rf"\s([{CAPITAL}][\w-]+)", after)
        noun = following[1] if following else ""
        if noun.lower() in self.table.particles:
            noun = ""
        for pattern, ending in self.table.endings:
            if re.search(pattern, self._context(before, noun), re.IGNORECASE):
                return spoken + ending + self._stop(match)
        return match[0]

    def fraction(self, match: Match) -> str:
        whole, above, below = match[1], int(match[2]), int(match[3])
        lone, with_feminine, after = self.table.halves
        # A fraction above 1 is a date, except 24/7.
        dated = not self.table.english and not whole and 1 <= below <= 12 < above <= 31
        if dated and (above, below) != (24, 7):
            return self.table.day_month.format(day=above, month=self.table.months[below - 1])
        if (above, below) == (1, 2):
            feminine = self._is_feminine(match[4] or "")
            part = after if whole and not feminine else with_feminine if feminine else lone
        elif not 0 < above < below:
            between = f" {self.table.over} " if self.table.over else " "
            part = between.join(self.amount(digits) for digits in (match[2], match[3]))
        else:
            part = self._part(above, below)
        if not whole:
            return part
        noun = match[4] or ""
        return f"{self.amount(whole, noun)} {self.table.joined} {part}"

    def half_last(self, match: Match) -> str:
        """Two and a half litres, as `two litres and a half`."""
        half = self.table.half_last[self._is_feminine(match[2])]
        return f"{match[1]} {match[2]} {self.table.joined} {half}"

    def _part(self, above: int, below: int) -> str:
        many = above > 1
        if below in self.table.parts:
            name = self.table.parts[below]
        elif self.table.fold and below > 10 and below not in (100, 1000):
            return f"{self.cardinal(above, self.table.fold)} {self._fold(below, many)}"
        else:
            name = self.table.part.format(self._ordinal(below))
            name = name.capitalize() if self.table.capital_nouns else name
        number = self.cardinal(above, name)
        return f"{number} {re.sub(*self.table.part_plural, name) if many else name}"

    def _fold(self, below: int, many: bool) -> str:
        words = self.cardinal(below)
        if self.table.numbers == "es":
            words = _without_accents(words).replace(" y ", "i").replace(" ", "").rstrip("a")
            return f"{words}{self.table.fold}{'s' if many else ''}"
        return f"{words} {self.table.fold}"

    def part_of(self, match: Match) -> str:
        mixed = re.search(r"(\d+)\s+$", match.string[: match.start()])
        # Where the half comes last, `1 1/2` has its noun after the one.
        many = mixed and not (any(self.table.half_last) and mixed[1] == "1")
        return f"{match[1]} {self._forms(match[2])[bool(many)]}"

    def power(self, match: Match) -> str:
        digits = unicodedata.normalize("NFKC", match[1]).replace("−", "-")
        if digits in ("2", "3"):
            return " " + self.table.raised[int(digits) - 2]
        minus = f"{self.table.minus} " if digits[0] == "-" else ""
        return f" {self.table.raised[2]} {minus}{self.amount(digits.lstrip('+-'))}"

    # --- Roman numbers ----------------------------------------------------------------------------

    def roman_rules(self, rule: Callable[..., Rewrite], roman: str) -> list[Rewrite]:
        lone, point = (r"|[VX]\.", r"\.?") if self.table.roman_point else ("", "")
        named = (
            rf"(?<!\w)([{CAPITAL}][{SMALL}]+) "
            rf"(?=\w\w|I(?:\s[{SMALL}]|[,.]|$){lone}){roman}{point}"
        )
        rules = [
            rule(
                rf"(?i:\b({self.table.numbered})s?) {roman}"
                rf"(?: (?:{self.table.joined}|{self.table.to}) {roman})?",
                self.roman_numbers,
            ),
            rule(named, self.king),
        ]
        if self.table.centuries:
            century = rf"(?i:\b({self.table.centuries})) {roman}"
            centuries = rf"(?i:\b(?:{self.table.centuries})s) [IVX]+(?:,? \w+ [IVX]+)*\b"
            rules.insert(0, rule(century, self.king))
            rules.insert(1, rule(centuries, self.roman_numbers))
            # An ordinal before its noun, as in the second world war.
            before = rf"(?<![\w.] )(?<!\w)(?=\w\w){roman} ([{CAPITAL}]?[{SMALL}]{{3,}})"
            rules.append(rule(before, self.roman_ordinal))
        return rules

    def roman_numbers(self, match: Match) -> str:
        """A Roman number after its noun; in English, `I` after a lower-case word is a pronoun."""
        if self.table.english and re.search(r"[a-z]\w* I$", match[0]) and match[0][0].islower():
            return match[0]
        return re.sub(r"\b[IVX]+\b", lambda numeral: str(_roman(numeral[0])), match[0])

    def arabic(self, mark: str) -> Callable[[Match], str]:
        """A Roman ordinal in the digits and with the mark that the rule for ordinals knows."""
        return lambda match: f"{_roman(match[1])}{mark}" if match[1] else match[0]

    def roman_ordinal(self, match: Match) -> str:
        if match[2] in self.table.particles:
            return match[0]
        spoken = self._ordinal(_roman(match[1]), self._is_feminine(match[2]))
        return f"{spoken.capitalize() if match[2][0].isupper() else spoken} {match[2]}"

    def king(self, match: Match) -> str:
        """An ordinal after a name; a large one is read as a number, in French all but the first."""
        if match[1] == "I" or (self.table.english and match[2] == "I"):
            return match[0]
        if self.table.roman_point and match[1].lower() in self.table.particles:
            return match[0]
        value = _roman(match[2])
        if value > self.table.ordinals_to:
            return f"{match[1]} {self.cardinal(value)}{self._stop(match)}"
        feminine = self._is_feminine(match[1])
        spoken = self._ordinal(value, feminine)
        kings = self.table.kings[feminine]
        name = f"{match[1]} {kings}{spoken.capitalize() if kings else spoken}"
        return name + self._stop(match)

    # --- dates and times --------------------------------------------------------------------------

    def date(self, match: Match, year: int, month: int, day: int) -> str:
        months, at = self.table.months, int(match[month])
        if not (1 <= at <= 12 and 1 <= int(match[day]) <= 31):
            return self.digits(match)
        first = int(match[day]) == 1 and self.table.first_of_month
        return self.table.date.format(
            month=months[at - 1],
            day=self._ordinal(1) if first else int(match[day]),
            ordinal=self._ordinal(int(match[day])),
            year=match[year],
        )

    def short_date(self, match: Match) -> str:
        month_first = self.table.month_first and int(match[1]) <= 12
        return self.date(match, 4, 1, 3) if month_first else self.date(match, 4, 3, 1)

    def day_and_month(self, match: Match) -> str:
        day, month = int(match[2]), int(match[3])
        if not (1 <= day <= 31 and 1 <= month <= 12):
            return match[0]
        date = self.table.day_month.format(day=day, month=self.table.months[month - 1])
        return f"{match[1]} {date}{self._stop(match)}"

    def _month_after(self) -> str:
        """The pattern of what follows the number of a day: its month."""
        return self.table.day_month.removeprefix("{day}").format(
            month=f"(?:{'|'.join(self.table.months)})"
        )

    def month_names(self, rule: Callable[..., Rewrite]) -> list[Rewrite]:
        """English says `May 5` and `5 May` with an ordinal; others only the first of a month."""
        months = "|".join(self.table.months)
        if self.table.month_first:
            short = "|".join(f"{month[:3]}\\.|{month[:4]}\\." for month in self.table.months)
            return [
                rule(rf"\b({months}|{short}) (\d\d?)(?:st|nd|rd|th)?(?!\w|[:.,]?\d|%)", self.day),
                rule(
                    rf"(?<![\d.,:/$-])\b(the )?(\d\d?)(?:st|nd|rd|th)?(?: of)? ({months})\b",
                    lambda m: f"the {self._ordinal(int(m[2]))} of {m[3]}",
                ),
            ]
        if self.table.first_of_month:
            return [rule(rf"\b1(?={self._month_after()}\b)", self._ordinal(1))]
        return []

    def day(self, match: Match) -> str:
        start = match[1].rstrip(".")
        month = next(name for name in self.table.months if name.startswith(start[:3]))
        return f"{month} {self._ordinal(int(match[2]))}"

    def time(self, match: Match) -> str:
        hours, minutes, seconds = int(match[1]), int(match[2]), match[3]
        hour = self.table.hour
        if hours > 24 or minutes > 59:
            return f"{match[1]} {self.table.ratio or self.table.to} {match[2]}"
        rest = match.string[match.end() :]
        minute = self.table.units["min"]
        if seconds:
            counted = [
                f"{number} {forms[self._is_many(number)]}"
                for number, forms in (
                    (hours, self.table.units["h"]),
                    (minutes, minute),
                    (int(seconds), self.table.second),
                )
            ]
            return f"{counted[0]} {counted[1]} {self.table.joined} {counted[2]}"
        spoken = self.cardinal(hours, hour[1] if self.table.feminine else "")
        space = " " if rest[:1].isalpha() else ""
        if not minutes:
            half_day = re.match(r"\s?[ap]\.? ?m\b", rest, re.I)
            full = hour[1] if match[4] else self.table.o_clock
            if full == hour[1]:
                full = hour[self._is_many(hours)]
            return " ".join(filter(None, [spoken, "" if half_day else full])) + space
        between = self.table.and_minutes or ("oh" if minutes < 10 else "")
        # Minutes that follow `heures` are counted; those that follow `and` or `Uhr` are not.
        noun = minute[1] if between == hour[1] != hour[0] else ""
        if noun:
            between = hour[self._is_many(hours)]
        return " ".join(filter(None, [spoken, between, self.cardinal(minutes, noun)])) + space

    def _is_many(self, number: int) -> bool:
        """Whether a number has its noun in the plural."""
        return number > 1 or (number == 0 and not self.table.plural_from_two)

    # --- measures and money -----------------------------------------------------------------------

    def feet_rules(self, rule: Callable[..., Rewrite]) -> list[Rewrite]:
        if "ft" not in self.table.units:
            return []
        inches = r"(?:\"|''|″|in\b\.?|(?!\w))"
        return [
            rule(rf"(\d+)\s?(?:'|ft\b\.?)\s?(\d+)\s?{inches}", r"\1 foot \2"),
            rule(r"(?<![\w.,])(\d+)(['\"])(?![\w'\"])", self.foot_or_inch),
        ]

    def foot_or_inch(self, match: Match) -> str:
        """A measure, unless its inch mark closes a quotation."""
        opened = r"(?<!\w)'" if match[2] == "'" else r'(?<!\d)"'
        if len(re.findall(opened, match.string[: match.start()])) % 2:
            return match[0]
        forms = self.table.units["ft" if match[2] == "'" else "in."]
        return f"{match[1]} {self._noun(match, match[1], forms)}"

    def measure(self, match: Match) -> str:
        forms = self._forms(match[2])
        stop = "." if re.match(rf"$|\s+[{CAPITAL}]", match.string[match.end() :]) else ""
        stop = stop if match[0].endswith(".") else ""
        if self.table.capital_nouns and match[2] in self.table.units:
            stop = self._stop(match)
        number = self._written(match[1])
        return f"{number} {self._noun(match, match[1], forms)}{stop}"

    def _forms(self, written: str) -> Noun:
        """Singular and plural of a unit, with its abbreviation mark or its power."""
        units = self.table.units
        written = written if written in units else written.rstrip(".")
        if written in units:
            return units[written]
        singular, plural = self.table.powers[unicodedata.normalize("NFKC", written[-1])]
        one, more = units[written[:-1]]
        return singular.format(one), plural.format(more)

    def _written(self, digits: str) -> str:
        whole, fraction = self._parts(digits)
        return self._grouped(whole) if whole and not fraction else digits

    def _noun(self, match: Match, digits: str, forms: Noun) -> str:
        """Singular after one, and in English as an adjective: a 5 dollar bill."""
        as_adjective = re.search(r"\b[Aa]n? $", match.string[: match.start()])
        following = re.match(rf"\s([{SMALL}]+)", match.string[match.end() :])
        noun = following[1] if following else ""
        if self.table.english and as_adjective and noun and noun not in self.table.particles:
            return forms[0]
        whole, fraction = self._parts(digits)
        if self.table.plural_from_two:
            return forms[int(whole or 0) > 1]
        return forms[0] if (whole, fraction) == ("1", "") else forms[1]

    def rate(self, match: Match) -> str:
        per = self.table.units.get(match[2], (self.table.rates.get(match[2], match[2]), ""))[0]
        return f"{match[1]} {self.table.per} {per}"

    def money(self, match: Match, sign: str, digits: str, large: str | None) -> str:
        main, hundredth = self.table.currencies[sign]
        space = " " if match.string[match.end() :][:1].isalpha() else ""
        if large:
            name = self._noun(match, digits, self.table.magnitudes[large])
            millions = self.table.of_millions and re.fullmatch(self.table.millions, name)
            of = f"{self.table.of_millions} " if millions else ""
            plural = self._noun(match, "2", main)
            return f"{self._written(digits)} {name} {of}{plural}{self._stop(match)}{space}"
        whole, fraction = self._parts(digits)
        if fraction and len(fraction) != 2:
            return f"{digits} {main[1]}{space}"
        noun = self._noun(match, whole, main)
        parts = []
        if int(whole or 0) or not int(fraction or 0):
            parts = [f"{self._grouped(whole)} {noun}"]
        if fraction and int(fraction):
            cents = self._noun(match, str(int(fraction)), hundredth)
            parts.append(f"{int(fraction)} {cents}")
        return f" {self.table.and_} ".join(parts) + space


def _roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[letter] for letter in numeral]
    after = [*values[1:], 0]
    return sum(-one if one < other else one for one, other in zip(values, after, strict=True))


def _without_accents(word: str) -> str:
    return "".join(
        letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter)
    )


def _agree(words: str, context: str, agreement: Agreement) -> str:
    """A number in the form that it has in its context."""
    for pattern, form, become in agreement:
        if re.search(pattern, context, re.IGNORECASE):
            words = re.sub(form, become, words)
    return words


_RULES = {language: _rules(table) for language, table in TABLES.items()}
