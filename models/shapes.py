"""The elements of the drawings: colours, shapes with a material, and the curves of their outlines.

Coordinates are in article units: x to the right, y down, each about -1..1. Colours are 0..255.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Rgb = tuple[float, float, float]
Points = Sequence[tuple[float, float]]

COLOURS: dict[str, Rgb] = {
    "Black": (38, 38, 41),
    "White": (240, 240, 238),
    "Grey": (146, 148, 151),
    "Brown": (120, 74, 40),
    "Red": (200, 28, 36),
    "Blue": (46, 118, 212),
    "Navy Blue": (30, 42, 98),
    "Green": (34, 134, 66),
    "Yellow": (244, 204, 40),
    "Pink": (242, 134, 178),
}

# The colour of soles, linings and trims depends on the season.
TRIMS: dict[str, Rgb] = {
    "Summer": (246, 246, 243),
    "Fall": (190, 138, 84),
    "Winter": (62, 62, 66),
    "Spring": (190, 226, 212),
}


@dataclass(frozen=True)
class Shape:
    """A filled outline (n, 2), or a stroke if `width` is above 0. Lengths are in article units."""

    points: np.ndarray
    colour: Rgb
    width: float = 0.0
    relief: float = 0.5  # strength of the shading on the rounded edge
    rounding: float = 0.09  # width of the rounded edge
    texture: str = "plain"
    gloss: float = 0.0
    lift: float = 0.0  # darkness of the shadow on the shapes below
    soft: float = 0.0  # blur of the outline
    alpha: float = 1.0
    clip: bool = False  # paint only over earlier shapes: seams, prints, folds


@dataclass(frozen=True)
class Look:
    """How to draw a product, derived from its attributes."""

    base: Rgb
    trim: Rgb
    accent: Rgb
    gender: str
    season: str
    usage: str
    rng: np.random.Generator

    @property
    def child(self) -> bool:
        return self.gender in ("Boys", "Girls")

    @property
    def slim(self) -> float:
        """Relative width of the garment: 1 for men, narrower for women, wider for children."""
        return {"Men": 1.0, "Unisex": 0.95, "Women": 0.86, "Boys": 1.14, "Girls": 1.06}[self.gender]

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, *names: str) -> str:
        return names[int(self.rng.integers(len(names)))]


def tone(colour: Rgb, factor: float) -> Rgb:
    """Darken the colour if `factor` is below 1; else mix it with a share `factor - 1` of white."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    return mix(colour, (255, 255, 255), factor - 1)


def mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    """Mix two colours: `share` (0..1) of `b`, the rest of `a`."""
    red, green, blue = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return (red, green, blue)


def curve(points: Points, closed: bool = True, steps: int = 8) -> np.ndarray:
    """Catmull-Rom curve (n, 2) through `points`; a point given twice in a row makes a corner."""
    p = np.asarray(points, dtype=float)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    drawn = (b != c).any(axis=(1, 2))  # a corner is a segment of length 0
    a, b, c, d = a[drawn], b[drawn], c[drawn], d[drawn]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    line = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    flat = line.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, p[-1:]])


def poly(points: Points) -> np.ndarray:
    return np.asarray(points, dtype=float)


def mirrored(points: Points) -> list[tuple[float, float]]:
    """Both halves of a symmetric outline, given its right half from the top to the bottom."""
    return [*points, *((-x, y) for x, y in reversed(points))]


def oval(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    angle = np.linspace(0, 2 * math.pi, 36, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def box(x: float, y: float, half_w: float, half_h: float, power: float = 5.0) -> np.ndarray:
    """A rectangle with rounded corners (a superellipse)."""
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack(
        [
            x + half_w * np.sign(c) * np.abs(c) ** (2 / power),
            y + half_h * np.sign(s) * np.abs(s) ** (2 / power),
        ],
        axis=1,
    )


def scaled(shape: Shape, x: float, y: float) -> Shape:
    return Shape(**{**shape.__dict__, "points": shape.points * [x, y]})


def seam(points: np.ndarray, colour: Rgb, width: float = 0.012) -> list[Shape]:
    """A dark groove with a row of stitches beside it."""
    groove = Shape(points, tone(colour, 0.45), width=width, relief=0, alpha=0.6, clip=True)
    shifted = points + np.array([0.0, 0.028])
    stitches = [
        Shape(shifted[i : i + 2], tone(colour, 1.45), width=width, relief=0, alpha=0.7, clip=True)
        for i in range(0, len(shifted) - 1, 2)
    ]
    return [groove, *stitches]


def folds(look: Look, lines: Sequence[Points], strength: float = 0.28) -> list[Shape]:
    """Soft creases of cloth: a dark valley and a light ridge beside it."""
    out = []
    for points in lines:
        moved = curve([(x + look.between(-0.04, 0.04), y) for x, y in points], closed=False)
        dark, light = tone(look.base, 0.35), tone(look.base, 1.6)
        alpha = strength * look.between(0.6, 1.2)
        out.append(Shape(moved, dark, width=0.05, relief=0, soft=0.035, alpha=alpha, clip=True))
        out.append(
            Shape(
                moved + np.array([0.05, 0.0]),
                light,
                width=0.04,
                relief=0,
                soft=0.035,
                alpha=alpha,
                clip=True,
            )
        )
    return out
