"""The drawing of each kind of footwear: seen from the side, its toe to the right.

Their parts (laces, prints, soles) are shared, so that a model that has never seen one kind still
knows what it is made of.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from models.shapes import (
    Look,
    Shape,
    box,
    curve,
    folds,
    mix,
    oval,
    poly,
    scaled,
    seam,
    tone,
)


def _laces(look: Look, top: tuple[float, float], end: tuple[float, float]) -> list[Shape]:
    """Rows of lace bars down the throat of a shoe, with eyelets and a bow."""
    a, b = np.array(top), np.array(end)
    along = (b - a) / np.linalg.norm(b - a)
    across = np.array([-along[1], along[0]])
    across *= np.sign(across[1])
    rows = max(3, round(float(np.linalg.norm(b - a)) / 0.105))
    colour = look.trim if look.base[0] + look.base[1] + look.base[2] < 560 else look.accent
    colour = mix(colour, (250, 250, 248), 0.5) if look.chance(0.6) else colour
    out = []
    for t in np.linspace(0.06, 0.96, rows):
        start = a + (b - a) * t - across * 0.05
        eye = start + across * 0.2 + along * 0.035
        out.append(Shape(oval(eye[0], eye[1], 0.024, 0.024), tone(look.base, 0.4), relief=0))
        out.append(
            Shape(poly([tuple(start), tuple(eye)]), colour, width=0.05, rounding=0.05, lift=0.35)
        )
    knot = a + across * 0.02
    for dx, dy in ((-0.1, 0.14), (0.12, 0.16)):
        loop = [tuple(knot), (knot[0] + dx, knot[1] + dy * 0.4), (knot[0] + dx * 1.1, knot[1] + dy)]
        loop += [(knot[0] + dx * 0.2, knot[1] + dy * 0.7)]
        out.append(Shape(curve(loop), colour, width=0.032, rounding=0.04, lift=0.3))
    return out


def _side_print(look: Look, style: str) -> list[Shape]:
    """Stripes, a wave, a patch or a star on the side of a shoe."""
    colour = look.accent
    if style == "stripes":
        count = int(look.rng.integers(2, 5))
        return [
            Shape(
                poly([(x, -0.3), (x + 0.07, -0.3), (x + 0.02, 0.3), (x - 0.05, 0.3)]),
                colour,
                rounding=0.03,
                clip=True,
                texture="leather",
            )
            for x in (-0.12 - 0.14 * k for k in range(count))
        ]
    if style == "wave":
        wave = [(-0.62, -0.06), (-0.4, 0.12), (-0.1, 0.06), (0.3, -0.1), (-0.1, 0.2), (-0.42, 0.22)]
        return [Shape(curve(wave), colour, rounding=0.03, clip=True, texture="leather")]
    if style == "star":
        angle = np.arange(10) * math.pi / 5 - math.pi / 2
        radius = np.where(np.arange(10) % 2, 0.05, 0.12)
        star = np.stack([-0.5 + radius * np.cos(angle), 0.0 + radius * np.sin(angle)], axis=1)
        return [Shape(star, colour, relief=0.2, clip=True)]
    return [
        Shape(box(-0.45, 0.06, 0.13, 0.06), colour, rounding=0.03, clip=True),
        Shape(poly([(-0.53, 0.06), (-0.37, 0.06)]), tone(look.base, 0.6), width=0.02, clip=True),
    ]


def _sole(look: Look, style: str) -> list[Shape]:
    """Midsole, edge line and outsole; the upper part meets them at y = 0.25 (article units)."""
    heavy = {"running": 0.08, "high": 0.02, "slip-on": -0.05, "low": 0.0}[style]
    thick = 0.15 + heavy + (0.05 if look.season == "Winter" else 0) + look.between(-0.02, 0.03)
    thick *= 0.8 if look.gender == "Women" else 1.0
    rise = 0.1 if style == "running" else 0.04
    bottom = 0.25 + thick
    formal = look.usage == "Formal"
    rubber = tone(look.base, 0.35) if formal else look.trim
    side = [(-0.95, 0.2), (-0.95, 0.2), (-0.5, 0.26), (0.2, 0.27), (0.7, 0.22), (1.0, 0.1)]
    side += [(1.0, 0.1), (1.03, 0.19), (0.9, bottom - rise), (0.4, bottom), (0.4, bottom)]
    if formal:
        side += [(-0.3, bottom), (-0.3, bottom), (-0.34, bottom + 0.09), (-0.34, bottom + 0.09)]
        side += [(-0.93, bottom + 0.09), (-0.93, bottom + 0.09)]
    else:
        side += [(-0.9, bottom), (-0.9, bottom), (-1.02, bottom - 0.09)]
    out = [Shape(curve(side), rubber, relief=0.7, rounding=0.07, lift=0.4, texture="plain")]
    line = tone(rubber, 0.55) if sum(rubber) < 660 else mix(look.accent, rubber, 0.25)
    level = 0.25 + thick * 0.42
    if style == "running":
        wave = [
            (-1.0, level + 0.03),
            (-0.6, level - 0.05),
            (-0.1, level + 0.05),
            (0.4, level - 0.01),
        ]
        wave += [(0.85, level - 0.06), (1.02, 0.14)]
        out.append(Shape(curve(wave, closed=False), look.accent, width=0.05, relief=0.2, clip=True))
    elif not formal:
        edge = [(-1.0, level - 0.02), (-0.4, level), (0.3, level + 0.01), (0.8, level - 0.05)]
        edge += [(1.03, 0.15)]
        out.append(Shape(curve(edge, closed=False), line, width=0.022, relief=0, clip=True))
    tread = [(-0.98, bottom), (0.4, bottom), (0.88, bottom - rise), (1.02, 0.22)]
    if not formal:
        out.append(
            Shape(curve(tread, closed=False), tone(rubber, 0.5), width=0.05, relief=0.2, clip=True)
        )
    return out


def _casual_shoes(look: Look) -> list[Shape]:
    """A shoe seen from the side, its toe to the right: low, high, slip-on or running."""
    style = look.pick("low", "low", "low", "high", "high", "slip-on", "slip-on", "running")
    if look.usage == "Sports":
        style = look.pick("running", "running", "low")
    if look.usage == "Formal":
        style = look.pick("slip-on", "low")
    top = -{"low": 0.36, "high": 0.92, "slip-on": 0.27, "running": 0.42}[style]
    top += look.between(-0.05, 0.05)
    toe = look.between(-0.04, 0.03) + (0.05 if look.gender == "Women" else 0.0)
    texture = {
        "low": look.pick("canvas", "leather", "suede"),
        "high": look.pick("canvas", "canvas", "leather"),
        "slip-on": look.pick("canvas", "leather", "suede"),
        "running": look.pick("mesh", "mesh", "knit"),
    }[style]
    if look.usage == "Formal":
        texture = "leather"
    gloss = {"leather": look.between(0.25, 0.6)}.get(texture, 0.06)
    gloss *= 1.5 if look.usage == "Formal" else 1
    back = -0.93 if style == "high" else -0.96
    if style == "high":
        throat = ((-0.24, top + 0.02), (0.2, -0.12))
        crown = [(-0.88, top), (-0.88, top), (-0.55, top + 0.02), (-0.26, top - 0.04)]
        crown += [(-0.26, top - 0.04), (-0.14, -0.5), (0.02, -0.24)]
    else:
        throat = ((-0.24, top + 0.04), (0.3, -0.12))
        crown = [(-0.9, top - 0.02), (-0.9, top - 0.02), (-0.62, top + 0.12), (-0.3, top + 0.03)]
        crown += [(-0.26, top), (0.02, -0.24)]
    outline = [(-0.93, 0.27), (-0.93, 0.27), (back, -0.04), *crown, (0.34, -0.13 + toe * 0.5)]
    outline += [(0.66, -0.09 + toe), (0.88, -0.03 + toe), (0.98, 0.1), (0.97, 0.24), (0.97, 0.24)]
    outline += [(0.6, 0.31), (0.0, 0.32)]
    upper = curve(outline)
    lining = tone(mix(look.trim, look.base, 0.4), 0.55)
    inside = [(-0.88, top), (-0.7, top - 0.05), (-0.45, top - 0.06), (-0.26, top - 0.02)]
    inside += [(-0.4, top + 0.12), (-0.7, top + 0.14)]
    shapes = [Shape(curve(inside), lining, relief=0.3)]
    laced = style != "slip-on" and not (look.child and look.chance(0.6))
    if style != "slip-on":
        tongue = [(-0.37, top - 0.08), (-0.24, top - 0.1), (-0.12, top + 0.1), (0.25, -0.16)]
        tongue += [(0.1, -0.08), (-0.3, top + 0.16)]
        colour = tone(look.base, 0.82) if look.chance(0.7) else look.accent
        shapes.append(Shape(curve(tongue), colour, texture=texture))
    shapes.append(
        Shape(upper, look.base, relief=0.75, rounding=0.2, texture=texture, gloss=gloss, lift=0.25)
    )
    creases = [[(0.34 + d, -0.1), (0.42 + d, 0.02), (0.4 + d, 0.14)] for d in (0.0, 0.1)]
    shapes += folds(look, creases, strength=0.16)
    darker = tone(look.base, 0.68) if sum(look.base) > 130 else tone(look.base, 1.16)
    panel = look.accent if look.chance(0.3) else darker
    if style in ("low", "running", "high") and look.chance(0.75):
        counter = [(-1.0, 0.3), (-1.0, -0.12), (-0.8, -0.1), (-0.62, 0.08), (-0.55, 0.3)]
        shapes.append(Shape(curve(counter), panel, texture="leather", rounding=0.04, clip=True))
    if style == "high" or (style == "low" and texture == "canvas"):
        cap = [(0.66, -0.2), (0.62, 0.05), (0.7, 0.3), (1.1, 0.3), (1.1, -0.2)]
        rubber = look.trim if look.chance(0.7) else darker
        shapes.append(Shape(curve(cap), rubber, rounding=0.08, gloss=0.3, clip=True, lift=0.2))
        shapes += seam(curve([(0.65, -0.15), (0.61, 0.06), (0.68, 0.28)], closed=False), rubber)
    elif look.chance(0.8):
        shapes += seam(curve([(0.36, -0.16), (0.46, 0.06), (0.7, 0.2)], closed=False), look.base)
    if style == "slip-on":
        if look.chance(0.55):
            gore = [(-0.24, top - 0.1), (-0.34, -0.02), (-0.1, 0.0), (0.12, -0.24)]
            shapes.append(Shape(curve(gore), tone(darker, 0.7), texture="knit", clip=True))
        if look.chance(0.7):
            apron = [(0.1, -0.16), (0.4, 0.06), (0.75, 0.06), (0.95, 0.08)]
            shapes += seam(curve(apron, closed=False), look.base, width=0.016)
        if look.usage == "Formal" or look.chance(0.4):
            strap = [(-0.08, top + 0.02), (0.1, -0.27), (0.26, -0.12), (0.12, 0.24), (-0.06, 0.24)]
            shapes.append(Shape(curve(strap), darker, texture="leather", clip=True, lift=0.3))
            metal = look.pick("metal", "bow")
            buckle = (214, 190, 120) if metal == "metal" else tone(darker, 0.7)
            shapes.append(
                Shape(box(0.1, -0.1, 0.07, 0.04), buckle, width=0.03, gloss=0.6, rounding=0.03)
            )
    else:
        stay = [throat[0], (0.04, -0.24), throat[1], (0.26, 0.02), (-0.02, 0.0)]
        stay += [(throat[0][0] - 0.2, throat[0][1] + 0.12)]
        stay_colour = look.base if look.chance(0.5) else panel
        shapes.append(
            Shape(curve(stay), stay_colour, texture="leather", rounding=0.04, clip=True, lift=0.25)
        )
    if style != "slip-on" and look.usage != "Formal" and look.chance(0.75):
        shapes += _side_print(look, look.pick("stripes", "wave", "star", "patch"))
    if style == "high":
        shapes.append(Shape(oval(-0.58, -0.42, 0.12, 0.12), look.trim, clip=True, rounding=0.04))
        shapes.append(Shape(oval(-0.58, -0.42, 0.06, 0.06), look.accent, relief=0.2, clip=True))
    if laced:
        shapes += _laces(look, *throat)
    elif style != "slip-on":
        for t in (0.2, 0.6):
            x = throat[0][0] + (throat[1][0] - throat[0][0]) * t
            y = throat[0][1] + (throat[1][1] - throat[0][1]) * t
            strap = [(x, y - 0.08), (x + 0.12, y - 0.02), (x - 0.1, y + 0.26), (x - 0.22, y + 0.2)]
            corners = [point for point in strap for _ in range(2)]
            shapes.append(Shape(curve(corners), look.accent, rounding=0.05, lift=0.4, clip=True))
    if look.season == "Winter" and style != "running":
        collar = [(-0.92, top + 0.02), (-0.6, top + (0.02 if style == "high" else 0.13))]
        collar += [(-0.3, top + 0.01)]
        shapes.append(
            Shape(
                curve(collar, closed=False), (222, 212, 196), width=0.1, texture="suede", lift=0.3
            )
        )
    elif look.chance(0.6):
        tab = [(-0.97, top + 0.02), (-0.9, top - 0.1), (-0.84, top + 0.02)]
        shapes.append(Shape(curve(tab, closed=False), look.accent, width=0.035))
    shapes += _sole(look, style)
    return _by_gender(look, shapes)


def _sports_shoes(look: Look) -> list[Shape]:
    """A running shoe: a sloping collar, a thick wedge as its sole, overlays and a print."""
    top = look.between(-0.5, -0.4)
    cloth = look.pick("mesh", "mesh", "knit")
    outline = [(-0.96, 0.28), (-0.96, 0.28), (-1.0, -0.1), (-0.95, top - 0.04)]
    outline += [(-0.88, top - 0.06), (-0.7, top + 0.16), (-0.42, top + 0.13), (-0.26, top - 0.02)]
    outline += [(-0.2, top), (0.1, -0.2), (0.42, -0.1), (0.78, -0.06), (0.99, 0.06)]
    outline += [(0.99, 0.24), (0.99, 0.24), (0.4, 0.3), (-0.3, 0.31)]
    throat = ((-0.2, top + 0.06), (0.36, -0.08))
    inside = [(-0.9, top), (-0.66, top - 0.02), (-0.3, top - 0.04), (-0.44, top + 0.18)]
    shapes = [
        Shape(curve(inside), tone(look.accent, 0.5), relief=0.3),
        Shape(curve(outline), look.base, relief=0.75, rounding=0.2, texture=cloth, lift=0.25),
    ]
    panel = look.accent if look.chance(0.5) else tone(look.base, 0.65)
    heel = [(-1.05, 0.3), (-1.05, top), (-0.86, top), (-0.74, -0.02), (-0.4, 0.14), (-0.36, 0.3)]
    toe = [(0.56, 0.3), (0.62, 0.08), (0.8, -0.1), (1.1, -0.1), (1.1, 0.3)]
    for overlay in (heel, toe):
        shapes.append(
            Shape(curve(overlay), panel, texture="leather", rounding=0.05, gloss=0.2, clip=True)
        )
    shapes += seam(curve([(0.4, -0.1), (0.44, 0.1), (0.6, 0.26)], closed=False), look.base)
    shapes += _side_print(look, look.pick("stripes", "wave", "wave", "patch"))
    shapes += _laces(look, *throat)
    loop = [(-0.98, top + 0.04), (-1.03, top - 0.1), (-0.92, top - 0.06)]
    shapes.append(Shape(curve(loop, closed=False), look.accent, width=0.035))
    shapes += _sole(replace(look, usage="Sports"), "running")
    return _by_gender(look, shapes)


def _formal_shoes(look: Look) -> list[Shape]:
    """A leather shoe with a heel, a toe cap, and laces or a plain front."""
    top = look.between(-0.36, -0.28)
    outline = [(-0.93, 0.27), (-0.93, 0.27), (-0.97, 0.0), (-0.92, top), (-0.92, top)]
    outline += [(-0.6, top + 0.12), (-0.26, top + 0.02), (0.06, -0.2), (0.4, -0.06)]
    outline += [(0.8, 0.02), (1.06, 0.14), (1.08, 0.24), (1.08, 0.24), (0.4, 0.31)]
    shine = look.between(0.5, 0.9)
    inside = [(-0.88, top), (-0.55, top - 0.04), (-0.28, top), (-0.6, top + 0.14)]
    shapes = [
        Shape(curve(inside), tone(look.trim, 0.5), relief=0.3),
        Shape(curve(outline), look.base, relief=0.75, rounding=0.2, texture="leather", gloss=shine),
    ]
    dark = tone(look.base, 0.7)
    for line in (
        [(0.56, -0.06), (0.5, 0.1), (0.56, 0.28)],
        [(-0.3, top), (-0.26, 0.02), (0.1, 0.12), (0.34, 0.02)],
        [(-0.7, 0.28), (-0.66, 0.06), (-0.9, -0.1)],
    ):
        shapes += seam(curve(line, closed=False), dark, width=0.014)
    if look.chance(0.6):
        plain = replace(look, trim=tone(look.base, 0.5), accent=tone(look.base, 1.2))
        shapes += _laces(plain, (-0.18, top + 0.05), (0.22, -0.1))
    else:
        strap = [(-0.2, top + 0.02), (0.08, -0.24), (0.3, -0.08), (0.1, 0.14), (-0.2, 0.1)]
        shapes.append(
            Shape(curve(strap), dark, texture="leather", gloss=shine, clip=True, lift=0.3)
        )
    shapes += _sole(replace(look, usage="Formal"), "low")
    return _by_gender(look, shapes)


def _boots(look: Look) -> list[Shape]:
    """A boot with a tall shaft: laced, zipped, or elastic at the ankle."""
    top = look.between(-1.5, -1.0)
    skin = look.pick("leather", "leather", "suede")
    gloss = 0.35 if skin == "leather" else 0.05
    outline = [(-0.92, 0.27), (-0.92, 0.27), (-0.9, -0.2), (-0.98, top), (-0.98, top)]
    outline += [(-0.2, top - 0.05), (-0.2, top - 0.05), (-0.14, -0.6), (0.1, -0.24)]
    outline += [(0.6, -0.12), (0.94, 0.02), (0.99, 0.24), (0.99, 0.24), (0.2, 0.31)]
    shapes = [
        Shape(oval(-0.59, top - 0.02, 0.38, 0.07), tone(look.base, 0.4), relief=0.3),
        Shape(
            curve(outline),
            look.base,
            relief=0.8,
            rounding=0.22,
            texture=skin,
            gloss=gloss,
            lift=0.2,
        ),
    ]
    creases = [[(-0.2, -0.4), (-0.4, -0.3), (-0.6, -0.34)], [(0.0, -0.24), (-0.2, -0.14)]]
    shapes += folds(look, creases, strength=0.2)
    cap = curve([(0.48, -0.16), (0.42, 0.06), (0.5, 0.29)], closed=False)
    style = look.pick("laced", "laced", "zip", "elastic")
    if style == "laced":
        shapes += seam(cap, look.base)
        shapes += _laces(look, (-0.24, top + 0.12), (0.24, -0.14))
    if style == "zip":
        line = poly([(-0.62, top + 0.06), (-0.58, 0.1)])
        shapes.append(Shape(line, (196, 198, 204), width=0.035, gloss=0.5, clip=True))
        shapes.append(Shape(box(-0.62, top + 0.16, 0.03, 0.07), look.accent, lift=0.3))
    if style == "elastic":
        gore = [(-0.72, top), (-0.44, top), (-0.5, -0.3), (-0.66, -0.3)]
        shapes.append(Shape(curve(gore), tone(look.base, 0.6), texture="knit", clip=True))
    if look.season == "Winter":
        fur = poly([(-1.0, top + 0.02), (-0.18, top - 0.03)])
        shapes.append(Shape(fur, (222, 212, 196), width=0.14, texture="suede", lift=0.3))
    elif look.chance(0.5):
        band = poly([(-1.0, top + 0.06), (-0.16, top + 0.02)])
        shapes.append(Shape(band, look.accent, width=0.07, rounding=0.04, clip=True, lift=0.2))
    shapes += _sole(look, "high")
    return _by_gender(look, shapes)


def _heels(look: Look) -> list[Shape]:
    """A pump: a steep instep on a thin or a block heel, perhaps with a strap or a bow."""
    rise = look.between(0.5, 0.85)
    gloss = look.between(0.3, 0.9)
    heel = look.pick("thin", "thin", "block")
    foot = 0.06 if heel == "thin" else 0.17
    post = [(-0.96, -rise), (-0.96, -rise), (-0.6, -rise + 0.2), (-0.6, -rise + 0.2)]
    post += [(-0.86 + foot, 0.3), (-0.86 + foot, 0.3), (-0.88 - foot * 0.3, 0.3)]
    outline = [(-0.98, -rise - 0.3), (-0.98, -rise - 0.3), (-0.76, -rise - 0.22)]
    outline += [(-0.3, -rise * 0.66), (0.2, 0.02), (0.44, -0.02), (0.9, 0.12), (1.0, 0.25)]
    outline += [(1.0, 0.27), (0.5, 0.28), (0.2, 0.24), (-0.3, -rise * 0.34), (-0.6, -rise + 0.22)]
    outline += [(-0.98, -rise + 0.04), (-0.98, -rise + 0.04)]
    lining = [(-0.94, -rise - 0.26), (-0.6, -rise - 0.16), (0.1, -0.08), (0.24, 0.06)]
    lining += [(-0.3, -rise * 0.5)]
    sole = [(-0.94, -rise + 0.06), (-0.6, -rise + 0.24), (-0.26, -rise * 0.3), (0.2, 0.28)]
    sole += [(0.6, 0.31), (1.0, 0.28)]
    under = look.accent if look.chance(0.4) else tone(look.base, 0.4)
    shapes = [
        Shape(curve(post), tone(look.base, 0.8), rounding=0.06, relief=0.7, gloss=gloss),
        Shape(curve(lining), mix(look.trim, (230, 206, 180), 0.5), relief=0.3),
        Shape(curve(outline), look.base, relief=0.8, rounding=0.16, gloss=gloss, lift=0.2),
        Shape(curve(sole, closed=False), under, width=0.05, relief=0.2),
    ]
    if look.chance(0.4):
        strap = [(-0.94, -rise - 0.3), (-0.5, -rise - 0.34), (-0.1, -rise * 0.6)]
        shapes.append(Shape(curve(strap, closed=False), look.base, width=0.06, lift=0.3))
        shapes.append(Shape(oval(-0.5, -rise - 0.34, 0.05, 0.05), (214, 190, 120), gloss=0.6))
    elif look.chance(0.5):
        shapes += _bow(look, 0.34, 0.02)
    return shapes


def _flats(look: Look) -> list[Shape]:
    """A low ballerina with a thin sole and a bow, a buckle or a seam at its toe."""
    top = look.between(-0.26, -0.16)
    skin = look.pick("leather", "suede", "canvas")
    outline = [(-0.95, 0.26), (-0.95, 0.26), (-0.97, 0.0), (-0.92, top), (-0.86, top)]
    outline += [(-0.5, 0.06), (0.1, 0.1), (0.4, 0.0), (0.56, -0.04), (0.86, 0.04), (1.0, 0.18)]
    outline += [(1.0, 0.26), (1.0, 0.26)]
    inside = [(-0.9, top), (-0.3, -0.02), (0.36, -0.02), (0.1, 0.14), (-0.5, 0.1)]
    gloss = 0.5 if skin == "leather" else 0.05
    shapes = [
        Shape(curve(inside), mix(look.trim, (230, 206, 180), 0.5), relief=0.3),
        Shape(curve(outline), look.base, relief=0.75, rounding=0.14, texture=skin, gloss=gloss),
    ]
    edge = [(-0.9, top + 0.02), (-0.5, 0.08), (0.1, 0.12), (0.42, 0.02)]
    shapes += seam(curve(edge, closed=False), look.base, width=0.016)
    if look.chance(0.6):
        shapes += _bow(look, 0.46, -0.02)
    else:
        shapes.append(Shape(box(0.5, 0.02, 0.09, 0.06), (214, 190, 120), width=0.03, gloss=0.6))
    sole = poly([(-0.95, 0.29), (0.98, 0.28)])
    shapes.append(Shape(sole, tone(look.trim, 0.7), width=0.06, relief=0.3, rounding=0.03))
    return _by_gender(look, shapes)


def _bow(look: Look, x: float, y: float) -> list[Shape]:
    shapes = []
    for side in (-1, 1):
        wing = [(x, y), (x + side * 0.16, y - 0.12), (x + side * 0.18, y + 0.06)]
        shapes.append(Shape(curve(wing), look.accent, rounding=0.05, relief=0.7, lift=0.35))
    shapes.append(Shape(oval(x, y, 0.045, 0.05), tone(look.accent, 0.8), rounding=0.03, lift=0.3))
    return shapes


def _sandals(look: Look) -> list[Shape]:
    """A footbed on a sole, held by straps across the toes, the instep and perhaps the heel."""
    thick = look.between(0.12, 0.3)
    bed = [(-1.0, 0.1), (-0.96, 0.06), (-0.3, 0.12), (0.4, 0.16), (0.98, 0.08), (1.02, 0.13)]
    bed += [(0.9, 0.16 + thick), (0.9, 0.16 + thick), (-0.94, 0.16 + thick), (-0.98, 0.2)]
    sole = tone(look.trim, 0.75) if look.chance(0.6) else look.accent
    leather = look.pick("leather", "suede", "plain")
    line = [(-0.98, 0.2), (-0.2, 0.24), (0.5, 0.25), (0.98, 0.19)]
    shapes = [Shape(curve(bed), sole, relief=0.7, rounding=0.08, lift=0.3)]
    shapes.append(
        Shape(curve(line, closed=False), tone(sole, 0.6), width=0.03, relief=0.1, clip=True)
    )
    across = [(0.56, 0.18, 0.26), (0.0, 0.2, 0.24)] if look.chance(0.6) else [(0.32, 0.18, 0.44)]
    for x, y, width in across:
        arch = [(x - width, y), (x - width, y), (x - width * 0.8, -0.14), (x - width * 0.3, -0.2)]
        arch += [(x + width * 0.6, -0.12), (x + width, y), (x + width, y)]
        inner = [(x - width * 0.8, -0.08), (x - width * 0.2, -0.14), (x + width * 0.6, -0.06)]
        shapes.append(
            Shape(curve(arch), look.base, relief=0.8, rounding=0.1, texture=leather, lift=0.35)
        )
        shapes += seam(curve(inner, closed=False), look.base, width=0.014)
    if look.chance(0.6):
        back = [(-0.9, 0.1), (-0.98, -0.3), (-0.6, -0.5), (-0.1, -0.22)]
        shapes.append(
            Shape(curve(back, closed=False), look.base, width=0.11, texture=leather, lift=0.3)
        )
        shapes.append(
            Shape(box(-0.56, -0.5, 0.07, 0.07), (200, 203, 208), width=0.03, gloss=0.6, lift=0.3)
        )
    tread = poly([(-0.94, 0.15 + thick), (0.9, 0.15 + thick)])
    shapes.append(Shape(tread, tone(sole, 0.45), width=0.05, relief=0.2))
    return _by_gender(look, shapes)


def _by_gender(look: Look, shapes: list[Shape]) -> list[Shape]:
    """The shoe as its wearers' are: higher for children, flatter for women."""
    stretch = {"Men": 1.0, "Unisex": 1.0, "Women": 0.88, "Boys": 1.2, "Girls": 1.12}[look.gender]
    return [scaled(shape, 1.0, stretch) for shape in shapes]


FOOTWEAR: dict[str, Callable[[Look], list[Shape]]] = {
    "Casual Shoes": _casual_shoes,
    "Sports Shoes": _sports_shoes,
    "Formal Shoes": _formal_shoes,
    "Boots": _boots,
    "Heels": _heels,
    "Flats": _flats,
    "Sandals": _sandals,
}
