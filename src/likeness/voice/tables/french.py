"""How French is spoken."""

from likeness.voice.tables.language import Language, words

FRENCH = Language(
    numbers="fr",
    decimal=",",
    thousands=" ",
    point="virgule",
    minus="moins",
    plus="plus",
    and_="et",
    joined="et",
    to="à",
    by="sur",
    per="par",
    over="sur",
    dot="point",
    version="point",
    fraction_as_number=True,
    plurals="[sx]$",
    plural_from_two=True,
    millions=r"\b(?:mill|bill)(?:ion|iard)s?\b",
    of_millions="de",
    agreement=((r"\|f\|", r"\bun$", "une"),),  # also vingt et une, quatre-vingt-une
    hour=("heure", "heures"),
    second=("seconde", "secondes"),
    clock=r":|\s?h\s?(?=\d\d)",
    o_clock="heures",
    and_minutes="heures",
    ordinal=(r"(\d+(?: \d{3})*)(?:(?P<feminine>[èe]?res?)|ers?|(?:i?[èe]m)?es?)(?!\w)"),
    # num2words says deux centsième and quatre-vingtsième.
    ordinal_agreement=(
        (r"", r"(vingt|cent|ion|ard)sième\b", r"\1ième"),
        (r"\|f\|", r"\bpremier$", "première"),
    ),
    first_of_month=True,
    date="{day} {month} {year}",
    day_month="{day} {month}",
    dated="le|au|du|jusqu'au",
    months=(
        *("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août"),
        *("septembre", "octobre", "novembre", "décembre"),
    ),
    halves=("un demi", "une demi", "demi"),
    half_last=("demi", "demie"),
    parts={3: "tiers", 4: "quart"},
    part_plural=(r"(?<!s)$", "s"),
    times="fois",
    abbreviations={
        "Dr.": "Docteur",
        "Drs.": "Docteurs",
        "Pr.": "Professeur",
        "Prof.": "Professeur",
        "Mgr.": "Monseigneur",
        "etc.": "et cetera",
        "ex.": "exemple",
        "env.": "environ",
        "hab.": "habitants",
        "tél.": "téléphone",
        "boul.": "boulevard",
        "max.": "maximum",
        "min.": "minimum",
        "vs.": "versus",
        "cf.": "voir",
    },
    titles=("Dr.", "Pr.", "Mgr."),
    before_number={
        r"[Nn](?:[º°]|o\.)": "numéro",
        r"[Nn][º°]s": "numéros",
        r"[Vv]ol\.": "volume",
        r"[Cc]hap\.": "chapitre",
        r"[Aa]rt\.": "article",
        r"[Ff]ig\.": "figure",
        r"pp\.": "pages",
        r"p\.": "page",
    },
    contexts=(
        (r"\bMM\.(?=\s[A-ZÀ-Ý])", "Messieurs"),
        # After another initial it is an initial.
        (r"(?<![A-Z]\.\s)(?<![A-Z]\.)(?<!\w)M\.(?=\s(?:[A-ZÀ-Ý]\w|(?:le|et|&)\s))", "Monsieur"),
        (r"\bMme(?!\w)", "Madame"),
        (r"\bMmes(?!\w)", "Mesdames"),
        (r"\bMlle(?!\w)", "Mademoiselle"),
        (r"\bMlles(?!\w)", "Mesdemoiselles"),
        (r"\bMe(?=\s[A-ZÀ-Ý]\w)", "Maître"),
        (r"\bSt(?=[\s-][A-ZÀ-Ý])", "Saint"),
        (r"\bSte(?=[\s-][A-ZÀ-Ý])", "Sainte"),
        (r"\bCie(?!\w)\.?", "Compagnie"),
        (r"\b([Bb])d(?=\s[A-ZÀ-Ý])", r"\1oulevard"),
        (r"\bav\.\s?J\.-?\s?C\.", "avant Jésus-Christ"),
        (r"\bapr?\.\s?J\.-?\s?C\.", "après Jésus-Christ"),
        (r"\bJ\.-?\s?C\.", "Jésus-Christ"),
        (r"\b([Aa])v\.(?=\s(?:de|du|des|[A-ZÀ-Ý])\b)", r"\1venue"),
        (r"\b([Pp])\.\s?ex\.", r"\1ar exemple"),
        (r"\b([Cc])\.-à-d\.", r"\1'est-à-dire"),
        (r"\b([IVX]+e) s\.", r"\1 siècle"),
        (r"\b1ers(?!\w)", "premiers"),
        (r"\b1[èe]?res(?!\w)", "premières"),
        (r"([kMd]\s?€)/(?=[a-zà-ÿ])", r"\1 par "),
        (r"\b2n?ds?(?!\w)", "second"),
        (r"\b2n?des?(?!\w)", "seconde"),
        (r"(?<!\w)'(?=\d0(?!\w))", ""),
        (r"(\d\s?[hj])/(?=\d)", r"\1 sur "),
        (r"(\d\s?l)/(?=100\s?km)", r"\1 aux "),
        # 1,80 m and 5 € 50
        (r"(?<![\d.,])([1-9]\d*),(\d\d)\s?m(?![\w²³/])", r"\1 m \2"),
        (r"(\d)\s?(?:€|euros?)\s?(\d\d)(?![\w,.%]|\s?(?:€|euro))", r"\1,\2 €"),
    ),
    contracted=(
        (
            r"\b((?:mill|bill)(?:ion|iard)s?) de (?=[aeiouàâéèêëîïôûœ]|h(?:abit|ect|eur|omm|ist))",
            r"\1 d'",
        ),
        # A book is masculine, a pound is not.
        (r"\bun (livres? sterling)\b", r"une \1"),
    ),
    dialled=(r"0\d(?:[ .-]\d\d){4}", r"0 ?8\d\d \d{3} \d{3}"),
    dialled_groups=3,
    domains="|fr|be|ch|ca",
    signs={
        "%": "pour cent",
        "‰": "pour mille",
        "&": "et",
        "+": "plus",
        "=": "égale",
        "@": "arobase",
        "#": "hashtag",
        "∞": "infini",
        "°": "degrés",
        "§": "paragraphe",
        "±": "plus ou moins",
        "÷": "divisé par",
        "√": "racine carrée de",
        "≠": "différent de",
        "≤": "inférieur ou égal à",
        "≥": "supérieur ou égal à",
        "≈": "environ",
    },
    before_digit={"<": "inférieur à", ">": "supérieur à", "~": "environ", "*": "fois"},
    currencies={
        "€|EUR|euros|euro": (("euro", "euros"), ("centime", "centimes")),
        "US$|USD|$|dollars|dollar": (("dollar", "dollars"), ("cent", "cents")),
        "CAD|C$": (("dollar canadien", "dollars canadiens"), ("cent", "cents")),
        "CHF": (("franc suisse", "francs suisses"), ("centime", "centimes")),
        "MX$|MXN|₱": (("peso", "pesos"), ("centavo", "centavos")),
        "R$": (("réal", "réaux"), ("centavo", "centavos")),
        "£|GBP": (("livre sterling", "livres sterling"), ("penny", "pence")),
        "¥": (("yen", "yens"), ("sen", "sen")),
        "₹": (("roupie", "roupies"), ("paisa", "paisas")),
        "₩": (("won", "wons"), ("jeon", "jeons")),
        "₽": (("rouble", "roubles"), ("kopeck", "kopecks")),
        "₺": (("livre turque", "livres turques"), ("kurus", "kurus")),
        "₴": (("hryvnia", "hryvnias"), ("kopiyka", "kopiykas")),
        "₪": (("shekel", "shekels"), ("agora", "agoras")),
        "₿": (("bitcoin", "bitcoins"), ("centime", "centimes")),
        "¢": (("centime", "centimes"), ("centième", "centièmes")),
    },
    magnitudes={
        "mille|k|K": ("mille", "mille"),
        "million|millions|M": ("million", "millions"),
        "milliard|milliards|Md|Mds|Mrd": ("milliard", "milliards"),
        "billion|billions": ("billion", "billions"),
    },
    units={
        "km": ("kilomètre", "kilomètres"),
        "cm": ("centimètre", "centimètres"),
        "mm": ("millimètre", "millimètres"),
        "m": ("mètre", "mètres"),
        "″": ("pouce", "pouces"),
        "ha": ("hectare", "hectares"),
        "t": ("tonne", "tonnes"),
        "kg": ("kilo", "kilos"),
        "mg": ("milligramme", "milligrammes"),
        "g|gr": ("gramme", "grammes"),
        "ml|mL": ("millilitre", "millilitres"),
        "cl|cL": ("centilitre", "centilitres"),
        "l|L": ("litre", "litres"),
        "kHz": ("kilohertz", "kilohertz"),
        "Hz": ("hertz", "hertz"),
        "MHz": ("mégahertz", "mégahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "kWh": ("kilowattheure", "kilowattheures"),
        "kW": ("kilowatt", "kilowatts"),
        "W": ("watt", "watts"),
        "V": ("volt", "volts"),
        "Ko|ko": ("kilooctet", "kilooctets"),
        "MB": ("mégabyte", "mégabytes"),
        "GB": ("gigabyte", "gigabytes"),
        "Mo": ("mégaoctet", "mégaoctets"),
        "Go": ("gigaoctet", "gigaoctets"),
        "To": ("téraoctet", "téraoctets"),
        "h": ("heure", "heures"),
        "j": ("jour", "jours"),
        "min|mn": ("minute", "minutes"),
        "s|sec": ("seconde", "secondes"),
        "°C|° C|ºC": ("degré Celsius", "degrés Celsius"),
        "°F|° F": ("degré Fahrenheit", "degrés Fahrenheit"),
        "°|º": ("degré", "degrés"),
    },
    rates={},
    powers={"2": ("{} carré", "{} carrés"), "3": ("{} cube", "{} cubes")},
    raised=("au carré", "au cube", "puissance"),
    # A king's number is not an ordinal: Charles Quint's successors are read as chapters are.
    numbered=(
        "chapitre|volume|tome|partie|livre|acte|scène|phase|classe|type|niveau|section|article|"
        "guerre|titre|groupe|page|numéro|option|chaîne|ligne|salle|chambre|étape|leçon|question|"
        "figure|charles|philippe|henri|louis|georges|paul|pie"
    ),
    roman_ordinals={r"(?=(?:er|re|ère|e|ème|es)\b)": ""},
    ordinals_to=1,
    masculine=(
        r"(?:été|côté|comité|traité|député|comté|pâté|musée|lycée|trophée|silence|incendie|génie|"
        r"parapluie|père|frère|ministère|caractère|mystère|critère|cimetière|bastion|domaine|"
        r"capitaine|magazine|patrimoine|moine|murmure|mercure|stade|grade|malade|camarade|prélude|"
        r"coude|gorille|mille|squelette|pédoncule|grand-père|beau-père|beau-frère)s?"
    ),
    feminine=(
        r"(?:\w*(?:[tsx]ion|té|ée|[eo]tte|elle|esse|[ae]nce|ure|ude|ade|aison|ille|ie|ise|aise|ine|"
        r"aine|[eo]nne|euse|trice|ière|ère|ue|ique|oire|asse)|heure|minute|seconde|page|place|sœur|"
        r"table|porte|route|main|tête|nuit|fin|fleur|couleur|peur|valeur|longueur|largeur|hauteur|"
        r"erreur|douleur|faveur|dame|carte|lettre|ligne|pièce|chose|boîte|langue|étoile|équipe|école|"
        r"image|plage|cage|photo|moto|radio|vidéo|info|dent|mer|clé|clef|banque|marque|attaque|"
        r"rose|robe|tombe|jambe|branche|poche|tache|tâche|manche|île|salle|balle|forme|arme|larme|"
        r"âme|lame|flamme|somme|pomme|gamme|femme|scène|chaîne|guerre|terre|pierre|fenêtre|lune|"
        r"vague|classe|piste|liste|fête|bête|tempête|côte|note|visite|suite|part|mort|forêt|date|"
        r"patte|œuvre|preuve|épreuve|rive|lèvre|fièvre|règle|syllabe|bombe|corde|onde|méthode|"
        r"période|viande|demande|commande|bande|légende|aide|chute|phrase|base|phase|cause|pause|"
        r"étape|coupe|troupe|soupe|nappe|enveloppe|race|face|glace|trace|surface|force|source|"
        r"roupie|tranche|cuillère|fourchette|ville|fille|famille|feuille|bouteille|abeille|oreille|"
        r"élisabeth|catherine|isabelle|victoria|anne)s?|fois|souris|voix|croix|noix|eaux?|peaux?"
    ),
    particles=words(
        "a à ainsi alors après au aucun aussi autre aux avant avec beaucoup ça car ce cela celle "
        "celui ces cet cette ceux chaque chez comme comment contre d dans de depuis derrière des "
        "deux donc du elle elles en encore enfin ensuite entre est et eux fut grâce hier hors ici "
        "il ils j je jusque l la là le les leur leurs lors lui ma mais malgré me mes moins mon même "
        "n ne ni non nos notre nous on ont or ou où par parce parfois pas pendant personne peu plus "
        "pour pourquoi près puis qu quand que quel quelle quelles quels qui quoi rien s sa sans se "
        "selon sera ses seul si son sont sous sur ta tandis te tes toi ton toujours tous tout toute "
        "toutes très trop tu un une vers voici voilà vos votre vous y était étaient être"
    ),
    www="double vé double vé double vé",
)
