"""What a table of a language holds."""

from dataclasses import dataclass, field

Noun = tuple[str, str]  # singular and plural
# Pattern of a context, pattern of the words that it changes, and what they become.
Agreement = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Language:
    """How one language speaks symbols, numbers and abbreviations. What it lacks is left out.

    Attributes:
        numbers: the language's name in num2words.
        decimal, thousands: separators in numbers.
        round_thousands: whether 1,250 is a thousand although `,` is the decimal mark: Mexico groups by
            `,`, and nobody writes three decimals that end in 0.
        point, minus, plus, and_, joined, to, by, per, over: words between and before numbers;
            `and_` joins money and its cents, `joined` everything else; 24/7 is read without `over`
            where there is none.
        ratio: the word in 3:2, where it is not `to`.
        or_: pattern of the word in `1 or 2 hours`.
        dot, version: the word for the dot in a web address, and for that in 2.0.1.
        fraction_as_number: whether 3,14 ends in "fourteen" or in "one four".
        years: pattern of the numbers that are read as years, in hundreds as "nineteen eighty-four".
        english: what only English has: the 90s, a 5 dollar bill with a singular, and `I`, a pronoun.
        capital_nouns: whether a noun begins with a capital, as in German.
        plurals: pattern of nouns that may be plurals; a number above one counts no others.
        plural_from_two: whether 0 and 1.5 have a singular, as in French.
        millions: pattern of a million and of larger ones, in words.
        of_millions: the word between a round million and a noun.
        agreement: what changes in a number's words by its context, which is written
            `words before|gender|noun`: the gender is `f` or `m`, or empty as the noun where it counts
            none. All that match are applied.
        suffixes: pattern of letters after a number that form one word with it.
        hour, second: nouns of the time of day.
        clock: pattern of what stands between the digits of hours and minutes.
        o_clock: said of full hours.
        and_minutes: between hours and minutes; without one, minutes below ten are "oh five". Where it
            is the plural of `hour`, the minutes agree with their noun, which is not said.
        ordinal: pattern of ordinals: group 1 has the digits, group `feminine` matches feminine ones.
        ordinal_agreement: as `agreement`, for ordinals; the context is `|f|` or `||`.
        endings: patterns of the context of an ordinal and the ending that it has there, the first that
            matches; the context is as in `agreement`. Where none matches, it is a number.
        month_first: whether 5/6/2024 is 6 May.
        first_of_month: whether the first of a month, and no other day, is an ordinal.
        date: pattern of a day, a month and a year.
        day_month: pattern of a day and a month.
        dated: words before 5/6 that make it a date; elsewhere it is a fraction.
        day_and_month: pattern of that date, with two groups.
        months: from January.
        halves: words for a half: alone, before a feminine noun, and after a whole number.
        half_last: the half of "two hours and a half", masculine and feminine, where it is said so.
        parts: words for fractions that are not ordinals, by denominator.
        part: makes an ordinal a fraction.
        part_plural: pattern in the singular of a fraction and what it is in the plural.
        fold: suffix that makes a denominator of any other number above ten.
        times: the noun of 10x.
        abbreviations: full words by spelling; the first letter may be upper or lower case.
        titles: those of them that are also written without the point, before a name.
        before_number: patterns of abbreviations that count only before a number; `#` is read
            as the first of them.
        contexts: patterns of abbreviations that depend on the words around them, and replacements.
        contracted: the same, applied last, to words that change when they stand side by side.
        dialled: patterns of telephone numbers that only this language's countries have.
        dialled_groups: groups of up to as many digits are read as one number in those of any country.
        domains: endings of web addresses, beside the common ones; begins with `|`.
        streets: abbreviations of a title before a name and of a road after one.
        signs: single characters that are spoken.
        before_digit: signs that are spoken this way before a number.
        currencies: sign to its noun and the noun of its hundredth; `|` divides signs of one currency,
            and likewise words of one magnitude and of one unit.
        magnitudes: words and letters between a number and a currency that belong to the number.
        units: sign to noun, after a number.
        rates: further units, after a slash.
        powers: templates for units of area and volume, which take the unit's noun.
        raised: words for the exponents 2, 3 and any other after a number or letter.
        numbered: words before a Roman number, or before a number that does not count a noun.
        roman_ordinals: patterns of what follows a Roman ordinal, and the mark that the ordinal has when
            it is written in digits.
        roman_point: whether a Roman ordinal after a name ends in a point.
        kings: said before an ordinal after a name, a man's and a woman's.
        ordinals_to: the last Roman number that is an ordinal after a name or a century.
        centuries: words before a Roman number that is an ordinal up to `ordinals_to`.
        masculine, feminine: patterns of nouns that numbers agree with; masculine ones first.
        particles: words that are not nouns; with a capital letter, they begin a sentence.
        www: how `www.` is spoken.
    """

    numbers: str
    decimal: str
    thousands: str
    round_thousands: bool = False
    point: str
    minus: str
    plus: str
    and_: str
    joined: str
    to: str
    by: str
    per: str
    over: str = ""
    ratio: str = ""
    or_: str = "ou?|u"
    dot: str
    version: str
    fraction_as_number: bool
    years: str = ""
    english: bool = False
    capital_nouns: bool = False
    plurals: str = "s$"
    plural_from_two: bool = False
    millions: str = ""
    of_millions: str = ""
    agreement: Agreement = ()
    suffixes: str = ""
    hour: Noun
    second: Noun
    clock: str = r":|h(?=\d\d)"
    o_clock: str
    and_minutes: str = ""
    ordinal: str
    ordinal_agreement: Agreement = ()
    endings: tuple[tuple[str, str], ...] = ()
    month_first: bool = False
    first_of_month: bool = False
    date: str
    day_month: str = "{day} de {month}"
    dated: str = ""
    day_and_month: str = r"(\d\d?)/(\d\d?)(?![\d/])"
    months: tuple[str, ...]
    halves: tuple[str, str, str]
    half_last: tuple[str, str] = ("", "")
    parts: dict[int, str]
    part: str = "{}"
    part_plural: tuple[str, str] = ("$", "s")
    fold: str = ""
    times: str
    abbreviations: dict[str, str]
    titles: tuple[str, ...]
    before_number: dict[str, str]
    contexts: tuple[tuple[str, str], ...]
    contracted: tuple[tuple[str, str], ...] = ()
    dialled: tuple[str, ...] = ()
    dialled_groups: int = 0
    domains: str = ""
    streets: dict[str, tuple[str, str]] = field(default_factory=dict)
    signs: dict[str, str]
    before_digit: dict[str, str]
    currencies: dict[str, tuple[Noun, Noun]]
    magnitudes: dict[str, Noun]
    units: dict[str, Noun]
    rates: dict[str, str]
    powers: dict[str, Noun]
    raised: tuple[str, str, str]
    numbered: str
    roman_ordinals: dict[str, str] = field(default_factory=dict)
    roman_point: bool = False
    kings: tuple[str, str] = ("", "")
    ordinals_to: int
    centuries: str = ""
    masculine: str = ""
    feminine: str = ""
    particles: frozenset[str]
    www: str


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())
