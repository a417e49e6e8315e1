"""Drawing MiniGenome's things: icons, people in poses, and a canvas that knows who owns each pixel.

Every shape is drawn twice, once in colour and once, into `owner`, as the number of the object it belongs to; so tight
visible boxes and visibility fall out of one look at the owner map, whatever was drawn over what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from groundgraph.data.minigenome.icons import COLOURS, DARK, ICONS, Colour

Point = tuple[float, float]

SIDE = 112  # pixels of a finished image
SUPERSAMPLING = 2  # scenes are drawn larger and scaled down, which smooths the edges
CANVAS = SIDE * SUPERSAMPLING

PEOPLE = {"man": 1.0, "woman": 0.95, "boy": 0.70, "girl": 0.68}  # height in units of a man's
GARMENTS = ("shirt", "pants", "dress")
CATEGORIES: tuple[str, ...] = (*PEOPLE, *ICONS, *GARMENTS)

# Limbs in units of the person's height from the hip: (forward, up). Legs end at the feet; the front hand comes first.
_STANDING = (((-0.05, 0.0), (-0.06, -0.46)), ((0.05, 0.0), (0.06, -0.46)))
_STRIDING = (((0.0, 0.0), (-0.15, -0.45)), ((0.0, 0.0), (0.15, -0.45)))
POSES = {
    "stand": (_STANDING, (0.13, 0.02), (-0.14, 0.02)),
    "walk": (_STRIDING, (0.27, 0.10), (-0.16, 0.05)),
    "hold": (_STANDING, (0.29, 0.19), (-0.14, 0.02)),
    "eat": (_STANDING, (0.17, 0.34), (-0.14, 0.02)),
    "push": (_STRIDING, (0.31, 0.15), (0.28, 0.10)),
    "kick": ((((0.0, 0.0), (-0.04, -0.46)), ((0.0, 0.0), (0.30, -0.35))), (0.20, 0.16), (-0.22, 0.16)),
    "ride": ((((0.0, 0.0), (0.16, -0.13), (0.09, -0.34)),), (0.27, 0.12), (0.22, 0.09)),
    "sit": ((((0.0, 0.0), (0.25, -0.01), (0.27, -0.32)),), (0.21, 0.08), (-0.12, 0.02)),
    "lie": ((((0.0, 0.0), (0.02, -0.42)),), (0.12, 0.06), (-0.08, 0.06)),
}
LEG = 0.46


@dataclass(frozen=True)
class Drawn:
    """What was drawn.

    Attributes:
        index: its number.
        box: xyxy in canvas pixels, before anything covers it.
        hand: where a person's front hand is, (x, y).
        head: where the top of a person's head is.
        garments: numbers of what a person wears.
    """

    index: int
    box: tuple[float, float, float, float]
    hand: Point = (0.0, 0.0)
    head: Point = (0.0, 0.0)
    garments: tuple[int, ...] = ()


class Canvas:
    """A scene being drawn: `image` in colour, `owner` with each pixel's object number + 1 (0 = backdrop)."""

    def __init__(self, backdrop: Colour) -> None:
        self.image = Image.new("RGB", (CANVAS, CANVAS), backdrop)
        self.owner = Image.new("L", (CANVAS, CANVAS), 0)
        self._paint, self._own = ImageDraw.Draw(self.image), ImageDraw.Draw(self.owner)
        self.categories: list[str] = []
        self.colours: list[str] = []
        self.parent: list[int] = []  # a garment's wearer, else the object itself

    def add(self, category: str, colour: str, parent: int | None = None) -> int:
        """Register an object and give its number."""
        index = len(self.categories)
        self.categories.append(category)
        self.colours.append(colour)
        self.parent.append(index if parent is None else parent)
        return index

    def shape(self, kind: str, points: list[Point], fill: Colour, owner: int | None, width: int = 2) -> None:
        """Draw one shape in colour and into the owner map.

        Args:
            kind: as in `icons.Icon`.
            points: in canvas pixels.
            fill: RGB.
            owner: the number of the object that it belongs to; None leaves the map alone (backdrop, strings).
            width: of lines and rings, in canvas pixels.
        """
        layers: list[tuple[ImageDraw.ImageDraw, Colour | int]] = [(self._paint, fill)]
        if owner is not None:
            layers.append((self._own, owner + 1))
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        box = (min(xs), min(ys), max(xs), max(ys))
        for draw, ink in layers:
            if kind == "e":
                draw.ellipse(box, fill=ink)
            elif kind == "r":
                draw.rectangle(box, fill=ink)
            elif kind == "o":
                draw.ellipse(box, outline=ink, width=width)
            elif kind == "d":
                draw.pieslice(box, 180, 360, fill=ink)
            elif kind == "p":
                draw.polygon(points, fill=ink)
            else:
                draw.line(points, fill=ink, width=width, joint="curve" if width > 3 else None)

    def icon(
        self, category: str, x: float, bottom: float, unit: float, colour: str, flip: bool = False, squash: float = 1.0
    ) -> Drawn:
        """Draw a category's icon with its base centre at (x, bottom); `unit` is a man's height in canvas pixels."""
        icon = ICONS[category]
        height = icon.height * unit * squash
        width = icon.height * unit * icon.aspect
        own, sign, stroke = COLOURS[colour], -1 if flip else 1, max(2, round(unit * 0.035))
        index = self.add(category, colour)
        for kind, ink, at in icon.shapes:
            fill = ink if isinstance(ink, tuple) else own if ink == "c" else shade(own)
            points = [
                (x + sign * (u - 0.5) * width, bottom - height + v * height)
                for u, v in zip(at[::2], at[1::2], strict=True)
            ]
            self.shape(kind, points, fill, index, stroke)
        return Drawn(index, (x - width / 2, bottom - height, x + width / 2, bottom))

    def person(
        self, kind: str, x: float, bottom: float, unit: float, look: Look, pose: str = "stand", flip: bool = False
    ) -> Drawn:
        """Draw a person, feet (or seat: ride, sit, lie) at (x, bottom), with garments as objects of their own."""
        height = PEOPLE[kind] * unit
        legs, front, back = POSES[pose]
        sign = -1 if flip else 1
        seated = pose in ("ride", "sit", "lie")
        hip = (x, bottom - (0.03 if pose != "lie" else 0.10) * height) if seated else (x, bottom - LEG * height)
        child = kind in ("boy", "girl")
        head_radius = 0.135 if child else 0.105
        shoulder, neck = 0.30, 0.32 + head_radius

        def at(forward: float, up: float) -> Point:
            if pose == "lie":  # the same body, turned on its back
                return hip[0] + sign * up * height, hip[1] - forward * height * 0.9
            return hip[0] + sign * forward * height, hip[1] - up * height

        body = self.add(kind, look.top_colour)
        top = self.add(look.top, look.top_colour, parent=body)
        bottom_part = self.add("pants", look.bottom_colour, parent=body) if look.top != "dress" else body
        garments = (top,) if bottom_part == body else (top, bottom_part)
        cloth = COLOURS[look.top_colour]
        leg_ink = COLOURS[look.bottom_colour] if bottom_part != body else look.skin
        limb, arm = max(3, round(height * (0.115 if bottom_part != body else 0.075))), max(3, round(height * 0.08))

        def line(points: Sequence[Point], ink: Colour, owner: int, width: int) -> None:
            self.shape("l", [at(*p) for p in points], ink, owner, width)

        def disc(centre: Point, radius: float, ink: Colour, owner: int, squeeze: float = 1.0) -> None:
            cx, cy = at(*centre)
            r = radius * height
            self.shape("e", [(cx - r, cy - r * squeeze), (cx + r, cy + r * squeeze)], ink, owner)

        line([(-0.07, shoulder - 0.03), back], shade(cloth), top, arm)
        disc(back, 0.04, look.skin, body)
        for leg in legs:
            line(leg, leg_ink, bottom_part, limb)
            disc(leg[-1], 0.055, DARK, body, 0.7)
        if look.top == "dress":
            outline = [(-0.10, shoulder), (0.10, shoulder), (0.21, -0.14), (-0.21, -0.14)]
            if seated and pose != "lie":
                outline = [(-0.10, shoulder), (0.10, shoulder), (0.24, 0.02), (0.20, -0.12), (-0.14, -0.06)]
        else:
            outline = [(-0.13, shoulder), (0.13, shoulder), (0.12, -0.02), (-0.12, -0.02)]
        self.shape("p", [at(*p) for p in outline], cloth, top)
        if kind in ("woman", "girl"):  # long hair falls behind the neck; a girl wears two bunches
            if kind == "woman":
                mane = ((-1.2, neck), (0.7, neck), (0.2, shoulder - 0.10), (-1.4, shoulder - 0.10))
                self.shape("p", [at(u * head_radius, v) for u, v in mane], look.hair, body)
            else:
                for side in (-1.25, 1.25):
                    disc((side * head_radius, neck + 0.02), 0.065, look.hair, body)
        disc((0.0, neck), head_radius, look.skin, body)
        cx, cy = at(0.0, neck)
        r = head_radius * height
        if pose == "lie":
            self.shape(
                "p",
                [
                    (cx + sign * r * 0.2, cy - r),
                    (cx + sign * r, cy - r * 0.8),
                    (cx + sign * r, cy + r * 0.8),
                    (cx + sign * r * 0.2, cy + r),
                ],
                look.hair,
                body,
            )
        else:
            self.shape("d", [(cx - r, cy - r * 1.1), (cx + r, cy + r * 0.75)], look.hair, body)
        if kind == "man" and pose != "lie":  # a beard tells a man from a boy
            self.shape("e", [(cx - r * 0.75, cy + r * 0.25), (cx + r * 0.75, cy + r * 1.05)], look.hair, body)
        line([(0.05, shoulder - 0.03), front], cloth, top, arm)
        disc(front, 0.045, look.skin, body)
        tops = [at(0.0, neck + head_radius), at(0.0, -LEG), at(-0.2, 0.0), at(0.3, 0.0)]
        box = (min(p[0] for p in tops), min(p[1] for p in tops), max(p[0] for p in tops), max(p[1] for p in tops))
        return Drawn(body, box, hand=at(*front), head=(cx, cy - r), garments=garments)

    def string(self, start: Point, end: Point) -> None:
        """A leash or a kite's line: visible, but no object."""
        self.shape("l", [start, end], DARK, None, 2)


@dataclass(frozen=True)
class Look:
    """How a person is dressed.

    Attributes:
        top: "shirt" or "dress".
        top_colour: a name of COLOURS.
        bottom_colour: likewise.
        skin: RGB.
        hair: RGB.
    """

    top: str
    top_colour: str
    bottom_colour: str
    skin: Colour
    hair: Colour


def shade(colour: Colour) -> Colour:
    """The same colour in shadow."""
    red, green, blue = colour
    return round(red * 0.72), round(green * 0.72), round(blue * 0.72)
