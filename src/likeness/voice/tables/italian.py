"""How Italian is spoken."""

from likeness.voice.tables.language import Language, words

ITALIAN = Language(
    numbers="it",
    decimal=",",
    thousands=".",
    point="virgola",
    minus="meno",
    plus="più",
    and_="e",
    joined="e",
    to="a",
    by="per",
    per="al",
    over="su",
    or_="o",
    dot="punto",
    version="punto",
    fraction_as_number=True,
    plurals="[aeiou]$",
    millions=r"\b(?:mil|bil)(?:ion[ei]|iard[oi])\b",
    of_millions="di",
    agreement=(
        (r"\|f\|h?[aeiou]\w*(?:a|ione|tà)$", r"^uno$", "un'"),
        (r"\|f\|", r"^uno$", "una"),
        # Uno stays before s and a consonant, z, gn, ps and the like: uno studente, uno zaino.
        (r"\|m\|(?!z|x|y|gn|ps|pn|s[^aeiou]|i[aeou])", r"^uno$", "un"),
    ),
    suffixes=r"enn[ei]\b",
    hour=("ora", "ore"),
    second=("secondo", "secondi"),
    o_clock="",
    and_minutes="e",
    # 3° is written before feminine nouns as well.
    ordinal=(
        r"(\d+(?:\.\d{3})*)\.?(?:(?P<feminine>ª|a\b|[º°](?=\s(?:classe|fila|volta|edizione|"
        r"parte|posizione|giornata|tappa|puntata|media|elementare|superiore|rata)\b))|[º°]|o\b)(?!\w)"
        r"(?:\.(?=\s[a-zà-ÿ]))?"
    ),
    ordinal_agreement=((r"\|f\|", r"o$", "a"),),
    first_of_month=True,
    date="{day} {month} {year}",
    day_month="{day} {month}",
    dated=r"il|al|dal|del|\w*l'",
    months=(
        *("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto"),
        *("settembre", "ottobre", "novembre", "dicembre"),
    ),
    halves=("mezzo", "mezza", "mezzo"),
    half_last=("mezzo", "mezza"),
    parts={},
    part_plural=(r"o$", "i"),
    times="volte",
    abbreviations={
        "Sig.": "Signor",
        "Sigg.": "Signori",
        "Sig.ra": "Signora",
        "Sig.re": "Signore",
        "Sig.na": "Signorina",
        "Dott.": "Dottor",
        "Dott.ssa": "Dottoressa",
        "Dr.": "Dottor",
        "Dr.ssa": "Dottoressa",
        "Prof.": "Professor",
        "Prof.ssa": "Professoressa",
        "Ing.": "Ingegner",
        "Avv.": "Avvocato",
        "Geom.": "Geometra",
        "V.le": "Viale",
        "P.za": "Piazza",
        "P.zza": "Piazza",
        "C.so": "Corso",
        "ecc.": "eccetera",
        "etc.": "eccetera",
        "ca.": "circa",
        "max.": "massimo",
        "min.": "minimo",
        "tel.": "telefono",
        "vs.": "contro",
    },
    titles=("Sig.", "Dott.", "Dr.", "Prof."),
    before_number={
        r"[Nn](?:\.?[º°]|r?\.)": "numero",
        r"[Nn]um\.": "numero",
        r"[Vv]ol\.": "volume",
        r"[Cc]ap\.": "capitolo",
        r"[Aa]rt\.": "articolo",
        r"[Ff]ig\.": "figura",
        r"[Pp]agg\.": "pagine",
        r"[Pp]ag\.": "pagina",
        r"p\.": "pagina",
    },
    contexts=(
        # Before anything else it is a verb: "2024 ha".
        (r"(?<![\d.,])(1) ?ha(?= di\b|[.,;:)]|$)", r"\1 ettaro"),
        (r"(\d) ?ha(?= di\b|[.,;:)]|$)", r"\1 ettari"),
        (r"\b([Pp])\.\s?es\.", r"\1er esempio"),
        (r"\b([Aa])d\ses\.", r"\1d esempio"),
        (r"\ba\.\s?C\.", "avanti Cristo"),
        (r"\bd\.\s?C\.", "dopo Cristo"),
        (r"\bRag\.(?=\s[A-ZÀ-Ý])", "Ragionier"),
        (r"\bsec\.(?=\s[IVX])", "secolo"),
        (r"\bS\.p\.A\.|\bSpA\b", "esse pi a"),
        (r"\bS\.r\.l\.|\bSrl\b", "esse erre elle"),
        # After a small letter: after a name, it is an initial.
        (r"((?<!\w)(?:[a-zà-ÿ]+|Via|Viale|Piazza|Corso)\s)S\.(?=\s[A-ZÀ-Ý]\w*a\b)", r"\1Santa"),
        (r"((?<!\w)(?:[a-zà-ÿ]+|Via|Viale|Piazza|Corso)\s)S\.(?=\s[A-ZÀ-Ý]\w)", r"\1San"),
        (r"\bh\.?\s?(?=\d{1,2}[:.]\d\d(?!\d))", "ore "),
        (
            r"\b((?:[Aa]lle|[Dd]alle|[Oo]re|[Ll]e|[Ee]) \d{1,2})\.(?=[0-5]\d(?!\d|[.,]\d|\s?[%€]))",
            r"\1:",
        ),
        (r"(?<!\w)'(?=\d\d0?(?!\w))", ""),
        # L'8/3 is a date as il 9/3 is one.
        (r"(?<=l')(?=(?:8|11)/\d)", " "),
        (r"\b([IVX]+) sec\.", r"\1 secolo"),
        (r"(?<![\d.,])([1-9]\d*),(\d\d)\s?m(?![\w²³/])", r"\1 m e \2"),
        (r"((?:mila|mln|mld|k|milion[ei]|miliard[oi])\s?(?:€|euro))/(?=[a-z])", r"\1 al "),
    ),
    contracted=(
        (r"\b(un|\w*l)' (?=\w)", r"\1'"),
        # 18enne
        (r"(?:[aeoé]|(?<=t)i)(enn[ei])\b", r"\1"),
        (r"\bal (?=ora\b|anno\b|etto\b|ettaro\b)", "all'"),
        (
            r"\bal (?=settimana|tonnellata|persona|notte|scatola|bottiglia|confezione|coppia)",
            "alla ",
        ),
        (r"\buna volte\b", "una volta"),
        (r"\bun[oa]? mila\b", "mille"),
        (r"(?<=[a-zé]) mila\b", "mila"),
    ),
    dialled=(
        r"\(?0\d{1,3}\)?[ /.-]\d{5,8}",
        r"0\d{1,3} \d{3,4} \d{3,4}",
        r"3\d\d[ .-]?\d{3}[ .-]?\d{3,4}",
        r"3\d\d[ .-]\d{6,7}",
    ),
    domains="|it|ch",
    signs={
        "%": "per cento",
        "‰": "per mille",
        "&": "e",
        "+": "più",
        "=": "uguale a",
        "@": "chiocciola",
        "#": "hashtag",
        "∞": "infinito",
        "°": "gradi",
        "§": "paragrafo",
        "±": "più o meno",
        "÷": "diviso",
        "√": "radice quadrata di",
        "≠": "diverso da",
        "≤": "minore o uguale a",
        "≥": "maggiore o uguale a",
        "≈": "circa",
    },
    before_digit={"<": "minore di", ">": "maggiore di", "~": "circa", "*": "per"},
    currencies={
        "€|EUR|euro": (("euro", "euro"), ("centesimo", "centesimi")),
        "US$|USD|$|dollari|dollaro": (("dollaro", "dollari"), ("centesimo", "centesimi")),
        "CHF": (("franco svizzero", "franchi svizzeri"), ("centesimo", "centesimi")),
        "MX$|MXN|₱": (("peso", "pesos"), ("centavo", "centavos")),
        "R$": (("real", "reais"), ("centavo", "centavos")),
        "£|GBP": (("sterlina", "sterline"), ("penny", "pence")),
        "¥": (("yen", "yen"), ("sen", "sen")),
        "₹": (("rupia", "rupie"), ("paisa", "paise")),
        "₩": (("won", "won"), ("jeon", "jeon")),
        "₽": (("rublo", "rubli"), ("copeco", "copechi")),
        "₺": (("lira turca", "lire turche"), ("kurus", "kurus")),
        "₴": (("grivnia", "grivnie"), ("copeco", "copechi")),
        "₪": (("siclo", "sicli"), ("agora", "agorot")),
        "₿": (("bitcoin", "bitcoin"), ("centesimo", "centesimi")),
        "¢": (("centesimo", "centesimi"), ("millesimo", "millesimi")),
    },
    magnitudes={
        "mila|k|K": ("mila", "mila"),
        "milione|milioni|M|mln": ("milione", "milioni"),
        "miliardo|miliardi|mld": ("miliardo", "miliardi"),
    },
    units={
        "mln": ("milione", "milioni"),
        "mld": ("miliardo", "miliardi"),
        "km": ("chilometro", "chilometri"),
        "cm": ("centimetro", "centimetri"),
        "mm": ("millimetro", "millimetri"),
        "mq": ("metro quadrato", "metri quadrati"),
        "m": ("metro", "metri"),
        "″": ("pollice", "pollici"),
        "t": ("tonnellata", "tonnellate"),
        "kg": ("chilo", "chili"),
        "hg": ("etto", "etti"),
        "mg": ("milligrammo", "milligrammi"),
        "g|gr": ("grammo", "grammi"),
        "ml|mL": ("millilitro", "millilitri"),
        "cl|cL": ("centilitro", "centilitri"),
        "l|L": ("litro", "litri"),
        "kHz": ("chilohertz", "chilohertz"),
        "Hz": ("hertz", "hertz"),
        "MHz": ("megahertz", "megahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "kWh": ("chilowattora", "chilowattora"),
        "kW": ("chilowatt", "chilowatt"),
        "W": ("watt", "watt"),
        "V": ("volt", "volt"),
        "MB": ("megabyte", "megabyte"),
        "GB": ("gigabyte", "gigabyte"),
        "TB": ("terabyte", "terabyte"),
        "h": ("ora", "ore"),
        "min": ("minuto", "minuti"),
        "s|sec": ("secondo", "secondi"),
        "°C|° C|ºC": ("grado Celsius", "gradi Celsius"),
        "°F|° F": ("grado Fahrenheit", "gradi Fahrenheit"),
        "°": ("grado", "gradi"),
    },
    rates={"ha": "ettaro"},
    powers={"2": ("{} quadrato", "{} quadrati"), "3": ("{} cubo", "{} cubi")},
    raised=("al quadrato", "al cubo", "alla"),
    numbered=(
        "capitolo|volume|tomo|parte|libro|atto|scena|fase|classe|tipo|livello|sezione|articolo|"
        "titolo|gruppo|pagina|numero|opzione|canale|linea|sala|camera|stanza|domanda|tappa|lezione|"
        "figura|comma|binario"
    ),
    roman_ordinals={
        r"(?=\s(?i:secol[oi]|millennio|anniversario|congresso|festival|reich|canto|municipio)\b)": "º",
        r"(?=\s(?i:guerra|edizione|repubblica|legislatura|olimpiade|internazionale|giornata)\b)": "ª",
    },
    ordinals_to=100,
    # Those with one letter: Carlo V, secolo X.
    centuries="secolo|carlo|filippo|enrico|giorgio|luigi|paolo|pio|sisto|alfonso",
    masculine=(
        r"(?:problem|sistem|tem|poem|cinem|clim|programm|diplomm|diplom|dramm|fantasm|pianet|pigiam|"
        r"poet|atlet|colleg|\w+ist|dilemm|arom|sintom|enigm|gorill|pap|telegramm|diagramm|"
        r"panoram|schem|cosmonaut|pilot|duc|patriarc|monarc|messi|delt|vagli|luc|andre|nicol|mattia)a|"
        r"sofà|papà|luca|andrea|nicola|mattia|elia"
    ),
    feminine=(
        r"\w*(?:a|[zsgn]ion[ei]|[tr]à|tù|trice|trici|udine|udini|igine)|ore|volte|persone|settimane|"
        r"parole|pagine|donne|ragazze|case|copie|mani|mano|nott[ei]|part[ei]|chiav[ei]|class[ei]|"
        r"frase|frasi|font[ei]|gent[ei]|ment[ei]|mort[ei]|nav[ei]|nev[ei]|pell[ei]|serie|specie|"
        r"stagion[ei]|canzon[ei]|vo[cg][ei]|luc[ei]|croc[ei]|pac[ei]|radic[ei]|madr[ei]|moglie|"
        r"legg[ei]|re[tg][ei]|tesi|crisi|analisi|bas[ei]|fas[ei]|capitale|torre|torri|fotos?|moto|"
        r"auto|radio|carne|carni|arte|arti|estat[ei]|fine|elisabetta|isabel|beatrice|email|e-mail"
    ),
    particles=words(
        "a abbiamo ad adesso agli ai al alcune alcuni all alla alle allo allora anche "
        "ancora appena dall dell nell sull "
        "avanti c che chi ci circa ciò come con contro così cosa cui d da dagli dai dal dalla dalle "
        "dallo davanti degli dei del della delle dello dentro di dietro dopo dove due dunque e ecco "
        "ed ella era erano essa essi fa fino forse fra fu furono già gli ha hanno i ieri il in "
        "infatti infine inoltre insieme intanto invece io l la là le lei li lì lo loro lui lungo ma "
        "mai mentre mi mia mio molte molti molto ne negativi negli nei nel nella nelle nello nessuno "
        "niente noi non nostra nostro nulla o oggi ogni oltre oppure per perché perciò però "
        "piuttosto più poco poi positivi prima proprio qua quale quando quanto quasi quella quelle "
        "quelli quello questa queste questi questo qui quindi sarà se sei sempre senza si sia siamo "
        "sono sopra sotto sta stata stato su sua subito sue sugli sui sul sulla sulle suo suoi "
        "tanto te ti tra troppo tu tua tuo tutta tutte tutti tutto un una uno verso vi voi è"
    ),
    www="vu vu vu",
)
