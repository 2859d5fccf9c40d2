"""What the sample narration says: a shop's catalogue read aloud, from a small grammar.

A template's `{kind}` is filled from the list of that kind, each of its entries in turn, and
`[$5=five dollars]` is written one way and spoken another.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter

import numpy as np

_LISTS = """
colour: black, white, red, blue, green, grey, brown, yellow, pink, purple, orange, navy
colour: silver, golden, cream, dark green, light blue
material: cotton, wool, leather, linen, silk, denim, canvas, suede, velvet, cashmere
thing: jacket, shirt, dress, coat, scarf, sweater, skirt, hat, bag, belt, watch, wallet, blouse
thing: vest, raincoat, backpack, handbag, cap, tie, apron, umbrella, blanket
pair: shoes, boots, sandals, sneakers, jeans, trousers, gloves, socks, shorts, sunglasses
pair: slippers, mittens, pyjamas, leggings
season: spring, summer, autumn, winter
people: men, women, boys, girls, children, teenagers, travellers, runners
size: small, medium, large, extra large
adjective: soft, warm, light, classic, new, simple, comfortable, strong, elegant, slim, modern
adjective: casual, bright, dark, durable, popular, smooth, thin, heavy, practical, beautiful
pattern: stripes, dots, checks, flowers, leaves, small stars
use: work, travel, sport, school, running, walking, parties, everyday wear, gardening, dancing
place: office, city, mountains, beach, garden, street, kitchen, forest, park, theatre, village
parts: pockets, buttons, sleeves, laces, seams, straps, handles
part: zip, collar, hood, lining, sole, buckle, strap, button, label
wash: warm water, cold water, mild soap, soapy water
shoe: shoes, boots, sandals, slippers
weather: rain, snow, sun, heat, wind, salt water
days: cold days, rainy days, warm evenings, long walks, cold mornings, winter nights
country: Italy, Portugal, India, Japan, Scotland, Brazil, Canada
day: Monday, Tuesday, Wednesday, Thursday, Friday, Saturday
month: January, March, April, June, September, October, November
family: mother, father, brother, sister, grandmother, best friend
name: Baker, Hill, Carter, Brown, Morgan
trade: tailor, designer, weaver, shoemaker, photographer
gift: birthday, wedding, holiday, graduation
"""

_TEMPLATES = """
The {colour} {material} {thing} costs {price}.
This {colour} {thing} costs {price}, and the {material} one costs {price}.
These {material} {pair} cost {cents} a pair.
Now the {thing} costs only {price}, which is {percent} less than last {season}.
The price of the {pair} is {price}, with free delivery.
It was {price} in {month}, and now it costs {cents}.
This {colour} {thing} is made of {adjective} {material}.
These {pair} are made of {adjective} {material} from {country}.
The {thing} is {adjective} and {adjective}, but never boring.
The {pair} are {adjective}, {adjective} and {adjective}.
{Colour} {material} {thing}, size {size}.
{Colour} {pair}, size {number}, for {people}.
A {adjective} {thing} for the {season} season.
It comes in {colour}, {colour} and {colour}.
The {thing} is available in {colour} and {colour}, both with {pattern}.
Available in sizes {size}, {size} and {size}.
Choose from {number} colours and {few} sizes.
Our new {season} collection has {number} {colour} {pair}.
Wear it with {colour} {pair} and a {material} {thing}.
They go well with a {colour} {material} {thing}.
A {adjective} {material} {thing} makes a lovely {gift} present for your {family}.
The {adjective} {thing} is perfect for {use} and {use}.
{Adjective} {pair} for {days} in the {place}.
The {material} {thing} keeps you warm on {days}, even when there is a lot of {weather}.
It has {few} {parts} and a {colour} {part}.
The {part} is {colour}, and the {parts} are {colour}.
Wash the {colour} {thing} in {wash}, and never leave it in the {weather}.
Clean the {pair} by hand with {wash}.
Dry the {material} {thing} flat, away from direct sunlight.
Do not iron the {adjective} {material} {thing}, because it may lose its shape.
Keep the {colour} {pair} away from {weather}.
Before you store the {thing} for the {season}, brush it gently and close every button.
If the {part} breaks, send it back and we will repair it free of charge.
Item number {number} is a {colour} {thing} with {pattern}.
On page {number} you will find {adjective} {pair} for {people}.
Made in {country} from {adjective} {material} and recycled {material}.
We have only {number} {pair} left in {colour}, so please order soon.
You can return the {thing} within {number} days.
Delivery is free for orders over {price}, and it takes about {few} days.
Both {people} and {people} love these {adjective} {pair}.
[Mr.=mister] {name}, our {trade} from {country}, drew the {pattern} himself.
[Mrs.=missus] {name} has worked as a {trade} for {number} years.
[Dr.=doctor] {name} wears the {colour} {pair} to the hospital every {day}.
Our shop near the {place} is open from {day} to {day}, but closed on Sunday.
On {day} every {thing} is {percent} cheaper than usual.
Ask our friendly staff for help if you cannot find the right size.
The {thing} weighs about {number} grams more than the old one.
With a heel of {few} [cm=centimetres], these {colour} {shoe} are made for {use}.
Which {thing} would you take to the {place} on a {day} evening?
How do you keep {material} {adjective} after many years of {use}?
"""

# More than 12 s each, which a clip of the dataset may not have.
_LONG_TEMPLATES = """
In the {season} collection you will find {colour} {pair} for {people}, a {adjective} {material} \
{thing} for {days}, {colour} {pair} made of {adjective} {material}, and, for those who love the \
{place}, a {thing} with {few} pockets that costs only {price}.
To care for your {material} {thing}, empty the pockets, wash it slowly in {wash}, press the water \
out with a clean towel, let it dry flat in the shade for about {few} hours, and then keep it in \
a dark and dry place until the next {season}.
When our {trade} visited {country} in {month}, she brought back {few} rolls of {colour} \
{material}, a box full of {colour} buttons, some {adjective} {material}, and the idea for the \
{thing} that you can see on page {number}, next to the {pair} with {pattern}.
"""

WORDS: dict[str, list[str]] = {}
for _line in _LISTS.strip().splitlines():
    _kind, _words = _line.split(": ")
    WORDS.setdefault(_kind, []).extend(_words.split(", "))
NUMBERS = ("few", "number", "price", "cents", "percent")


@dataclass(frozen=True)
class Sentence:
    """One sentence, word by word: as it is written, and the words that are spoken for each."""

    written: list[str]
    spoken: list[str]

    @property
    def text(self) -> str:
        return " ".join(self.written)


def narrate(count: int, seed: int, long_every: int) -> list[Sentence]:
    """`count` different sentences; every `long_every`th takes more than 12 seconds."""
    rng = np.random.default_rng(seed)
    turns = {kind: _in_turn(words, rng) for kind, words in WORDS.items()}
    short, long = (
        _in_turn(templates.strip().splitlines(), rng) for templates in (_TEMPLATES, _LONG_TEMPLATES)
    )
    found: dict[str, Sentence] = {}
    while len(found) < count:
        template = next(long if len(found) % long_every == long_every - 1 else short)
        sentence = _fill(template, turns, rng)
        found[sentence.text] = sentence
    return list(found.values())


def _in_turn(entries: list[str], rng: np.random.Generator) -> Iterator[str]:
    """Every entry once, shuffled, and again: so that each is said about as often as any other."""
    while True:
        yield from (entries[at] for at in rng.permutation(len(entries)))


def _fill(template: str, turns: dict[str, Iterator[str]], rng: np.random.Generator) -> Sentence:
    parts = []
    for text, field, _, _ in Formatter().parse(template):
        parts.append(text)
        if field:
            kind = field.lower()
            value = _number(kind, rng) if kind in NUMBERS else next(turns[kind])
            parts.append(value.capitalize() if field[0].isupper() else value)
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", "".join(parts))
    words = re.findall(r"(?:\[[^]]*\]|\S)+", text)
    return Sentence(
        [re.sub(r"\[(.*?)=.*?\]", r"\1", word) for word in words],
        [re.sub(r"\[.*?=(.*?)\]", r"\1", word) for word in words],
    )


def _number(kind: str, rng: np.random.Generator) -> str:
    """A number, as `[written=spoken]`."""
    from num2words import num2words

    if kind in ("few", "number"):
        value = int(rng.integers(2, 13 if kind == "few" else 61))
        return f"[{value}={num2words(value)}]"
    if kind == "percent":
        value = 5 * int(rng.integers(1, 13))
        return f"[{value}%={num2words(value)} percent]"
    dollars, cents = int(rng.integers(4, 180)), int(rng.choice([25, 50, 75, 95, 99]))
    if kind == "price":
        return f"[${dollars}={num2words(dollars)} dollars]"
    said = f"{num2words(dollars)} dollars and {num2words(cents)} cents"
    return f"[${dollars}.{cents}={said}]"
