"""What a catalogue read aloud says: some two hundred words and numbers in sentences of 4 to 16 words."""

import re
from collections.abc import Container

import numpy as np

_LISTS = """
colour: black, white, red, blue, green, grey, brown, yellow, pink, purple, orange, navy
material: cotton, wool, leather, linen, silk, denim, canvas, suede, velvet, cashmere
thing: jacket, shirt, dress, coat, scarf, sweater, skirt, hat, bag, belt, watch, wallet, blouse, vest
pair: shoes, boots, sandals, sneakers, jeans, trousers, gloves, socks, shorts, sunglasses
season: spring, summer, autumn, winter
people: men, women, boys, girls, children
size: small, medium, large, extra large
adjective: soft, warm, light, classic, new, simple, comfortable, strong, elegant, slim, modern
adjective: casual, bright, dark, durable, popular
use: work, travel, sport, school, running, walking, parties, everyday wear
place: office, city, mountains, beach, garden, street
parts: pockets, buttons, sleeves, laces
part: zip, collar, hood, lining, sole, buckle, strap
wash: warm water, cold water, mild soap
weather: rain, snow, sun, heat
days: cold days, rainy days, warm evenings, long walks, cold mornings
country: Italy, Portugal, India, Japan
"""
WORDS: dict[str, list[str]] = {}
for _line in _LISTS.strip().splitlines():
    _kind, _words = _line.split(": ")
    WORDS.setdefault(_kind, []).extend(_words.split(", "))

TEMPLATES = """
The {colour} {material} {thing} costs {price} dollars.
This {colour} {thing} costs {price} dollars.
The {colour} {pair} cost {price} dollars.
These {material} {pair} cost {price} dollars and fifty cents.
Now the {thing} costs only {price} dollars.
The price of the {pair} is {price} dollars.
It was {price} dollars, and now it costs {price} dollars.
This {colour} {thing} is made of {adjective} {material}.
These {pair} are made of {adjective} {material}.
The {thing} is {adjective} and {adjective}.
The {pair} are {adjective}, {adjective} and {adjective}.
{Colour} {material} {thing}, size {size}.
{Colour} {pair}, size {number}.
{Adjective} {colour} {pair} for {people}.
A {adjective} {thing} for the {season} season.
It comes in {colour}, {colour} and {colour}.
The {thing} is available in {colour} and {colour}.
Available in sizes {size}, {size} and {size}.
Choose from {number} colours and {number} sizes.
Our new {season} collection has {number} {colour} {pair}.
The {season} collection for {people} has {adjective} {pair}.
Wear it with {colour} {pair} and a {material} {thing}.
They go well with a {colour} {material} {thing}.
A {adjective} {material} gift for {people}.
The {adjective} {thing} is perfect for {use} and {use}.
These {colour} {pair} are perfect for {use}.
{Adjective} {pair} for {days} in the {place}.
A {material} {thing} for the {place} and the {place}.
The {material} {thing} keeps you warm on {days}.
It has {number} {parts} and a {colour} {part}.
The {part} is {colour}, and the {parts} are {colour}.
With {adjective} {parts} and a {adjective} {part}.
Wash the {colour} {thing} in {wash}.
Wash the {pair} by hand in {wash}.
Dry the {material} {thing} flat in the {place}.
Do not iron the {adjective} {material} {thing}.
Keep the {colour} {pair} away from {weather}.
Clean the {adjective} {material} with {wash}.
Item number {number} is a {colour} {thing}.
Page {number}, {adjective} {pair} for {people}.
Next, the {adjective} {material} {thing}.
Made in {country} from {adjective} {material}.
We have {number} {pair} left in {colour}.
You can return the {thing} within {number} days.
Free delivery for orders over {price} dollars.
The {thing} has a {adjective} {colour} {part}.
Both {people} and {people} love these {adjective} {pair}.
Order the {colour} {thing} before the end of {season}.
""".strip().splitlines()

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def number(value: int) -> str:
    """0 to 999 in words, as XTTS's tokenizer writes digits: "one hundred and forty-two"."""
    if value < 20:
        return ONES[value]
    if value < 100:
        tens, rest = TENS[value // 10 - 2], value % 10
        return f"{tens}-{ONES[rest]}" if rest else tens
    rest = f" and {number(value % 100)}" if value % 100 else ""
    return f"{ONES[value // 100]} hundred{rest}"


def sentence(rng: np.random.Generator) -> str:
    """One sentence; a kind that comes twice in it has two different words."""
    used: set[str] = set()

    def fill(match: re.Match[str]) -> str:
        kind = match[1].lower()
        if kind == "price":
            high = 500 if rng.random() < 0.25 else 100
            return number(int(rng.integers(5, high)))
        if kind == "number":
            return number(int(rng.integers(2, 61)))
        word = str(rng.choice([word for word in WORDS[kind] if word not in used]))
        used.add(word)
        return word.capitalize() if match[1][0].isupper() else word

    filled = re.sub(r"{(\w+)}", fill, str(rng.choice(TEMPLATES)))
    # "a orange belt": the article follows the sound of the next word.
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", filled)


def sentences(count: int, seed: int, without: Container[str] = ()) -> list[str]:
    """Different sentences, none of them in `without`; the same for the same seed."""
    rng = np.random.default_rng(seed)
    made: dict[str, None] = {}
    while len(made) < count:
        text = sentence(rng)
        if text not in without:
            made[text] = None
    return list(made)
