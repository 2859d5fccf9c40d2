"""Draw product photos: the sample catalogue, and the training sets of the mini image models.

An article (`articles.py`) is a list of `Shape`s, painted back to front. `_paint` renders the
material of each: light from the top left over a rounded edge, a texture, a highlight and a soft
shadow on the shapes below. `draw_product` fits the list into the frame and adds the shadow on the
ground. The same product and seed give the same bytes.
"""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageEnhance, ImageFilter

from likeness.common.io import write_jsonl, write_text
from models.articles import ARTICLES
from models.footwear import FOOTWEAR
from models.shapes import COLOURS, TRIMS, Look, Shape

WIDTH, HEIGHT = 192, 256  # pixels: the 3:4 portrait of the Kaggle catalogue


@dataclass(frozen=True)
class SampleProduct:
    """One row of `styles.csv`: the ten columns of the Kaggle catalogue."""

    id: int
    gender: str
    masterCategory: str
    subCategory: str
    articleType: str
    baseColour: str
    season: str
    year: int
    usage: str
    productDisplayName: str


@lru_cache(maxsize=32)
def _texture(name: str, scale: int) -> np.ndarray:
    """A tile (256 * scale, 256 * scale) of changes in relative brightness, around 0."""
    rng = np.random.default_rng(len(name))
    size = 256 * scale
    y, x = np.mgrid[:size, :size] / scale

    def grain(radius: float) -> np.ndarray:
        noise = Image.fromarray(rng.integers(0, 256, (size, size), dtype=np.uint8))
        blurred = np.asarray(noise.filter(ImageFilter.GaussianBlur(radius * scale)), float)
        return np.asarray((blurred - blurred.mean()) / blurred.std())

    wave = 2 * math.pi
    tiles: dict[str, Callable[[], np.ndarray]] = {
        "plain": lambda: 0.008 * grain(1.0),
        "canvas": lambda: 0.035 * np.sin(wave * x / 3) * np.sin(wave * y / 3) + 0.01 * grain(0.6),
        "denim": lambda: 0.05 * np.sin(wave * (x + 2 * y) / 5) + 0.018 * grain(0.6),
        "knit": lambda: 0.07 * np.sin(wave * (y + np.abs(x % 6 - 3)) / 4) + 0.02 * grain(0.7),
        "mesh": lambda: -0.12 * (np.sin(wave * x / 4) * np.sin(wave * y / 4) > 0.45) + 0.02,
        "leather": lambda: 0.012 * grain(0.6) + 0.012 * grain(5),
        "suede": lambda: 0.03 * grain(0.8) + 0.02 * grain(4),
    }
    return tiles[name]().astype(np.float32)


def _blur(mask: Image.Image, radius: float) -> np.ndarray:
    blurred = mask.filter(ImageFilter.GaussianBlur(float(radius)))
    return np.asarray(np.asarray(blurred, np.float32) / 255)


def _paint(
    photo: np.ndarray,
    cover: np.ndarray,
    shape: Shape,
    points: np.ndarray,
    unit: float,
    ss: int,
    rng: np.random.Generator,
) -> None:
    """Paint one shape into `photo` (h, w, 3), 0..255, and mark it in `cover` (h, w), 0..1.

    `points` (n, 2) are in pixels; `unit` is the number of pixels in one article unit.
    """
    pad = unit * (shape.width / 2 + 3 * shape.soft + shape.rounding * bool(shape.relief)) + 3
    pad += 0.15 * unit * bool(shape.lift)
    low = np.maximum(np.floor(points.min(0) - pad), 0).astype(int)
    high = np.minimum(np.ceil(points.max(0) + pad), (photo.shape[1], photo.shape[0])).astype(int)
    width, height = (int(v) for v in high - low)
    if width <= 0 or height <= 0:
        return
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    outline = [(float(x), float(y)) for x, y in points - low]
    if shape.width:
        stroke = max(1, round(shape.width * unit))
        draw.line(outline, fill=255, width=stroke, joint="curve")
    else:
        draw.polygon(outline, fill=255)
    area = (slice(low[1], high[1]), slice(low[0], high[0]))
    target, covered = photo[area], cover[area]

    if shape.lift:
        radius = 0.035 * unit
        below = np.roll(_blur(mask, radius), (int(radius), int(radius * 0.6)), (0, 1))
        target *= 1 - (shape.lift * below * covered)[..., None]

    light = np.ones((height, width), np.float32)
    gleam: np.ndarray | float = 0.0
    if shape.relief:
        raised = _blur(mask, max(1.0, shape.rounding * unit / 2))
        slope_y, slope_x = np.gradient(raised)
        lit = (0.5 * slope_x + 0.85 * slope_y) * shape.rounding * unit
        light += shape.relief * (0.7 * np.minimum(lit, 0.3) - 0.5 * (1 - raised))
        gleam = shape.gloss * 130 * np.clip(2 * lit - 0.15, 0, 1) ** 2
    if shape.alpha == 1:
        tile = _texture(shape.texture, ss)
        top, left = (int(v) for v in rng.integers(0, 60 * ss, 2))
        rows = np.arange(top, top + height) % len(tile)
        columns = np.arange(left, left + width) % len(tile)
        light += tile[np.ix_(rows, columns)]
    ink = np.asarray(shape.colour, np.float32) * light[..., None]
    if shape.gloss:
        ink += np.asarray(gleam)[..., None]

    weight = _blur(mask, shape.soft * unit) if shape.soft else np.asarray(mask, np.float32) / 255
    if shape.clip:
        weight = weight * covered
    else:
        np.maximum(covered, weight * shape.alpha, out=covered)
    target += (weight * shape.alpha)[..., None] * (ink - target)


def _look(product: SampleProduct, rng: np.random.Generator) -> Look:
    base = np.asarray(COLOURS[product.baseColour])
    lightness = {"Summer": 1.05, "Spring": 1.03, "Fall": 0.97, "Winter": 0.94}[product.season]
    base = np.clip(base * lightness * rng.normal(1, 0.05) * rng.normal(1, 0.015, 3), 0, 246)
    names = [name for name in COLOURS if name != product.baseColour]
    if product.gender in ("Women", "Girls"):
        names += ["Pink"] * 4 * (product.baseColour != "Pink") + ["White"] * 3
    if product.gender in ("Men", "Boys"):
        names = [name for name in names if name != "Pink"] + ["White", "Black", "Grey"]
    accent = COLOURS[names[int(rng.integers(len(names)))]]
    trim = TRIMS[product.season] if rng.random() < 0.85 else (246, 246, 243)
    return Look(
        (float(base[0]), float(base[1]), float(base[2])),
        trim,
        accent,
        product.gender,
        product.season,
        product.usage,
        rng,
    )


def draw_product(product: SampleProduct, seed: int, supersample: int = 3) -> Image.Image:
    """Draw one product as an RGB image, 192 x 256 pixels, on a nearly white background.

    It is drawn `supersample` times larger and then reduced, which smooths its lines. 1 is enough for
    a photo that is reduced to a quarter afterwards, as in training at 64 pixels.
    """
    rng = np.random.default_rng([seed, product.id])
    look = _look(product, rng)
    shapes = ARTICLES[product.articleType](look)
    tilt = math.radians(rng.normal(0, 2.2))
    turn = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    flip = np.array([-1.0 if product.articleType in FOOTWEAR and rng.random() < 0.12 else 1.0, 1.0])
    outlines = [(shape.points * flip) @ turn for shape in shapes]
    solid = [o for o, s in zip(outlines, shapes, strict=True) if not s.clip]
    extra = max(s.width for s in shapes if not s.clip) / 2
    low = np.min([o.min(0) for o in solid], axis=0) - extra
    high = np.max([o.max(0) for o in solid], axis=0) + extra
    fill = rng.uniform(0.88, 1.0) * (0.86 if look.child else 1.0)
    width, height = WIDTH * supersample, HEIGHT * supersample
    unit = fill * min(width * 0.88 / (high[0] - low[0]), height * 0.86 / (high[1] - low[1]))
    centre = np.array([width, height]) / 2 + rng.uniform(-0.012, 0.012, 2) * width
    place = centre - unit * (low + high) / 2

    photo = np.full((height, width, 3), 255, np.float32)
    _ground_shadow(photo, centre, unit * (high - low), product.articleType, supersample)
    cover = np.zeros((height, width), np.float32)
    for shape, outline in zip(shapes, outlines, strict=True):
        _paint(photo, cover, shape, outline * unit + place, unit, supersample, rng)
    warm = 1 + rng.normal(0, 0.006, 3) * cover[..., None]
    image = Image.fromarray(np.clip(photo * warm + 0.5, 0, 255).astype(np.uint8))
    if supersample > 1:
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return image


def _ground_shadow(
    photo: np.ndarray, centre: np.ndarray, size: np.ndarray, article: str, ss: int
) -> None:
    """Draw a contact shadow below a standing article, or a faint halo around one that lies flat."""
    height, width = photo.shape[:2]
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    half_w, half_h = size / 2
    x, y = (float(v) for v in centre)
    if article in (*FOOTWEAR, "Handbags", "Backpacks", "Caps", "Sunglasses"):
        floor = y + half_h - 2 * ss
        draw.ellipse(
            (x - half_w * 0.94, floor - 5 * ss, x + half_w * 0.94, floor + 5 * ss), fill=120
        )
        dark = _blur(mask, 4 * ss)
    else:
        draw.ellipse(
            (x - half_w * 0.7, y - half_h * 0.9, x + half_w * 0.7, y + half_h * 0.96), fill=15
        )
        dark = _blur(mask, 7 * ss)
    photo -= (255 * dark)[..., None] * np.array([1.0, 1.0, 0.97], np.float32)


# --- the catalogue ------------------------------------------------------------------------------

BRANDS = (
    "Northfold", "Kestrel", "Alder Row", "Pacer", "Marlowe", "Tern", "Oxbow", "Quill", "Solstep",
    "Harrow", "Vela", "Brightwater",
)  # fmt: skip
LINES = (
    "Street",
    "Classic",
    "Metro",
    "Drift",
    "Court",
    "Harbour",
    "Trail",
    "Studio",
    "Era",
    "Loft",
)

# The masterCategory and subCategory of each article type, as in the Kaggle catalogue.
CATEGORIES = {
    "Casual Shoes": ("Footwear", "Shoes"),
    "Sports Shoes": ("Footwear", "Shoes"),
    "Formal Shoes": ("Footwear", "Shoes"),
    "Boots": ("Footwear", "Shoes"),
    "Heels": ("Footwear", "Shoes"),
    "Flats": ("Footwear", "Shoes"),
    "Sandals": ("Footwear", "Sandal"),
    "Tshirts": ("Apparel", "Topwear"),
    "Shirts": ("Apparel", "Topwear"),
    "Trousers": ("Apparel", "Bottomwear"),
    "Dresses": ("Apparel", "Dress"),
    "Handbags": ("Accessories", "Bags"),
    "Backpacks": ("Accessories", "Bags"),
    "Watches": ("Accessories", "Watches"),
    "Sunglasses": ("Accessories", "Eyewear"),
    "Caps": ("Accessories", "Headwear"),
}
# The sample catalogue has one kind of footwear; the others are what the base models learn from.
SAMPLED = tuple(kind for kind in CATEGORIES if kind == "Casual Shoes" or kind not in FOOTWEAR)
WOMENS = ("Dresses", "Handbags", "Heels", "Flats")
GENDERS = {"Men": 0.5, "Women": 0.26, "Unisex": 0.12, "Boys": 0.07, "Girls": 0.05}
SHARES = {
    "Black": 0.23, "Brown": 0.15, "White": 0.14, "Grey": 0.1, "Blue": 0.1, "Navy Blue": 0.09,
    "Red": 0.07, "Green": 0.05, "Pink": 0.04, "Yellow": 0.03,
}  # fmt: skip
SEASONS = {"Summer": 0.42, "Fall": 0.32, "Winter": 0.16, "Spring": 0.1}
USAGES = {"Casual": 0.76, "Sports": 0.14, "Formal": 0.1}


def sample_products(
    count: int, seed: int, types: Sequence[str] = SAMPLED, *, balanced: bool = False
) -> list[SampleProduct]:
    """Draw `count` products, sorted by unique id; a type listed twice in `types` is twice as frequent.

    Colours, genders, seasons and usages are distributed unevenly, as in a real catalogue, or
    uniformly with `balanced`.
    """
    rng = np.random.default_rng(seed)

    def draw(shares: Mapping[str, float]) -> str:
        weights = np.array(list(shares.values()))
        weights = np.ones(len(weights)) if balanced else weights
        return str(rng.choice(list(shares), p=weights / weights.sum()))

    ids = np.sort(rng.choice(np.arange(1000, 1000 + max(60_000, 2 * count)), count, replace=False))
    order = rng.permutation(count)
    products = []
    for number, rank in zip(ids, order, strict=True):
        kind = types[int(rank) % len(types)]
        genders = GENDERS
        if kind in WOMENS:
            genders = {name: GENDERS[name] for name in ("Women", "Girls")}
        gender, colour = draw(genders), draw(SHARES)
        usage = draw(USAGES) if kind not in WOMENS else "Casual"
        name = f"{rng.choice(BRANDS)} {gender} {rng.choice(LINES)} {colour} {kind}"
        season, year = draw(SEASONS), int(rng.integers(2010, 2018))
        products.append(
            SampleProduct(
                int(number), gender, *CATEGORIES[kind], kind, colour, season, year, usage, name
            )
        )
    return products


# The flaws of the sample catalogue's broken rows, and how the pipeline is expected to treat each.
FLAWS = {
    "missing_file": "rejected:missing_file",
    "truncated": "rejected:truncated",
    "text": "rejected:not_an_image",
    "empty": "rejected:not_an_image",
    "one_pixel": "rejected:too_small",
    "extra_commas": "rejected:malformed_row",
    "path_in_id": "rejected:unsafe_id",
    "copy": "rejected:duplicate",
    "reencoded_copy": "rejected:duplicate",
    "near_duplicate": "repaired",
    "png": "repaired",
    "alpha_png": "repaired",
    "cmyk": "repaired",
    "exif_rotated": "repaired",
}
TWICE = ("missing_file", "truncated", "extra_commas", "copy", "reencoded_copy", "near_duplicate")


def render_catalog(
    out_dir: Path, *, count: int, seed: int, quality: int, progress: Callable[[Any], Any] = iter
) -> None:
    """Write a catalogue in the Kaggle layout: `styles.csv` and `images/ID.jpg`.

    Half of the `count` rows are casual shoes, and 20 of those have a flaw of `FLAWS`. `flaws.jsonl`
    has a row for each of the 20: id, flaw and the result that is expected of the pipeline.

    Args:
        out_dir: folder to write.
        count: number of rows, including the broken ones.
        seed: of the products and their drawings.
        quality: JPEG quality, 1 to 95.
        progress: wraps the iteration over the products.
    """
    others = [kind for kind in SAMPLED if kind != "Casual Shoes"]
    products = sample_products(count, seed, ["Casual Shoes"] * len(others) + others)
    shoes = [product for product in products if product.articleType == "Casual Shoes"]
    broken = [flaw for flaw in FLAWS for _ in range(1 + (flaw in TWICE))]
    step = len(shoes) // len(broken)
    flaws = {shoes[step * (k + 1) - 1].id: flaw for k, flaw in enumerate(broken)}
    originals = {shoes[step * (k + 1) - 1].id: shoes[step * k] for k in range(len(broken))}

    (out_dir / "images").mkdir(parents=True, exist_ok=True)
    rows: list[list[str]] = []
    truth: list[dict[str, str]] = []
    for product in progress(products):
        flaw = flaws.get(product.id)
        if flaw in ("copy", "reencoded_copy", "near_duplicate"):
            original = replace(originals[product.id], id=product.id)
            photo, product = draw_product(originals[product.id], seed), original
        else:
            photo = draw_product(product, seed)
        cells = [str(value) for value in astuple(product)]
        data: bytes | None = _jpeg(photo, quality)
        if flaw:
            data = _break(flaw, photo, _jpeg(photo, quality), quality)
            if flaw == "path_in_id":
                cells[0] = f"../{product.id}"
            if flaw == "extra_commas":
                cells[-1:] = cells[-1].split()
            truth.append({"id": cells[0], "flaw": flaw, "expect": FLAWS[flaw]})
        if data is not None:
            (out_dir / "images" / f"{product.id}.jpg").write_bytes(data)
        rows.append(cells)
    write_jsonl(out_dir / "flaws.jsonl", truth)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([[field.name for field in fields(SampleProduct)], *rows])
    write_text(out_dir / "styles.csv", table.getvalue())


def _jpeg(photo: Image.Image, quality: int, **options: Any) -> bytes:
    return _encoded(photo, "JPEG", quality=quality, **options)


def _encoded(photo: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, form, **options)
    return buffer.getvalue()


def _break(flaw: str, photo: Image.Image, data: bytes, quality: int) -> bytes | None:
    """The bytes of a broken row's image file, or None if the row has no file."""
    if flaw in ("missing_file", "path_in_id"):
        return None
    if flaw == "truncated":
        return data[: len(data) * 6 // 10]
    if flaw == "text":
        return b"404 Not Found: this photo has moved.\n"
    if flaw == "empty":
        return b""
    if flaw == "one_pixel":
        return _jpeg(photo.resize((1, 1)), quality)
    if flaw == "reencoded_copy":
        return _jpeg(Image.open(io.BytesIO(data)), 70)
    if flaw == "near_duplicate":
        moved = Image.new("RGB", photo.size, "white")
        moved.paste(photo.resize((WIDTH - 6, HEIGHT - 8), Image.Resampling.LANCZOS), (5, 3))
        return _jpeg(ImageEnhance.Brightness(moved).enhance(1.04), quality)
    if flaw == "png":
        return _encoded(photo, "PNG")
    if flaw == "alpha_png":
        light = photo.convert("L").point(lambda value: 255 if value < 250 else 0)
        photo.putalpha(light)
        return _encoded(photo, "PNG")
    if flaw == "cmyk":
        return _jpeg(photo.convert("CMYK"), quality)
    if flaw == "exif_rotated":
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6  # "turn me right by 90 degrees"
        return _jpeg(photo.transpose(Image.Transpose.ROTATE_90), quality, exif=exif)
    return data
