"""The drawing of each article type: a list of shapes, painted from back to front."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from models.footwear import FOOTWEAR
from models.shapes import (
    Look,
    Shape,
    box,
    curve,
    folds,
    mirrored,
    mix,
    oval,
    poly,
    scaled,
    seam,
    tone,
)


def _sleeves(look: Look, length: float, flare: float) -> list[Shape]:
    """The two sleeves of a top; `length` is how far they reach down the arm."""
    s = look.slim
    out = []
    for side in (-1, 1):
        reach = 0.5 * s + (0.4 * length if length < 1 else 0.24 * length)
        drop = -0.72 + (0.95 if length < 1 else 1.15) * length
        arm = [(0.4 * s, -0.84), (0.4 * s, -0.84), (0.5 * s, -0.77), (0.53 * s, -0.66)]
        arm += [
            (reach + flare, drop),
            (reach + flare, drop),
            (reach - 0.2, drop + 0.1),
            (reach - 0.2, drop + 0.1),
        ]
        arm += [(0.47 * s, -0.34), (0.47 * s, -0.34), (0.45 * s, -0.6)]
        outline = curve([(side * x, y) for x, y in arm])
        out.append(
            Shape(outline, look.base, rounding=0.13, texture="canvas", relief=0.6, lift=0.12)
        )
        cuff = poly([(side * (reach + flare), drop - 0.03), (side * (reach - 0.2), drop + 0.07)])
        out.append(Shape(cuff, tone(look.base, 0.7), width=0.018, relief=0, clip=True))
    return out


def _torso(look: Look, length: float) -> np.ndarray:
    s = look.slim
    waist = 0.5 * s - (0.07 if look.gender in ("Women", "Girls") else 0.0)
    right = [(0.17, -0.93), (0.17, -0.93), (0.44 * s, -0.82), (0.44 * s, -0.82), (0.5 * s, -0.36)]
    right += [(waist, 0.05), (0.54 * s, length), (0.54 * s, length), (0.2, length + 0.03)]
    return curve(mirrored(right))


def _hanging_folds(look: Look, length: float) -> list[Shape]:
    s = look.slim
    lines = [
        [(-0.38 * s, -0.5), (-0.3 * s, -0.2), (-0.34 * s, 0.2)],
        [(0.3 * s, -0.3), (0.24 * s, 0.1), (0.3 * s, length)],
        [(-0.1, 0.2), (-0.05, length * 0.7), (-0.12, length)],
        [(0.44 * s, -0.48), (0.3 * s, -0.36), (0.12 * s, -0.32)],
    ]
    return folds(look, lines)


def _tshirts(look: Look) -> list[Shape]:
    length = 0.86 * (0.9 if look.child else 1.0)
    shapes = [
        Shape(oval(0, -0.9, 0.18, 0.07), tone(look.base, 0.5), relief=0.2),
        Shape(_torso(look, length), look.base, rounding=0.2, relief=0.6, texture="canvas"),
    ]
    design = look.pick("plain", "stripes", "circle", "band", "text", "star")
    shapes += _sleeves(look, look.between(0.34, 0.5), look.between(0.0, 0.05))
    shapes += _print(look, design)
    shapes += _hanging_folds(look, length)
    deep = 0.2 if look.gender in ("Women", "Girls") else 0.13
    neck = curve(
        [(-0.19, -0.93), (-0.12, -0.93 + deep), (0.12, -0.93 + deep), (0.19, -0.93)], False
    )
    hole = curve([(-0.17, -0.95), (-0.11, -0.93 + deep), (0.11, -0.93 + deep), (0.17, -0.95)])
    shapes.append(Shape(hole, tone(look.base, 0.42), relief=0.2))
    shapes.append(Shape(neck, tone(look.base, 0.85), width=0.05, texture="knit", rounding=0.05))
    shapes += seam(
        curve([(-0.5, length - 0.06), (0, length - 0.03), (0.5, length - 0.06)], False), look.base
    )
    return shapes


def _print(look: Look, design: str) -> list[Shape]:
    """The print on the chest of a T-shirt."""
    accent = look.accent
    printed = partial(Shape, relief=0.0, clip=True)
    if design == "stripes":
        gap = look.between(0.15, 0.24)
        return [
            printed(poly([(-0.7, y), (0.7, y)]), accent, width=gap * 0.35)
            for y in np.arange(-0.55, 0.8, gap)
        ]
    if design == "band":
        return [printed(poly([(-0.9, -0.25), (0.9, -0.25)]), accent, width=0.2)]
    if design == "circle":
        ring = tone(accent, 0.7)
        return [
            printed(oval(0, -0.3, 0.22, 0.22), accent),
            printed(oval(0, -0.3, 0.15, 0.15), ring, width=0.03),
        ]
    if design == "text":
        return [
            printed(poly([(x, y), (x + look.between(0.06, 0.14), y)]), accent, width=0.06)
            for y in (-0.38, -0.26)
            for x in (-0.26, -0.08, 0.1)
        ]
    if design == "star":
        angle = np.arange(10) * math.pi / 5 - math.pi / 2
        radius = np.where(np.arange(10) % 2, 0.1, 0.24)
        points = np.stack([radius * np.cos(angle), -0.3 + radius * np.sin(angle)], axis=1)
        return [printed(points, accent)]
    return []


def _shirts(look: Look) -> list[Shape]:
    length = 0.95 * (0.92 if look.child else 1.0)
    shapes = [Shape(_torso(look, length), look.base, rounding=0.2, relief=0.6, texture="canvas")]
    shapes += _sleeves(look, 1.3 if look.usage == "Formal" or look.chance(0.7) else 0.55, 0.0)
    pattern = look.pick("plain", "plain", "check", "pinstripe")
    line = mix(look.base, look.accent, 0.55)
    if pattern == "check":
        for v in np.arange(-0.9, 1.0, 0.19):
            shapes.append(Shape(poly([(-1, v), (1, v)]), line, width=0.03, relief=0, clip=True))
            shapes.append(Shape(poly([(v, -1), (v, 1)]), line, width=0.03, relief=0, clip=True))
    if pattern == "pinstripe":
        for v in np.arange(-0.95, 1.0, 0.1):
            shapes.append(Shape(poly([(v, -1), (v, 1)]), line, width=0.018, relief=0, clip=True))
    shapes += _hanging_folds(look, length)
    placket = poly([(-0.05, -0.85), (0.05, -0.85), (0.05, length), (-0.05, length)])
    shapes.append(Shape(placket, tone(look.base, 0.94), rounding=0.03, clip=True, lift=0.25))
    button = (250, 248, 240) if sum(look.base) < 600 else (90, 84, 76)
    for y in np.arange(-0.66, length - 0.1, 0.25):
        shapes.append(Shape(oval(0, y, 0.024, 0.024), button, rounding=0.02, lift=0.4))
    pocket = poly([(0.16, -0.46), (0.4, -0.46), (0.4, -0.22), (0.28, -0.16), (0.16, -0.22)])
    shapes.append(Shape(pocket, look.base, rounding=0.03, texture="canvas", clip=True, lift=0.2))
    shapes += seam(poly([(0.16, -0.42), (0.28, -0.42), (0.4, -0.42)]), look.base)
    shapes.append(
        Shape(
            curve([(-0.15, -0.95), (0, -0.72), (0.15, -0.95), (0, -1.0)]),
            tone(look.base, 0.45),
            relief=0.2,
        )
    )
    for side in (-1, 1):
        collar = [(0.02, -0.72), (0.02, -0.72), (0.2, -0.62), (0.2, -0.62), (0.24, -0.9)]
        collar += [(0.14, -1.0), (0.14, -1.0), (0.13, -0.88)]
        shapes.append(
            Shape(
                curve([(side * x, y) for x, y in collar]),
                tone(look.base, 1.06),
                rounding=0.05,
                texture="canvas",
                lift=0.35,
            )
        )
    return shapes


def _trousers(look: Look) -> list[Shape]:
    cut = look.between(0.0, 0.08) + (0.05 if look.gender == "Men" else 0)
    length = 0.72 if look.child else 1.0
    hem, hip = 0.13 + cut, 0.4 * (0.5 + 0.5 * look.slim)
    cloth = look.pick("denim", "denim", "canvas")
    shapes = []
    for side in (-1, 1):
        leg = [(0.0, -0.86), (0.0, -0.86), (hip - 0.06, -0.86), (hip - 0.06, -0.86), (hip, -0.5)]
        leg += [(hip - 0.02, 0.1), (0.24 + hem, length), (0.24 + hem, length)]
        leg += [(0.24 - hem + 0.02, length + 0.02), (0.24 - hem + 0.02, length + 0.02)]
        leg += [(0.06, 0.1), (0.01, -0.38), (0.0, -0.38)]
        outline = curve([(side * x, y) for x, y in leg])
        shapes.append(Shape(outline, look.base, rounding=0.2, relief=0.8, texture=cloth, lift=0.2))
        shapes += folds(
            look,
            [
                [(side * 0.12, -0.3), (side * 0.2, -0.2), (side * 0.34, -0.22)],
                [(side * 0.14, 0.2), (side * 0.24, 0.3), (side * 0.34, 0.26)],
                [(side * 0.22, 0.5), (side * 0.24, 0.7), (side * 0.22, 0.95 * length)],
            ],
        )
        pocket = curve(
            [(side * 0.2, -0.78), (side * 0.24, -0.66), (side * (hip + 0.02), -0.6)], False
        )
        shapes += seam(pocket, look.base, width=0.016)
    if cloth == "denim" and look.chance(0.6):
        for side in (-1, 1):
            shapes.append(
                Shape(
                    oval(side * 0.22, -0.05, 0.08, 0.3),
                    tone(look.base, 1.5),
                    relief=0,
                    soft=0.07,
                    alpha=0.3,
                    clip=True,
                )
            )
    band = poly([(0.01 - hip, -0.86), (hip - 0.01, -0.86)])
    shapes.append(Shape(band, tone(look.base, 0.86), width=0.11, rounding=0.06, texture=cloth))
    for x in (-0.22, -0.08, 0.08, 0.22):
        shapes.append(Shape(poly([(x, -0.93), (x, -0.79)]), look.base, width=0.03, lift=0.35))
    shapes += seam(curve([(0, -0.78), (0.05, -0.6), (0.02, -0.42)], False), look.base)
    shapes.append(Shape(oval(0, -0.86, 0.035, 0.035), (206, 176, 112), gloss=0.5, rounding=0.03))
    return shapes


def _dresses(look: Look) -> list[Shape]:
    flare = look.between(0.42, 0.66)
    hem = 0.98 * (0.85 if look.child else 1.0)
    waist = 0.23 * (1.25 if look.child else 1.0)
    back = mirrored([(0.17, -0.92), (0.24, -0.7), (0.1, -0.55)])
    shapes = [Shape(curve(back), tone(look.base, 0.45), relief=0.2)]
    right = [(0.12, -0.78), (0.16, -0.98), (0.16, -0.98), (0.23, -0.97), (0.23, -0.97)]
    right += [(0.28, -0.7), (0.27, -0.5), (waist, -0.22), (0.36, 0.2), (flare, hem), (flare, hem)]
    right += [(0.2, hem + 0.05)]
    if look.chance(0.4):
        shapes += [scaled(s, 0.6, 1.0) for s in _sleeves(look, 0.35, 0.03)]
    outline = curve([(0.0, -0.7), *mirrored(right)])
    shapes.append(Shape(outline, look.base, rounding=0.16, relief=0.75, texture="plain", gloss=0.1))
    pattern = look.pick("plain", "plain", "dots", "flowers", "border")
    if pattern in ("dots", "flowers"):
        colour = mix(look.accent, (255, 255, 255), 0.3)
        for row, y in enumerate(np.arange(-0.75, 1.0, 0.16)):
            for x in np.arange(-0.72 + 0.08 * (row % 2), 0.75, 0.16):
                size = 0.026 if pattern == "dots" else look.between(0.03, 0.05)
                shapes.append(Shape(oval(x, y, size, size), colour, relief=0, clip=True))
    if pattern == "border":
        for y in (hem - 0.05, hem - 0.16):
            shapes.append(
                Shape(
                    curve([(-0.8, y), (0, y + 0.06), (0.8, y)], False),
                    look.accent,
                    width=0.05,
                    relief=0,
                    clip=True,
                )
            )
    fan = np.linspace(-0.8, 0.8, 6)
    shapes += folds(look, [[(0.2 * f, -0.18), (0.3 * f, 0.2), (flare * f, hem)] for f in fan], 0.4)
    if look.chance(0.7):
        belt = curve([(-waist - 0.03, -0.22), (0, -0.19), (waist + 0.03, -0.22)], False)
        shapes.append(Shape(belt, look.accent, width=0.07, rounding=0.05, lift=0.3, clip=True))
    return [scaled(shape, 1.0, 1.05) for shape in shapes]


def _handbags(look: Look) -> list[Shape]:
    wide, tall = look.between(0.68, 0.86), look.between(0.46, 0.62)
    flare = look.between(-0.1, 0.08)
    skin = look.pick("leather", "leather", "suede", "canvas")
    gloss = 0.4 if skin == "leather" else 0.05
    metal = (214, 184, 110) if look.chance(0.6) else (196, 198, 204)
    shapes = []
    reach = look.between(0.45, 0.75)
    for shift, k in ((0.04, 0.7), (0.0, 1.0)):
        handle = [(-0.36, -tall + 0.1), (-0.33, -tall - reach * 0.7), (0, -tall - reach)]
        handle += [(0.33, -tall - reach * 0.7), (0.36, -tall + 0.1)]
        strap = curve([(x + shift, y + shift) for x, y in handle], False)
        shapes.append(
            Shape(strap, tone(look.base, 0.82 * k), width=0.075, rounding=0.06, gloss=gloss)
        )
    top = wide + flare
    body = [(-top, -tall), (-top, -tall), (0, -tall + 0.03), (top, -tall), (top, -tall)]
    body += [(wide + 0.04, tall * 0.7), (wide - 0.06, tall), (0, tall + 0.04), (0.06 - wide, tall)]
    body += [(-wide - 0.04, tall * 0.7)]
    shapes.append(
        Shape(curve(body), look.base, rounding=0.26, relief=0.75, texture=skin, gloss=gloss)
    )
    shapes += seam(
        curve([(-wide, tall * 0.78), (0, tall * 0.84), (wide, tall * 0.78)], False), look.base
    )
    if look.chance(0.6):
        low = look.between(-0.05, 0.25)
        flap = [
            (-top, -tall - 0.02),
            (-top, -tall - 0.02),
            (top, -tall - 0.02),
            (top, -tall - 0.02),
        ]
        flap += [(top * 0.95, low - 0.2), (0.0, low), (-top * 0.95, low - 0.2)]
        shapes.append(
            Shape(
                curve(flap),
                tone(look.base, 0.93),
                rounding=0.1,
                relief=0.6,
                texture=skin,
                gloss=gloss,
                lift=0.4,
                clip=True,
            )
        )
        shapes.append(
            Shape(box(0, low - 0.04, 0.09, 0.07), metal, gloss=0.7, rounding=0.05, lift=0.4)
        )
    else:
        zip_line = poly([(-top + 0.08, -tall + 0.12), (top - 0.08, -tall + 0.12)])
        shapes.append(Shape(zip_line, metal, width=0.03, gloss=0.4, clip=True))
        shapes += seam(
            curve([(-0.5, -0.1), (-0.45, 0.3), (0.45, 0.3), (0.5, -0.1)], False), look.base
        )
        if look.chance(0.6):
            tag = box(0.3, -tall + 0.32, 0.06, 0.13)
            shapes.append(Shape(tag, look.accent, rounding=0.05, lift=0.4, texture="leather"))
    for x in (-0.36, 0.36):
        shapes.append(
            Shape(oval(x, -tall + 0.12, 0.05, 0.05), metal, width=0.03, gloss=0.6, lift=0.3)
        )
    return shapes


def _backpacks(look: Look) -> list[Shape]:
    wide, tall = 0.6, 0.8 * (0.86 if look.child else 1.0)
    wide *= look.between(0.92, 1.06)
    dark = tone(look.base, 0.6) if sum(look.base) > 130 else tone(look.base, 1.14)
    shapes = [
        Shape(
            curve(
                [(-0.12, -tall), (-0.1, -tall - 0.17), (0.1, -tall - 0.17), (0.12, -tall)], False
            ),
            dark,
            width=0.06,
            rounding=0.05,
        ),
    ]
    for side in (-1, 1):
        strap = [
            (side * wide * 0.7, -tall * 0.7),
            (side * (wide + 0.1), -0.2),
            (side * (wide + 0.09), 0.4),
            (side * wide * 0.9, 0.62),
        ]
        shapes.append(Shape(curve(strap, False), dark, width=0.12, rounding=0.06, texture="mesh"))
    body = mirrored(
        [
            (0.2, -tall),
            (wide * 0.85, -tall * 0.8),
            (wide, -0.2),
            (wide * 1.02, tall * 0.7),
            (wide * 0.9, tall),
            (0.2, tall + 0.02),
        ]
    )
    shapes.append(Shape(curve(body), look.base, rounding=0.26, relief=0.8, texture="canvas"))
    arch = [(-wide * 0.86, 0.0), (-wide * 0.72, -tall * 0.6), (0, -tall * 0.82)]
    arch += [(wide * 0.72, -tall * 0.6), (wide * 0.86, 0.0)]
    shapes.append(Shape(curve(arch, False), tone(dark, 0.7), width=0.035, relief=0.2, clip=True))
    pocket_top = look.between(0.0, 0.16)
    pocket = mirrored(
        [
            (0.2, pocket_top),
            (wide * 0.74, pocket_top + 0.03),
            (wide * 0.8, tall * 0.7),
            (wide * 0.7, tall * 0.92),
            (0.2, tall * 0.93),
        ]
    )
    colour = look.accent if look.chance(0.35) else tone(look.base, 0.88)
    shapes.append(
        Shape(curve(pocket), colour, rounding=0.14, relief=0.7, texture="canvas", lift=0.45)
    )
    zip_y = pocket_top + 0.1
    shapes.append(
        Shape(
            poly([(-wide * 0.66, zip_y), (wide * 0.66, zip_y)]),
            tone(dark, 0.6),
            width=0.03,
            relief=0.2,
        )
    )
    shapes.append(
        Shape(box(wide * 0.5, zip_y + 0.06, 0.025, 0.06), look.trim, rounding=0.03, lift=0.3)
    )
    shapes.append(Shape(box(0, -0.24, 0.14, 0.06), look.accent, rounding=0.03, lift=0.2))
    if look.chance(0.5):
        for side in (-1, 1):
            strip = poly([(side * 0.26, -tall * 0.72), (side * 0.26, pocket_top + 0.25)])
            shapes.append(Shape(strip, dark, width=0.06, rounding=0.04, lift=0.3))
    return shapes


def _watches(look: Look) -> list[Shape]:
    size = {"Men": 0.46, "Unisex": 0.43, "Women": 0.36, "Boys": 0.42, "Girls": 0.38}[look.gender]
    size *= look.between(0.95, 1.08)
    band = size * (0.62 if look.gender in ("Men", "Boys", "Unisex") else 0.5)
    steel = (226, 190, 118) if look.chance(0.35) else (200, 203, 208)
    rubber = look.usage == "Sports" or look.child
    skin = "plain" if rubber else "leather"
    shapes = []
    for side in (-1, 1):
        strap = poly(
            [
                (-band, side * 0.3),
                (band, side * 0.3),
                (band * 0.72, side * 1.14),
                (band * 0.5, side * 1.22),
                (-band * 0.5, side * 1.22),
                (-band * 0.72, side * 1.14),
            ]
        )
        shapes.append(Shape(strap, look.base, rounding=0.2, relief=0.9, texture=skin, gloss=0.3))
        for x in (-0.72, 0.72):
            edge = poly([(x * band * 0.98, side * 0.4), (x * band * 0.76, side * 1.1)])
            shapes += seam(edge, look.base, width=0.014)
        if side > 0:
            for y in np.arange(0.72, 1.1, 0.11):
                shapes.append(Shape(oval(0, y, 0.025, 0.018), tone(look.base, 0.3), relief=0))
        else:
            shapes.append(
                Shape(
                    box(0, -1.16, band * 0.66, 0.09), steel, width=0.045, gloss=0.6, rounding=0.04
                )
            )
    shapes.append(Shape(box(size * 1.06, 0, 0.07, 0.06), steel, gloss=0.6, rounding=0.05))
    face = look.pick("round", "round", "square")

    def ring(k: float) -> np.ndarray:
        return (
            oval(0, 0, size * k, size * k) if face == "round" else box(0, 0, size * k, size * k, 4)
        )

    case = tone(look.base, 0.8) if rubber else steel
    shapes.append(Shape(ring(1.04), case, rounding=0.16, relief=0.9, gloss=0.7, lift=0.4))
    contrast = (248, 248, 246) if sum(look.base) < 560 else (40, 40, 44)
    dial = look.base if look.chance(0.7) else contrast
    shapes.append(Shape(ring(0.82), tone(dial, 0.92), rounding=0.06, relief=-0.5))
    ink = (250, 250, 250) if sum(dial) < 420 else (30, 30, 34)
    for hour in range(12):
        a = hour * math.pi / 6
        inner, outer = size * (0.58 if hour % 3 else 0.5), size * 0.7
        mark = poly(
            [
                (math.sin(a) * inner, -math.cos(a) * inner),
                (math.sin(a) * outer, -math.cos(a) * outer),
            ]
        )
        shapes.append(Shape(mark, ink, width=0.03 if hour % 3 else 0.045, relief=0))
    for length, width in ((0.34, 0.05), (0.54, 0.034)):
        a = look.between(0, 2 * math.pi)
        tip = (math.sin(a) * size * length, -math.cos(a) * size * length)
        shapes.append(Shape(poly([(0, 0), tip]), ink, width=width, relief=0, lift=0.3))
    shapes.append(Shape(oval(0, 0, 0.035, 0.035), steel, rounding=0.03))
    glare = poly(
        [(-0.5 * size, -0.5 * size), (-0.1 * size, -0.68 * size), (-0.62 * size, 0.1 * size)]
    )
    shapes.append(Shape(glare, (255, 255, 255), relief=0, soft=0.03, alpha=0.25, clip=True))
    return shapes


def _sunglasses(look: Look) -> list[Shape]:
    style = look.pick("wayfarer", "round", "aviator", "cat")
    frame = look.base
    lens = mix(tone(look.base, 0.45), look.base, look.between(0.0, 0.5))
    shapes = []
    for side in (-1, 1):
        arm = [(side * 0.94, -0.2), (side * 1.02, -0.32), (side * 0.8, -0.46), (side * 0.62, -0.5)]
        shapes.append(Shape(curve(arm, False), tone(frame, 0.75), width=0.07, rounding=0.05))
        rim: np.ndarray
        if style == "round":
            rim = oval(side * 0.5, 0, 0.4, 0.37)
        else:
            drop = {"wayfarer": 0.3, "aviator": 0.4, "cat": 0.24}[style]
            lift = {"wayfarer": 0.0, "aviator": 0.02, "cat": 0.12}[style]
            outer = [(0.14, -0.22), (0.5, -0.28 - lift * 0.5), (0.94, -0.26 - lift), (0.92, 0.0)]
            outer += [(0.74, drop), (0.46, drop + 0.03), (0.2, drop * 0.55)]
            rim = curve([(side * x, y) for x, y in outer])
        centre = rim.mean(0)
        shapes.append(Shape(rim, frame, rounding=0.08, relief=0.8, gloss=0.7))
        glass = centre + (rim - centre) * 0.74
        shapes.append(Shape(glass, lens, rounding=0.3, relief=-0.6, alpha=1.0))
        sheen = centre + (rim - centre) * [0.6, 0.3] + [0, 0.08]
        shapes.append(
            Shape(sheen, tone(look.base, 1.3), relief=0, soft=0.06, alpha=0.45, clip=True)
        )
        streak = poly([(centre[0] - 0.2, centre[1] + 0.08), (centre[0] + 0.02, centre[1] - 0.18)])
        shapes.append(
            Shape(streak, (255, 255, 255), width=0.05, relief=0, soft=0.02, alpha=0.4, clip=True)
        )
    bridge = curve([(-0.18, -0.12), (0, -0.2), (0.18, -0.12)], False)
    shapes.append(Shape(bridge, frame, width=0.09, rounding=0.05, gloss=0.5))
    return [
        scaled(shape, 1.0, 1.08 if look.gender in ("Women", "Girls") else 1.0) for shape in shapes
    ]


def _caps(look: Look) -> list[Shape]:
    cloth = look.pick("canvas", "canvas", "suede")
    tall = look.between(0.72, 0.86)
    crown = [(-0.82, 0.22), (-0.82, 0.22), (-0.8, -0.2), (-0.5, -tall + 0.1), (-0.05, -tall)]
    crown += [(0.36, -tall + 0.2), (0.56, -0.1), (0.56, 0.2), (0.56, 0.2), (-0.1, 0.3)]
    shapes = [
        Shape(curve(crown), look.base, rounding=0.3, relief=0.8, texture=cloth),
        *seam(curve([(-0.05, -tall), (0.12, -0.3), (0.1, 0.28)], False), look.base),
        *seam(curve([(-0.05, -tall), (-0.45, -0.4), (-0.5, 0.26)], False), look.base),
        Shape(oval(-0.05, -tall + 0.01, 0.06, 0.035), look.accent, rounding=0.04),
    ]
    for x, y in ((-0.3, -0.42), (0.32, -0.38)):
        shapes.append(Shape(oval(x, y, 0.03, 0.03), tone(look.base, 0.4), relief=0))
    mark = look.pick("disc", "block", "stripe", "none")
    if mark == "disc":
        shapes.append(
            Shape(oval(0.3, -0.14, 0.13, 0.15), look.accent, rounding=0.04, lift=0.25, clip=True)
        )
    if mark == "block":
        shapes.append(
            Shape(box(0.3, -0.12, 0.15, 0.1), look.accent, rounding=0.04, lift=0.25, clip=True)
        )
    if mark == "stripe":
        shapes.append(
            Shape(
                curve([(-0.8, 0.1), (-0.1, 0.18), (0.56, 0.08)], False),
                look.accent,
                width=0.08,
                relief=0,
                clip=True,
            )
        )
    brim = [
        (-0.02, 0.2),
        (-0.02, 0.2),
        (0.3, 0.12),
        (0.6, 0.1),
        (0.96, 0.22),
        (1.18, 0.42),
        (1.1, 0.46),
    ]
    brim += [(0.7, 0.36), (0.3, 0.34)]
    colour = look.accent if look.chance(0.25) else tone(look.base, 0.9)
    shapes.append(Shape(curve(brim), colour, rounding=0.12, relief=0.8, texture=cloth, lift=0.35))
    for k in (0.06, 0.12):
        line = curve([(0.2, 0.16 + k), (0.6, 0.13 + k), (1.0, 0.27 + k)], False)
        shapes += seam(line, colour, width=0.01)
    return shapes


ARTICLES: dict[str, Callable[[Look], list[Shape]]] = {
    **FOOTWEAR,
    "Tshirts": _tshirts,
    "Shirts": _shirts,
    "Trousers": _trousers,
    "Dresses": _dresses,
    "Handbags": _handbags,
    "Backpacks": _backpacks,
    "Watches": _watches,
    "Sunglasses": _sunglasses,
    "Caps": _caps,
}
