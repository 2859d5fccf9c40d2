"""One table per language with the words that the rules of `likeness.voice.text` use.

Unicode's CLDR does not replace them: its names are formal ("Brazilian real", "dólar
estadounidense"), and it has neither the hundredths of currencies nor abbreviations.
"""

from dataclasses import dataclass, field, replace
from typing import Any

Noun = tuple[str, str]  # singular and plural


@dataclass(frozen=True, kw_only=True)
class Language:
    """How one language speaks symbols, numbers and abbreviations. What it lacks is left out.

    Attributes:
        numbers: the language's name in num2words.
        decimal, thousands: separators in numbers.
        round_thousands: whether 1,250 is a thousand although `,` is the decimal mark: Mexico groups by
            `,`, and nobody writes three decimals that end in 0.
        point, minus, plus, and_, joined, to, by, per, over: words between and before numbers;
            `and_` joins money and its cents, `joined` everything else.
        dot, version: the word for the dot in a web address, and for that in 2.0.1.
        fraction_as_number: whether 3,14 ends in "fourteen" or in "one four".
        years: whether 1984 is "nineteen eighty-four" or read as any other number.
        of_millions: the word between a round million and a noun.
        o_clock: said of full hours.
        and_minutes: between hours and minutes; without one, minutes below ten are "oh five".
        ordinal: pattern of ordinals: group 1 has the digits, group `feminine` matches feminine ones.
        month_first: whether 5/6/2024 is 6 May.
        date: pattern of a day, a month and a year.
        dated: words before 5/6 that make it a date; elsewhere it is a fraction.
        months: from January.
        halves: words for a half: alone, before a feminine noun, and after a whole number.
        parts: words for fractions that are not ordinals, by denominator.
        fold: suffix that makes a denominator of any other number above ten.
        times: the noun of 10x.
        abbreviations: full words by spelling; the first letter may be upper or lower case.
        titles: those of them that are also written without the point, before a name.
        before_number: patterns of abbreviations that count only before a number; `#` is read
            as the first of them.
        contexts: patterns of abbreviations that depend on the words around them, and replacements.
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
        kings: said before an ordinal after a name.
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
    over: str
    dot: str
    version: str
    fraction_as_number: bool
    years: bool
    of_millions: str = ""
    o_clock: str
    and_minutes: str = ""
    ordinal: str
    month_first: bool
    date: str
    dated: str = ""
    months: tuple[str, ...]
    halves: tuple[str, str, str]
    parts: dict[int, str]
    fold: str = ""
    times: str
    abbreviations: dict[str, str]
    titles: tuple[str, ...]
    before_number: dict[str, str]
    contexts: tuple[tuple[str, str], ...]
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
    kings: str = ""
    ordinals_to: int
    centuries: str = ""
    masculine: str = ""
    feminine: str = ""
    particles: frozenset[str]
    www: str


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = Language(
    numbers="en",
    decimal=".",
    thousands=",",
    point="point",
    minus="minus",
    plus="plus",
    and_="and",
    joined="and",
    to="to",
    by="by",
    per="per",
    over="over",
    dot="dot",
    version="point",
    fraction_as_number=False,
    years=True,
    o_clock="o'clock",
    ordinal=r"(\d+(?:,\d{3})*)(?:st|nd|rd|th|ST|ND|RD|TH)\b",
    month_first=True,
    date="{month} {ordinal}, {year}",
    months=(
        *("January", "February", "March", "April", "May", "June", "July", "August"),
        *("September", "October", "November", "December"),
    ),
    halves=("one half", "one half", "a half"),
    parts={4: "quarter"},
    times="times",
    abbreviations={
        "Mr.": "Mister",
        "Mrs.": "Missus",
        "Ms.": "Miss",
        "Dr.": "Doctor",
        "Drs.": "Doctors",
        "Prof.": "Professor",
        "Rev.": "Reverend",
        "Gen.": "General",
        "Col.": "Colonel",
        "Sen.": "Senator",
        "Rep.": "Representative",
        "Capt.": "Captain",
        "Lt.": "Lieutenant",
        "Sgt.": "Sergeant",
        "Gov.": "Governor",
        "Jr.": "Junior",
        "Sr.": "Senior",
        "Co.": "Company",
        "Corp.": "Corporation",
        "Ltd.": "Limited",
        "Inc.": "Incorporated",
        "Ave.": "Avenue",
        "Blvd.": "Boulevard",
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
    titles=("Mr.", "Mrs.", "Ms.", "Dr.", "Prof."),
    before_number={
        r"[Nn]o\.": "number",
        r"[Nn]os\.": "numbers",
        r"[Vv]ol\.": "volume",
        r"[Cc]h\.": "chapter",
        r"[Ff]ig\.": "figure",
        r"[Aa]pt\.": "apartment",
        r"[Ee]xt\.": "extension",
        r"pp\.": "pages",
        r"p\.": "page",
    },
    # After a small letter or a sign: after a name, it is a road.
    contexts=((r"(^|(?<!\w)[a-z]+\s|[,;:(.]\s)St(?=\s[A-Z]\w)", r"\1Saint"),),
    streets={"St.": ("Saint", "Street"), "Dr.": ("Doctor", "Drive")},
    signs={
        "%": "percent",
        "‰": "per thousand",
        "&": "and",
        "+": "plus",
        "=": "equals",
        "@": "at",
        "°": "degrees",
        "#": "hash",
        "§": "section",
        "±": "plus or minus",
        "÷": "divided by",
        "√": "square root of",
        "∞": "infinity",
        "≠": "is not equal to",
        "≤": "less than or equal to",
        "≥": "greater than or equal to",
        "≈": "approximately",
    },
    before_digit={"<": "less than", ">": "greater than", "~": "about", "*": "times"},
    currencies={
        "US$|$": (("dollar", "dollars"), ("cent", "cents")),
        "USD": (("US dollar", "US dollars"), ("cent", "cents")),
        "C$|CAD": (("Canadian dollar", "Canadian dollars"), ("cent", "cents")),
        "A$|AUD": (("Australian dollar", "Australian dollars"), ("cent", "cents")),
        "MX$|MXN|₱": (("peso", "pesos"), ("centavo", "centavos")),
        "R$": (("real", "reais"), ("centavo", "centavos")),
        "€|EUR": (("euro", "euros"), ("cent", "cents")),
        "£|GBP": (("pound", "pounds"), ("penny", "pence")),
        "¥": (("yen", "yen"), ("sen", "sen")),
        "₹": (("rupee", "rupees"), ("paisa", "paise")),
        "₩": (("won", "won"), ("jeon", "jeon")),
        "₽": (("ruble", "rubles"), ("kopeck", "kopecks")),
        "₺": (("lira", "lira"), ("kurus", "kurus")),
        "₴": (("hryvnia", "hryvnias"), ("kopiyka", "kopiykas")),
        "₪": (("shekel", "shekels"), ("agora", "agorot")),
        "₫": (("dong", "dong"), ("xu", "xu")),
        "₦": (("naira", "naira"), ("kobo", "kobo")),
        "฿": (("baht", "baht"), ("satang", "satang")),
        "₿": (("bitcoin", "bitcoins"), ("cent", "cents")),
        "¢": (("cent", "cents"), ("hundredth", "hundredths")),
    },
    magnitudes={
        "hundred": ("hundred", "hundred"),
        "thousand|k|K": ("thousand", "thousand"),
        "million|M|m|mn|MM": ("million", "million"),
        "billion|B|b|bn": ("billion", "billion"),
        "trillion|T|tn": ("trillion", "trillion"),
    },
    units={
        "mph": ("mile per hour", "miles per hour"),
        "km": ("kilometer", "kilometers"),
        "cm": ("centimeter", "centimeters"),
        "mm": ("millimeter", "millimeters"),
        "m": ("meter", "meters"),
        "mi": ("mile", "miles"),
        "yd": ("yard", "yards"),
        "ft": ("foot", "feet"),
        "in.|″": ("inch", "inches"),
        "sq ft": ("square foot", "square feet"),
        "kg": ("kilogram", "kilograms"),
        "mg": ("milligram", "milligrams"),
        "g": ("gram", "grams"),
        "lbs|lb": ("pound", "pounds"),
        "oz": ("ounce", "ounces"),
        "ml|mL": ("milliliter", "milliliters"),
        "l|L": ("liter", "liters"),
        "kHz": ("kilohertz", "kilohertz"),
        "Hz": ("hertz", "hertz"),
        "MHz": ("megahertz", "megahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "kWh": ("kilowatt hour", "kilowatt hours"),
        "kW": ("kilowatt", "kilowatts"),
        "W": ("watt", "watts"),
        "V": ("volt", "volts"),
        "KB": ("kilobyte", "kilobytes"),
        "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"),
        "TB": ("terabyte", "terabytes"),
        "ms": ("millisecond", "milliseconds"),
        "sec": ("second", "seconds"),
        "min|mins": ("minute", "minutes"),
        "h|hr|hrs": ("hour", "hours"),
        "°C": ("degree Celsius", "degrees Celsius"),
        "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
        "°": ("degree", "degrees"),
    },
    rates={"s": "second", "mo": "month", "yr": "year", "wk": "week", "ea": "each"},
    powers={"2": ("square {}", "square {}"), "3": ("cubic {}", "cubic {}")},
    raised=("squared", "cubed", "to the power of"),
    numbered=(
        "chapter|volume|part|book|act|scene|phase|stage|class|type|level|section|article|war|bowl|"
        "mark|appendix|grade|figure|table"
    ),
    kings="the ",
    ordinals_to=100,
    particles=_words(
        "a about after all an and are as at because before but by each everyone for from have he "
        "her here his how i if in is it its many most my never next no not now of on one or our she "
        "so some that the their then there these they this those to today under was we were what "
        "when where which while who why will with you your"
    ),
    www="double u double u double u",
)

PORTUGUESE = Language(
    numbers="pt_BR",
    decimal=",",
    thousands=".",
    point="vírgula",
    minus="menos",
    plus="mais",
    and_="e",
    joined="e",
    to="a",
    by="por",
    per="por",
    over="sobre",
    dot="ponto",
    version="ponto",
    fraction_as_number=True,
    years=False,
    of_millions="de",
    o_clock="horas",
    and_minutes="e",
    ordinal=r"(\d+(?:\.\d{3})*)(?:\.?[º°]|o\b|\.?(?P<feminine>ª|a\b))(?!\w)(?:\.(?=\s[a-zà-ÿ]))?",
    month_first=False,
    date="{day} de {month} de {year}",
    dated="dia|até|desde",
    months=(
        *("janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto"),
        *("setembro", "outubro", "novembro", "dezembro"),
    ),
    halves=("meio", "meia", "meio"),
    parts={3: "terço"},
    fold="avos",
    times="vezes",
    abbreviations={
        "Sr.": "Senhor",
        "Srs.": "Senhores",
        "Sra.": "Senhora",
        "Sras.": "Senhoras",
        "Srta.": "Senhorita",
        "Dr.": "Doutor",
        "Drs.": "Doutores",
        "Dra.": "Doutora",
        "Dras.": "Doutoras",
        "Prof.": "Professor",
        "Profa.": "Professora",
        "Eng.": "Engenheiro",
        "Pe.": "Padre",
        "Sto.": "Santo",
        "Sta.": "Santa",
        "Exmo.": "Excelentíssimo",
        "Exma.": "Excelentíssima",
        "Av.": "Avenida",
        "Ltda.": "Limitada",
        "Cia.": "Companhia",
        "Jr.": "Júnior",
        "etc.": "et cetera",
        "ex.": "exemplo",
        "aprox.": "aproximadamente",
        "máx.": "máximo",
        "mín.": "mínimo",
        "obs.": "observação",
        "tel.": "telefone",
        "vs.": "versus",
    },
    titles=("Sr.", "Sra.", "Srta.", "Dr.", "Dra."),
    before_number={
        r"[Nn](?:\.?[º°]|\.?o\.|\.)": "número",
        r"[Nn]úm\.": "número",
        r"[Vv]ol\.": "volume",
        r"[Cc]ap\.": "capítulo",
        r"[Aa]rt\.": "artigo",
        r"[Ff]ig\.": "figura",
        r"[Aa]pto\.": "apartamento",
        r"[Pp]ágs\.": "páginas",
        r"[Pp]ág\.": "página",
        r"p\.": "página",
    },
    contexts=(
        (r"\bp\.\s?ex\.", "por exemplo"),
        (r"\ba\.\s?C\.", "antes de Cristo"),
        (r"\bd\.\s?C\.", "depois de Cristo"),
        (r"\b[Ss]éc\.(?=\s[IVX])", "século"),
        # After a small letter or a sign: after a name, it is an initial.
        (r"(^|(?<!\w)[a-zà-ÿ]+\s|[,;:(]\s?)D\.(?=\s[A-ZÀ-Ý]\w*a\b)", r"\1Dona"),
        (r"(^|(?<!\w)[a-zà-ÿ]+\s|[,;:(]\s?)D\.(?=\s[A-ZÀ-Ý]\w)", r"\1Dom"),
        (r"(^|(?<!\w)[a-zà-ÿ]+\s|[,;:(]\s?)R\.(?=\s[A-ZÀ-Ý]\w)", r"\1Rua"),
    ),
    signs={
        "%": "por cento",
        "‰": "por mil",
        "&": "e",
        "+": "mais",
        "=": "igual a",
        "@": "arroba",
        "#": "hashtag",
        "∞": "infinito",
        "°": "graus",
        "§": "parágrafo",
        "±": "mais ou menos",
        "÷": "dividido por",
        "√": "raiz quadrada de",
        "≠": "diferente de",
        "≤": "menor ou igual a",
        "≥": "maior ou igual a",
        "≈": "aproximadamente",
    },
    before_digit={"<": "menor que", ">": "maior que", "~": "cerca de", "*": "vezes"},
    currencies={
        "US$|USD|$": (("dólar", "dólares"), ("centavo", "centavos")),
        "MX$|₱": (("peso", "pesos"), ("centavo", "centavos")),
        "R$|BRL": (("real", "reais"), ("centavo", "centavos")),
        "€|EUR": (("euro", "euros"), ("centavo", "centavos")),
        "£": (("libra", "libras"), ("centavo", "centavos")),
        "¥": (("iene", "ienes"), ("sen", "sen")),
        "₹": (("rupia", "rupias"), ("paisa", "paisas")),
        "₩": (("won", "wons"), ("jeon", "jeons")),
        "₽": (("rublo", "rublos"), ("copeque", "copeques")),
        "₺": (("lira", "liras"), ("kurus", "kurus")),
        "₴": (("grívnia", "grívnias"), ("copeque", "copeques")),
        "₪": (("shekel", "shekels"), ("agora", "agoras")),
        "₿": (("bitcoin", "bitcoins"), ("centavo", "centavos")),
        "¢": (("centavo", "centavos"), ("centésimo", "centésimos")),
    },
    magnitudes={
        "mil|k|K": ("mil", "mil"),
        "milhão": ("milhão", "milhão"),
        "bilhão": ("bilhão", "bilhão"),
        "trilhão": ("trilhão", "trilhão"),
        "milhões|mi|M": ("milhão", "milhões"),
        "bilhões|bi|B": ("bilhão", "bilhões"),
        "trilhões|tri|T": ("trilhão", "trilhões"),
    },
    units={
        "km": ("quilômetro", "quilômetros"),
        "cm": ("centímetro", "centímetros"),
        "mm": ("milímetro", "milímetros"),
        "m": ("metro", "metros"),
        "mi": ("milhão", "milhões"),
        "bi": ("bilhão", "bilhões"),
        "ha": ("hectare", "hectares"),
        "kg": ("quilo", "quilos"),
        "mg": ("miligrama", "miligramas"),
        "g": ("grama", "gramas"),
        "ml|mL": ("mililitro", "mililitros"),
        "l|L": ("litro", "litros"),
        "kHz": ("quilohertz", "quilohertz"),
        "Hz": ("hertz", "hertz"),
        "MHz": ("megahertz", "megahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "kWh": ("quilowatt-hora", "quilowatts-hora"),
        "kW": ("quilowatt", "quilowatts"),
        "W": ("watt", "watts"),
        "V": ("volt", "volts"),
        "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"),
        "TB": ("terabyte", "terabytes"),
        "h|hs|hrs": ("hora", "horas"),
        "min": ("minuto", "minutos"),
        "seg": ("segundo", "segundos"),
        "°C|ºC": ("grau Celsius", "graus Celsius"),
        "°F": ("grau Fahrenheit", "graus Fahrenheit"),
        "°": ("grau", "graus"),
    },
    rates={"s": "segundo"},
    powers={"2": ("{} quadrado", "{} quadrados"), "3": ("{} cúbico", "{} cúbicos")},
    raised=("ao quadrado", "ao cubo", "elevado a"),
    numbered=(
        "capítulo|volume|tomo|parte|livro|ato|cena|fase|classe|tipo|nível|seção|artigo|guerra|"
        "título|grupo|página|número|opção|item|canal|linha|sala|quarto|casa|questão|etapa|aula"
    ),
    ordinals_to=10,
    centuries="século",
    masculine=(
        r"(?:dia|mapa|planeta|\w*[bl]ema|sistema|tema|poema|cinema|clima|idioma|\w*grama|diploma|"
        r"drama|fantasma|cometa|pijama|atleta|colega|poeta|guia|\w+ista|trauma|dilema|aroma|"
        r"sintoma|enigma|gorila|papa|dálmata|telefonema|sofá|vatapá|gângster)s?"
    ),
    feminine=(
        r"\w*(?:as?|[çsx]ão|[gn]ião|[çsx]ões|[gn]iões|[dtz]ades?|ag(?:em|ens)|tudes?)|"
        r"vez(?:es)?|mulher(?:es)?|noites?|tardes?|partes?|mãos?|mães?|cor(?:es)?|flor(?:es)?|"
        r"luz(?:es)?|voz(?:es)?|cruz(?:es)?|raiz(?:es)?|chaves?|classes?|frases?|fontes?|pontes?|"
        r"árvores?|redes?|carnes?|mentes?|bases?|fases?|crises?|séries?|espécies?|leis?|avós?|"
        r"irmãs?|maçãs?|manhãs?|tribos?|fotos?|motos?|ordem|ordens|nuvem|nuvens|colher(?:es)?|"
        r"\w*triz(?:es)?|isabel|leonor|dor(?:es)?|peles?|torres?|estantes?|faces?|raz(?:ão|ões)|mortes?"
    ),
    particles=_words(
        "a abaixo acima agora ainda além amanhã antes ao aos após aqui aquela aquele as assim até "
        "cada com como contra da das de dela dele depois desde do dos e ela elas ele eles em "
        "enquanto então era essa esse esta está este eu fica foi hoje isso já lá logo mais mas menos "
        "meu minha muito na nada não nas negativo nem no nos nossa nosso nunca o onde ontem os ou "
        "outra outro para pela pelas pelo pelos pois por porque positivo quando que quem são se seja "
        "sem sempre ser será seu só sobre sua tem também toda todo um uma você à às é"
    ),
    www="dáblio dáblio dáblio",
)

SPANISH = Language(
    numbers="es",
    decimal=",",
    thousands=".",
    round_thousands=True,
    point="coma",
    minus="menos",
    plus="más",
    and_="con",
    joined="y",
    to="a",
    by="por",
    per="por",
    over="sobre",
    dot="punto",
    version="punto",
    fraction_as_number=True,
    years=False,
    of_millions="de",
    o_clock="en punto",
    and_minutes="y",
    ordinal=(
        r"(\d+(?:\.\d{3})*)\.?(?:[º°]|er|[rdtmvn]?o\b|(?P<feminine>ª|[rdtmvn]?a\b))(?!\w)"
        r"(?:\.(?=\s[a-zà-ÿ]))?"
    ),
    month_first=False,
    date="{day} de {month} de {year}",
    dated="día|el|del|hasta|desde",
    months=(
        *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto"),
        *("septiembre", "octubre", "noviembre", "diciembre"),
    ),
    halves=("medio", "media", "medio"),
    parts={3: "tercio"},
    fold="avo",
    times="veces",
    abbreviations={
        "Sr.": "Señor",
        "Sres.": "Señores",
        "Sra.": "Señora",
        "Sras.": "Señoras",
        "Srta.": "Señorita",
        "Dr.": "Doctor",
        "Dres.": "Doctores",
        "Dra.": "Doctora",
        "Dras.": "Doctoras",
        "Dña.": "Doña",
        "Prof.": "Profesor",
        "Profa.": "Profesora",
        "Lic.": "Licenciado",
        "Ing.": "Ingeniero",
        "Gral.": "General",
        "Sto.": "Santo",
        "Sta.": "Santa",
        "Ud.": "Usted",
        "Vd.": "Usted",
        "Uds.": "Ustedes",
        "Vds.": "Ustedes",
        "Av.": "Avenida",
        "Avda.": "Avenida",
        "Cía.": "Compañía",
        "Hnos.": "Hermanos",
        "etc.": "etcétera",
        "ej.": "ejemplo",
        "aprox.": "aproximadamente",
        "máx.": "máximo",
        "mín.": "mínimo",
        "tel.": "teléfono",
        "vs.": "versus",
    },
    titles=("Sr.", "Sra.", "Srta.", "Dr.", "Dra."),
    before_number={
        r"[Nn](?:\.?[º°]|\.?o\.|\.)": "número",
        r"[Nn]úm\.": "número",
        r"[Vv]ol\.": "volumen",
        r"[Cc]ap\.": "capítulo",
        r"[Aa]rt\.": "artículo",
        r"[Ff]ig\.": "figura",
        r"[Pp]ágs\.": "páginas",
        r"[Pp]ág\.": "página",
        r"p\.": "página",
    },
    contexts=(
        (r"\bM\.?ª(?!\w)", "María"),
        (r"\bD\.ª(?!\w)", "Doña"),
        (r"\bFco\.", "Francisco"),
        (r"\bEE\.?\s?UU\.?(?!\w)", "Estados Unidos"),
        (r"\bp\.\s?ej\.", "por ejemplo"),
        (r"\ba\.\s?C\.", "antes de Cristo"),
        (r"\bd\.\s?C\.", "después de Cristo"),
        (r"\bC/\s?(?=[A-ZÁÉÍÓÚÑ])", "Calle "),
        (r"\bc/\s?(?=[A-ZÁÉÍÓÚÑ])", "calle "),
        (r"\bs\.(?=\s[IVX])", "siglo"),
        # After a small letter or a sign: after a name, it is an initial.
        (r"(^|(?<!\w)[a-zà-ÿ]+\s|[,;:(]\s?)D\.(?=\s[A-ZÁÉÍÓÚÑ]\w)", r"\1Don"),
    ),
    signs={
        "%": "por ciento",
        "‰": "por mil",
        "&": "y",
        "+": "más",
        "=": "igual a",
        "@": "arroba",
        "#": "hashtag",
        "∞": "infinito",
        "°": "grados",
        "§": "sección",
        "±": "más menos",
        "÷": "dividido por",
        "√": "raíz cuadrada de",
        "≠": "distinto de",
        "≤": "menor o igual que",
        "≥": "mayor o igual que",
        "≈": "aproximadamente",
    },
    before_digit={"<": "menor que", ">": "mayor que", "~": "unos", "*": "por"},
    currencies={
        "US$|USD|$": (("dólar", "dólares"), ("centavo", "centavos")),
        "MX$|MXN|₱": (("peso", "pesos"), ("centavo", "centavos")),
        "R$": (("real", "reales"), ("centavo", "centavos")),
        "€|EUR": (("euro", "euros"), ("céntimo", "céntimos")),
        "£": (("libra", "libras"), ("penique", "peniques")),
        "¥": (("yen", "yenes"), ("sen", "sen")),
        "₹": (("rupia", "rupias"), ("paisa", "paisas")),
        "₩": (("won", "wones"), ("jeon", "jeones")),
        "₽": (("rublo", "rublos"), ("kopek", "kopeks")),
        "₺": (("lira", "liras"), ("kurus", "kurus")),
        "₴": (("grivna", "grivnas"), ("kopek", "kopeks")),
        "₪": (("séquel", "séqueles"), ("agora", "agoras")),
        "₿": (("bitcoin", "bitcoins"), ("centavo", "centavos")),
        "¢": (("centavo", "centavos"), ("centésimo", "centésimos")),
    },
    magnitudes={
        "mil|k|K": ("mil", "mil"),
        "millón|millones|M": ("millón", "millones"),
        "billón|billones": ("billón", "billones"),
    },
    units={
        "km": ("kilómetro", "kilómetros"),
        "cm": ("centímetro", "centímetros"),
        "mm": ("milímetro", "milímetros"),
        "m": ("metro", "metros"),
        "ha": ("hectárea", "hectáreas"),
        "kg": ("kilo", "kilos"),
        "mg": ("miligramo", "miligramos"),
        "g|gr": ("gramo", "gramos"),
        "ml|mL": ("mililitro", "mililitros"),
        "l|L": ("litro", "litros"),
        "kHz": ("kilohercio", "kilohercios"),
        "Hz": ("hercio", "hercios"),
        "MHz": ("megahercio", "megahercios"),
        "GHz": ("gigahercio", "gigahercios"),
        "kWh": ("kilovatio hora", "kilovatios hora"),
        "kW": ("kilovatio", "kilovatios"),
        "W": ("vatio", "vatios"),
        "V": ("voltio", "voltios"),
        "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"),
        "TB": ("terabyte", "terabytes"),
        "h|hs|hrs": ("hora", "horas"),
        "min": ("minuto", "minutos"),
        "seg": ("segundo", "segundos"),
        "°C|ºC": ("grado Celsius", "grados Celsius"),
        "°F": ("grado Fahrenheit", "grados Fahrenheit"),
        "°": ("grado", "grados"),
    },
    rates={"s": "segundo"},
    powers={"2": ("{} cuadrado", "{} cuadrados"), "3": ("{} cúbico", "{} cúbicos")},
    raised=("al cuadrado", "al cubo", "elevado a"),
    numbered=(
        "capítulo|volumen|tomo|parte|libro|acto|escena|fase|clase|tipo|nivel|sección|artículo|"
        "guerra|título|grupo|página|número|opción|canal|línea|sala|casa|cuestión|etapa|lección|"
        "el|del|al"
    ),
    ordinals_to=10,
    centuries="siglo",
    masculine=(
        r"(?:día|mapa|planeta|\w*[bl]ema|sistema|tema|poema|cinema|clima|idioma|\w*grama|diploma|"
        r"drama|fantasma|cometa|pijama|atleta|colega|poeta|guía|\w+ista|trauma|dilema|aroma|"
        r"síntoma|enigma|gorila|papa|dálmata|sofá|avi[oó]n(?:e)?|cami[oó]n(?:e)?|gui[oó]n(?:e)?)s?"
    ),
    feminine=(
        r"\w*(?:as?|i[oó]n(?:es)?|[dt]ad(?:es)?|tud(?:es)?|umbres?|tri(?:z|ces))|ve(?:z|ces)|"
        r"mujer(?:es)?|noches?|tardes?|partes?|manos?|flor(?:es)?|lu(?:z|ces)|vo(?:z|ces)|"
        r"cru(?:z|ces)|llaves?|clases?|frases?|fuentes?|red(?:es)?|calles?|nubes?|bases?|fases?|"
        r"series?|especies?|ley(?:es)?|fotos?|motos?|im[aá]gen(?:es)?|torres?|piel(?:es)?|"
        r"isabel|leonor|raz[oó]n(?:es)?|claves?|naves?|muertes?|superficies?|crisis|tesis|dosis"
    ),
    particles=_words(
        "a además ahora al algo allí ante antes aquel aquella aquí así aun aunque bajo cada "
        "casi como con contra cuando cuál de del desde después donde durante e el ella ellas ellos "
        "en entonces entre era es esa ese esta está este esto eran fue fueron hace hacia hasta hay "
        "hoy la las le les lo los luego mañana mas menos mi mientras muy más nada ni no nos nuestra "
        "nuestro nunca o para pero poco por porque pues que quien qué se según ser será si sin "
        "siempre sobre son su sus también tan te tiene todo tras tu u un una y ya yo él"
    ),
    www="uve doble uve doble uve doble",
)


def _spelled_out(table: Language) -> Language:
    """The table with an entry for each of the spellings in a key, which `|` divides."""
    spelled: dict[str, Any] = {
        name: {one: value for key, value in getattr(table, name).items() for one in key.split("|")}
        for name in ("currencies", "magnitudes", "units")
    }
    return replace(table, **spelled)


TABLES = {
    "en": _spelled_out(ENGLISH),
    "es": _spelled_out(SPANISH),
    "pt": _spelled_out(PORTUGUESE),
}
# What ends in a point and yet ends no sentence, in any of the languages.
ABBREVIATIONS = frozenset(
    {
        *("st.", "d.", "r."),
        *(short.lower() for table in TABLES.values() for short in table.abbreviations),
    }
)
