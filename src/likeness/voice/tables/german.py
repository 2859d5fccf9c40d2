"""How German is spoken."""

from likeness.voice.tables.language import Language, words

MONTHS = (
    *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August"),
    *("September", "Oktober", "November", "Dezember"),
)
# Words after which a noun, and the number before it, is in the dative.
DATIVE = r"\b(?:mit|seit|vor|nach|von|aus|bei|zu|in|ab|binnen|an)"
# Nouns whose accusative and whose adjectives differ from those of neuter ones.
MASCULINE = (
    r"(?:tag|monat|abend|morgen|euro|dollar|cent|franken|yen|rubel|\w*meter|liter|\w*liter|hektar|"
    r"mann|punkt|schritt|platz|teil|satz|stock|hund|baum|ball|film|song|brief|tisch|stuhl|löffel)"
)
NEUTER = (
    r"(?:\w*jahr|\w*jahrhundert|jahrzehnt|jahrtausend|kapitel|mal|\w*haus|kind|buch|\w*spiel|tor|"
    r"bild|tier|land|bundesland|semester|quartal|trimester|viertel|drittel|stockwerk|\w*geschoss|"
    r"treffen|\w+um|mitglied|gebot|zimmer|\w+chen|\w+ment|gleis|fenster|lied|wort|ziel|\w+fest|"
    r"rennen|tor|gymnasium|regiment|date|auto|konzert|gericht|opfer|gesetz|werk|stück|gramm)"
)
# The beginning of a text or of a part of a sentence, where an ordinal has no article.
BARE = r"(?:^|[.!?:;,(\"-] ?)"

GERMAN = Language(
    numbers="de",
    decimal=",",
    thousands=".",
    point="Komma",
    minus="minus",
    plus="plus",
    and_="und",
    joined="und",
    to="bis",
    ratio="zu",
    by="mal",
    per="pro",
    or_="oder",
    dot="Punkt",
    version="Punkt",
    fraction_as_number=False,
    years=r"1[1-9]\d\d",
    capital_nouns=True,
    plurals=r"(?!)",
    agreement=(
        (r"", r"einstausend", "eintausend"),
        (rf"{DATIVE} \|f\|", r"^eins$", "einer"),
        (rf"{DATIVE} \|m\|(?!uhr)", r"^eins$", "einem"),
        (
            rf"\b(?:für|um|durch|ohne|gegen|kostet|kosten|hat|habe|haben|wiegt|dauert) \|m\|{MASCULINE}$",
            r"^eins$",
            "einen",
        ),
        (r"\|f\|", r"^eins$", "eine"),
        (r"\|m\|", r"^eins$", "ein"),
    ),
    suffixes=(
        r"ern?\b|fach|mal\b|jährig|stündig|minütig|tägig|wöchig|monatig|prozentig|köpfig|stellig|"
        r"teilig|ste[rnms]?\b"
    ),
    hour=("Uhr", "Uhr"),
    second=("Sekunde", "Sekunden"),
    clock=r":|h(?=\d\d)|\.(?=\d\d\s?Uhr)",
    o_clock="Uhr",
    and_minutes="Uhr",
    ordinal=r"(?<![\d.,:/])(\d{1,3})\.(?=\s|$)",
    endings=(
        (r"\b(?:am|im|vom|zum|zur|beim|dem|den|des|einem|einer|eines|einen|\w+em|\w+sten) \|", "n"),
        (r"\b(?:in|an|auf|aus|bei|mit|nach|seit|von|vor|zu|unter|während|trotz|ab) der \|", "n"),
        (r"\b(?:ihrer|seiner|meiner|unserer|dieser|jeder) \|f\|", "n"),
        (r"\b(?:der|die|das|ins|ans|aufs|fürs|dieser?|dieses|jeder?|jedes|eine|\w+eine) \|", ""),
        (r"\b(?:ihre|unsere|welche[rs]?) \|", ""),
        (rf"\b(?:ab|bis|seit|vor|nach|von) \|\w?\|(?:{'|'.join(MONTHS)})$", "n"),
        (rf"\|(?:{'|'.join(MONTHS)})$", "r"),
        (r"\bals \|\|$", "r"),
        # Firstly, in a list: 1. Öffnen Sie die Tür.
        (r"^\|m\|\w+(?:en|ern|eln)$", "ns"),
        (rf"(?:{BARE}|\b(?:ein|mein|sein|ihr|unser|kein) )\|m\|{NEUTER}$", "s"),
        (rf"(?:{BARE}|\b(?:ein|mein|sein|ihr|unser|kein) )\|m\|", "r"),
        (rf"{BARE}\|f\|", ""),
    ),
    date="{day}. {month} {year}",
    day_month="{day}. {month}",
    dated="am|vom|bis|zum|ab|seit|der|den|dem",
    day_and_month=r"(\d\d?)\.\s?(\d\d?)\.(?!\d|\s?\d{4})",
    months=MONTHS,
    halves=("ein halb", "eine halbe", "einhalb"),
    parts={},
    part="{}l",
    part_plural=("$", ""),
    times="Mal",
    abbreviations={
        "Hr.": "Herr",
        "Hrn.": "Herrn",
        "Fr.": "Frau",
        "Dr.": "Doktor",
        "Prof.": "Professor",
        "Ing.": "Ingenieur",
        "Dipl.": "Diplom",
        "St.": "Sankt",
        "Str.": "Straße",
        "Hbf.": "Hauptbahnhof",
        "Bhf.": "Bahnhof",
        "Jh.": "Jahrhundert",
        "Jhs.": "Jahrhunderts",
        "usw.": "und so weiter",
        "usf.": "und so fort",
        "bzw.": "beziehungsweise",
        "etc.": "et cetera",
        "ca.": "circa",
        "evtl.": "eventuell",
        "ggf.": "gegebenenfalls",
        "inkl.": "inklusive",
        "zzgl.": "zuzüglich",
        "allg.": "allgemein",
        "sog.": "sogenannte",
        "vgl.": "vergleiche",
        "geb.": "geboren",
        "max.": "maximal",
        "min.": "mindestens",
        "Tel.": "Telefon",
        "vs.": "versus",
    },
    titles=("Hr.", "Fr.", "Dr.", "Prof."),
    before_number={
        r"Nr\.": "Nummer",
        r"Nrn\.": "Nummern",
        r"S\.": "Seite",
        r"Bd\.": "Band",
        r"Kap\.": "Kapitel",
        r"Abb\.": "Abbildung",
        r"Abs\.": "Absatz",
        r"Art\.": "Artikel",
        r"Tab\.": "Tabelle",
        r"§§": "Paragrafen",
        r"§": "Paragraf",
    },
    contexts=(
        # A number agrees with the adjective between it and its noun.
        (r"(?<![\w.,/:-])1 (?=[a-zäöüß]{2,}e [A-ZÄÖÜ])", "eine "),
        (r"(?<![\w.,/:-])1 (?!(?:oder|aber|über|unter) )(?=[a-zäöüß]{2,}e[rs] [A-ZÄÖÜ])", "ein "),
        (r"(?<![\w.,/:-])1 (?=[a-zäöüß]{2,}en [A-ZÄÖÜ])", "einen "),
        (r"\b([Zz])\.\s?B\.", r"\1um Beispiel"),
        (r"\b([Dd])\.\s?h\.", r"\1as heißt"),
        (r"\b([Uu])\.\s?v\.\s?m\.", r"\1nd vieles mehr"),
        (r"\b([Uu])\.\s?a\.", r"\1nter anderem"),
        (r"\b([Uu])\.\s?U\.", r"\1nter Umständen"),
        (r"\bo\.\s?Ä\.", "oder Ähnliches"),
        (r"\b([Ii])\.\s?d\.\s?R\.", r"\1n der Regel"),
        (r"\b([Zz])\.\s?T\.", r"\1um Teil"),
        (r"\b([Zz])\.\s?Zt\.", r"\1ur Zeit"),
        (r"\b([Ss])\.\s?o\.", r"\1iehe oben"),
        (r"\b([Ss])\.\s?u\.", r"\1iehe unten"),
        (r"\be\.\s?V\.", "eingetragener Verein"),
        (r"\bv\.\s?Chr\.", "vor Christus"),
        (r"\bn\.\s?Chr\.", "nach Christus"),
        (r"(?<=[a-zäöüß])str\.", "straße"),
        (r"(?<=\d)\s?%ig", "prozentig"),
        (r"(?<!\w)'(?=\d0er)", ""),
        (r"(\d) x (?=[a-zäöü])", r"\1x "),
        (r"(?<![\d.,])([1-9]\d*),(\d\d)\s?m(?![\w²³/])", r"\1 m \2"),
        (r"((?:Mio\.?|Mrd\.?|Tsd\.|k)\s?(?:€|Euro))/(?=[A-ZÄÖÜ])", r"\1 pro "),
        (r"(\d\s?l)/(?=100\s?km)", r"\1 auf "),
        (r"(\d{1,2})\.(\d\d)(\s?(?:-|bis)\s?\d{1,2}[.:]\d\d\s?Uhr)", r"\1:\2\3"),
        (r"\b(\d\d?)\. (\d\d?)\. ?(\d{4})\b", r"\1.\2.\3"),
        (
            r"\b([Aa]m|[Vv]om|[Bb]is|[Zz]um|[Aa]b|[Ss]eit) (\d\d?)\.(\d\d?)\.(\d\d)\b(?![.\d])",
            r"\1 \2/\3/\4",
        ),
    ),
    contracted=(
        # Zweieinhalb: a half is one word with its number.
        (
            r"\b(?:(ein)s?|(zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\w+zehn|\w+zig)) "
            r"und einhalb\b",
            r"\1\2einhalb",
        ),
        (rf"(?i:\bein halb (?={MASCULINE}\b))", "ein halber "),
        (r"\bein halb (?=[A-ZÄÖÜ])", "ein halbes "),
        (
            r"\b([Ee])ins(?=(?:mal|fach|er|jährig\w*|stündig\w*|tägig\w*)\b|-(?:[A-ZÄÖÜ]|mal\b|fach\b|jährig))",
            r"\1in",
        ),
        (r"\beins (bis|oder) (?=\w+ [A-ZÄÖÜ])", r"ein \1 "),
    ),
    dialled=(r"\(?0\d{2,4}\)?[ /-]\d{3,8}(?:[ -]\d{2,5})*",),
    domains="|de|at|ch",
    signs={
        "%": "Prozent",
        "‰": "Promille",
        "&": "und",
        "+": "plus",
        "=": "gleich",
        "@": "at",
        "#": "Hashtag",
        "∞": "unendlich",
        "°": "Grad",
        "§": "Paragraf",
        "±": "plus minus",
        "÷": "geteilt durch",
        "√": "Wurzel aus",
        "≠": "ungleich",
        "≤": "kleiner oder gleich",
        "≥": "größer oder gleich",
        "≈": "ungefähr",
    },
    before_digit={"<": "kleiner als", ">": "größer als", "~": "circa", "*": "mal"},
    currencies={
        "€|EUR|Euro": (("Euro", "Euro"), ("Cent", "Cent")),
        "US$|USD|$|Dollar": (("Dollar", "Dollar"), ("Cent", "Cent")),
        "CHF|Franken": (("Franken", "Franken"), ("Rappen", "Rappen")),
        "MX$|MXN|₱": (("Peso", "Pesos"), ("Centavo", "Centavos")),
        "R$": (("Real", "Reais"), ("Centavo", "Centavos")),
        "£|GBP": (("Pfund", "Pfund"), ("Penny", "Pence")),
        "¥": (("Yen", "Yen"), ("Sen", "Sen")),
        "₹": (("Rupie", "Rupien"), ("Paisa", "Paise")),
        "₩": (("Won", "Won"), ("Jeon", "Jeon")),
        "₽": (("Rubel", "Rubel"), ("Kopeke", "Kopeken")),
        "₺": (("Lira", "Lira"), ("Kurus", "Kurus")),
        "₴": (("Hrywnja", "Hrywnja"), ("Kopijka", "Kopijka")),
        "₪": (("Schekel", "Schekel"), ("Agora", "Agorot")),
        "₿": (("Bitcoin", "Bitcoins"), ("Cent", "Cent")),
        "¢": (("Cent", "Cent"), ("Hundertstel", "Hundertstel")),
    },
    magnitudes={
        "Tsd.|Tausend|tausend|k|K": ("tausend", "tausend"),
        "Mio.|Mio|Million|Millionen|M": ("Million", "Millionen"),
        "Mrd.|Mrd|Milliarde|Milliarden": ("Milliarde", "Milliarden"),
        "Bio.|Billion|Billionen": ("Billion", "Billionen"),
    },
    units={
        "%": ("Prozent", "Prozent"),
        "‰": ("Promille", "Promille"),
        "Tsd.": ("tausend", "tausend"),
        "Mio.|Mio": ("Million", "Millionen"),
        "Mrd.|Mrd": ("Milliarde", "Milliarden"),
        "km²": ("Quadratkilometer", "Quadratkilometer"),
        "cm²": ("Quadratzentimeter", "Quadratzentimeter"),
        "m²|m2|qm": ("Quadratmeter", "Quadratmeter"),
        "cm³": ("Kubikzentimeter", "Kubikzentimeter"),
        "km³": ("Kubikkilometer", "Kubikkilometer"),
        "m³|m3": ("Kubikmeter", "Kubikmeter"),
        "km": ("Kilometer", "Kilometer"),
        "cm": ("Zentimeter", "Zentimeter"),
        "mm": ("Millimeter", "Millimeter"),
        "m": ("Meter", "Meter"),
        "″": ("Zoll", "Zoll"),
        "ha": ("Hektar", "Hektar"),
        "t": ("Tonne", "Tonnen"),
        "kg": ("Kilogramm", "Kilogramm"),
        "mg": ("Milligramm", "Milligramm"),
        "g": ("Gramm", "Gramm"),
        "ml|mL": ("Milliliter", "Milliliter"),
        "l|L": ("Liter", "Liter"),
        "kHz": ("Kilohertz", "Kilohertz"),
        "Hz": ("Hertz", "Hertz"),
        "MHz": ("Megahertz", "Megahertz"),
        "GHz": ("Gigahertz", "Gigahertz"),
        "kWh": ("Kilowattstunde", "Kilowattstunden"),
        "kW": ("Kilowatt", "Kilowatt"),
        "W": ("Watt", "Watt"),
        "V": ("Volt", "Volt"),
        "PS": ("PS", "PS"),
        "KB": ("Kilobyte", "Kilobyte"),
        "MB": ("Megabyte", "Megabyte"),
        "GB": ("Gigabyte", "Gigabyte"),
        "TB": ("Terabyte", "Terabyte"),
        "h|Std.": ("Stunde", "Stunden"),
        "min|Min.": ("Minute", "Minuten"),
        "s|Sek.": ("Sekunde", "Sekunden"),
        "Stk.": ("Stück", "Stück"),
        "°C|° C|ºC": ("Grad Celsius", "Grad Celsius"),
        "°F|° F": ("Grad Fahrenheit", "Grad Fahrenheit"),
        "°|º": ("Grad", "Grad"),
    },
    rates={"kg": "Kilo"},
    powers={"2": ("{} hoch zwei", "{} hoch zwei"), "3": ("{} hoch drei", "{} hoch drei")},
    raised=("hoch zwei", "hoch drei", "hoch"),
    numbered=(
        "Kapitel|Band|Teil|Akt|Szene|Klasse|Stufe|Seite|Nummer|Artikel|Paragraf|Zimmer|Platz|Linie|"
        "Gleis|Kanal|Typ|Phase|Runde|Tag|Version|Abbildung|Tabelle|Punkt|Gruppe|Titel|Frage|"
        "Lektion|Absatz|Halle|Jahr|Regel|Weltkrieg"
    ),
    roman_ordinals={
        r"\.(?=\s(?:Jahrhunderts?|Jh\.|Weltkrieg|Kapitel|Republik|Reich|Band|Akt|Auflage|Internationale|Mannschaft|Liga|Bundesliga|Quartal|Obergeschoss|Armee|Teil)"
        r"(?!\w))": "."
    },
    roman_point=True,
    kings=("der ", "die "),
    ordinals_to=100,
    masculine=(
        r"(?:name|junge|auge|ende|käse|ge\w+e|hase|löwe|affe|kollege|kunde|experte|interesse|"
        r"gedanke|buchstabe|\w+ende|deutsche|franzose|brite|russe|türke|pole|chinese|riese|zeuge|"
        r"erbe|bote|pate|neffe|stadion|abitur|papagei|ei|brei|café|kaffee|see|schnee|tee|klee|"
        r"knie|genie|\w*gebäude|prozent|bruder|euro|date|image|byte|kilobyte|megabyte|gigabyte|"
        r"terabyte)"
    ),
    feminine=(
        r"\w+(?:ung|heit|keit|schaft|tät|ion|ik|ei|enz|anz|ur|erin|istin|e)|\w*(?:frau|nacht|stadt|"
        r"hand|person|zahl|tür|wand|art|form|bahn|kuh|maus|bank|angst|kraft|zeit|welt|arbeit|"
        r"antwort|schrift|fahrt|firma|nummer|mutter|tochter|schwester|feder|regel|insel|gabel|tafel|"
        r"mark|mail|app|liga|lira|tonne|uhrzeit|runde|burg|wahl|luft|post|schuld|sicht|last|haut|"
        r"gefahr|natur|kultur|einheit|hälfte|kartoffel|schüssel|nadel|mauer|butter|ampel|steuer)|"
        r"elisabeth|maria|katharina|anna|victoria|viktoria|christina|margarete"
    ),
    particles=words(
        "aber alle allein alles als also am an andere auch auf aus außerdem bald bei beide bis "
        "bisher da dabei dafür dagegen daher damals damit danach dann daran darauf darum das dass "
        "davon davor dazu dein dem den denn dennoch der des deshalb die dies diese dieser dieses "
        "doch dort du durch eben ein eine einem einen einer einige er erst es etwas euch euer früher "
        "für gegen gestern gleich hat hatte heute hier hinter ich ihm ihn ihnen ihr ihre im immer in "
        "inzwischen ist ja jede jeder jedes jedoch jemand jetzt kein keine man manche mehr mein "
        "meine mit morgen nach nachdem neben nein nicht nichts niemand noch nun nur ob obwohl oder "
        "oft ohne schließlich schon seit sein seine seitdem selbst sich sie sind so sogar sonst "
        "später trotz trotzdem um und uns unser unsere unter viel viele vielleicht vom von vor war "
        "waren warum was weder weil welche wenn wer werden wie wieder wir wird wo wurde während zu "
        "zudem zuerst zum zur zwar zwischen über überall"
    ),
    www="we we we",
)
