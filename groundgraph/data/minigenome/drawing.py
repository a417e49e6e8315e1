"""How MiniGenome's things look: icons in a unit box, people in poses, and a canvas that knows who owns each pixel.

Every shape is drawn twice, once in colour and once, into `owner`, as the number of the object it belongs to; so tight
visible boxes and visibility fall out of one look at the owner map, whatever was drawn over what.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

SIDE = 112  # pixels of a finished image
SUPERSAMPLING = 2  # scenes are drawn larger and scaled down, which smooths the edges
CANVAS = SIDE * SUPERSAMPLING

COLOURS = {
    "red": (205, 45, 45),
    "blue": (45, 85, 210),
    "green": (45, 150, 70),
    "yellow": (238, 208, 55),
    "white": (243, 243, 243),
    "black": (38, 38, 44),
    "brown": (132, 86, 50),
    "orange": (236, 132, 38),
    "pink": (236, 140, 182),
    "gray": (138, 138, 144),
    "purple": (128, 62, 160),
}
DARK = (34, 32, 34)
WHITE = (246, 246, 246)
GLASS = (188, 219, 240)
WOOD = (112, 76, 46)
SKINS = ((244, 208, 178), (202, 152, 112), (124, 82, 56))
HAIRS = ((42, 30, 24), (122, 76, 38), (222, 188, 104), (150, 60, 30))

VIVID = ("red", "blue", "green", "yellow", "orange", "pink", "white", "black", "purple")
COATS = ("brown", "white", "black", "gray")


@dataclass(frozen=True)
class Icon:
    """A category's look: height in units of a man's height, width over height, colours it comes in, and its shapes.

    A shape is (kind, colour, coordinates in the unit box, y downwards): kinds are `e` ellipse, `r` rectangle, `p`
    polygon, `l` line, `o` ring, `d` upper half of a disc; colours are `c` (the object's own), `s` (its shade) or RGB.
    `seat` is where, as a fraction of the height from the top, things that are on it rest.
    """

    height: float
    aspect: float
    palette: tuple[str, ...]
    shapes: tuple
    seat: float = 0.0


def _legs(colour, *lefts, top=0.6, width=0.08):
    return tuple(("r", colour, (x, top, x + width, 1.0)) for x in lefts)


def _stripes(colour, *lefts, top, bottom, width=0.035):
    return tuple(
        ("p", colour, (x, top, x + width, top, x + width * 1.8, bottom, x + width * 0.8, bottom)) for x in lefts
    )


def _wheels(*centres, radius_x, top):
    rings = [("e", DARK, (x - radius_x, top, x + radius_x, 1.0)) for x in centres]
    hubs = [
        ("e", (168, 168, 172), (x - radius_x / 3, top + (1 - top) / 3, x + radius_x / 3, 1 - (1 - top) / 3))
        for x in centres
    ]
    return (*rings, *hubs)


ICONS: dict[str, Icon] = {
    "horse": Icon(
        0.80,
        1.30,
        COATS,
        (
            ("p", DARK, (0.10, 0.38, 0.0, 0.46, 0.03, 0.84, 0.09, 0.58)),
            *_legs("s", 0.13, 0.56),
            ("e", "c", (0.08, 0.34, 0.74, 0.72)),
            *_legs("c", 0.24, 0.66),
            ("p", "c", (0.58, 0.50, 0.76, 0.02, 0.92, 0.08, 0.76, 0.60)),
            ("e", "c", (0.74, 0.02, 1.0, 0.22)),
            ("p", DARK, (0.72, 0.02, 0.78, 0.06, 0.64, 0.42, 0.58, 0.40)),
        ),
        0.38,
    ),
    "cow": Icon(
        0.66,
        1.50,
        ("black", "brown", "white"),
        (
            *_legs("s", 0.12, 0.58),
            ("r", "c", (0.08, 0.20, 0.76, 0.70)),
            ("e", WHITE, (0.18, 0.24, 0.40, 0.50)),
            ("e", (90, 70, 60), (0.48, 0.36, 0.66, 0.62)),
            *_legs("c", 0.22, 0.67),
            ("e", "c", (0.70, 0.08, 0.98, 0.44)),
            ("e", (238, 188, 178), (0.86, 0.24, 1.0, 0.46)),
            ("p", (228, 224, 200), (0.74, 0.12, 0.69, -0.04, 0.80, 0.08)),
            ("e", (238, 188, 178), (0.30, 0.62, 0.46, 0.78)),
        ),
        0.22,
    ),
    "elephant": Icon(
        0.95,
        1.30,
        ("gray",),
        (
            *_legs((112, 112, 118), 0.16, 0.54, top=0.5, width=0.13),
            ("e", "c", (0.04, 0.08, 0.78, 0.78)),
            *_legs("c", 0.30, 0.66, top=0.55, width=0.13),
            ("e", "c", (0.62, 0.06, 0.95, 0.50)),
            ("p", "c", (0.84, 0.30, 0.97, 0.30, 1.0, 0.90, 0.91, 0.90)),
            ("e", (104, 104, 112), (0.57, 0.10, 0.76, 0.50)),
            ("p", WHITE, (0.84, 0.44, 0.98, 0.60, 0.84, 0.52)),
        ),
        0.12,
    ),
    "zebra": Icon(
        0.72,
        1.35,
        ("white",),
        (
            *_legs("s", 0.13, 0.56),
            ("e", "c", (0.08, 0.32, 0.74, 0.72)),
            *_legs("c", 0.24, 0.66),
            ("p", "c", (0.58, 0.50, 0.76, 0.02, 0.92, 0.08, 0.76, 0.60)),
            ("e", "c", (0.74, 0.02, 1.0, 0.22)),
            *_stripes(DARK, 0.16, 0.27, 0.38, 0.49, 0.60, top=0.36, bottom=0.70),
            *_stripes(DARK, 0.68, 0.76, 0.83, top=0.10, bottom=0.40),
            ("r", DARK, (0.24, 0.80, 0.32, 0.86)),
            ("r", DARK, (0.66, 0.80, 0.74, 0.86)),
        ),
        0.38,
    ),
    "giraffe": Icon(
        1.35,
        0.72,
        ("yellow",),
        (
            *_legs("s", 0.10, 0.48, top=0.6, width=0.09),
            ("e", "c", (0.02, 0.42, 0.74, 0.70)),
            *_legs("c", 0.22, 0.60, top=0.6, width=0.09),
            ("p", "c", (0.54, 0.52, 0.76, 0.04, 0.90, 0.06, 0.74, 0.58)),
            ("e", "c", (0.72, 0.0, 1.0, 0.11)),
            *(
                ("e", (150, 92, 36), (x, y, x + 0.12, y + 0.06))
                for x, y in (
                    (0.12, 0.48),
                    (0.30, 0.46),
                    (0.46, 0.52),
                    (0.24, 0.57),
                    (0.40, 0.60),
                    (0.64, 0.36),
                    (0.69, 0.24),
                    (0.74, 0.13),
                )
            ),
        ),
        0.44,
    ),
    "sheep": Icon(
        0.46,
        1.35,
        ("white", "gray"),
        (
            *_legs(DARK, 0.20, 0.34, 0.60, 0.72, width=0.07),
            ("e", "c", (0.06, 0.10, 0.50, 0.66)),
            ("e", "c", (0.28, 0.02, 0.72, 0.60)),
            ("e", "c", (0.22, 0.22, 0.66, 0.78)),
            ("e", "c", (0.46, 0.14, 0.84, 0.72)),
            ("e", DARK, (0.74, 0.10, 1.0, 0.50)),
        ),
        0.10,
    ),
    "bear": Icon(
        0.62,
        1.30,
        ("brown", "black"),
        (
            *_legs("s", 0.18, 0.58, width=0.14),
            ("e", "c", (0.04, 0.14, 0.80, 0.84)),
            *_legs("c", 0.08, 0.50, width=0.14),
            ("e", "c", (0.64, 0.06, 0.96, 0.54)),
            ("e", "c", (0.64, 0.0, 0.76, 0.18)),
            ("e", "c", (0.82, 0.0, 0.94, 0.18)),
            ("e", (206, 168, 126), (0.84, 0.26, 1.0, 0.48)),
            ("e", DARK, (0.94, 0.28, 1.0, 0.36)),
        ),
        0.14,
    ),
    "dog": Icon(
        0.44,
        1.30,
        COATS,
        (
            ("p", "c", (0.14, 0.44, 0.0, 0.10, 0.07, 0.06, 0.22, 0.38)),
            *_legs("s", 0.22, 0.52, width=0.09),
            ("r", "c", (0.12, 0.36, 0.72, 0.68)),
            *_legs("c", 0.13, 0.61, width=0.09),
            ("e", "c", (0.60, 0.06, 0.96, 0.52)),
            ("p", (70, 48, 36), (0.62, 0.08, 0.74, 0.10, 0.68, 0.46)),
            ("e", DARK, (0.88, 0.22, 1.0, 0.36)),
        ),
        0.36,
    ),
    "cat": Icon(
        0.40,
        1.05,
        ("orange", "gray", "black", "white"),
        (
            ("p", "c", (0.14, 0.84, -0.02, 0.30, 0.08, 0.24, 0.26, 0.72)),
            ("e", "c", (0.10, 0.40, 0.72, 1.0)),
            ("e", "c", (0.45, 0.14, 0.94, 0.60)),
            ("p", "c", (0.47, 0.32, 0.50, 0.0, 0.66, 0.18)),
            ("p", "c", (0.74, 0.18, 0.89, 0.0, 0.92, 0.32)),
            ("e", (60, 160, 70), (0.55, 0.28, 0.64, 0.38)),
            ("e", (60, 160, 70), (0.74, 0.28, 0.83, 0.38)),
            ("p", (236, 150, 160), (0.66, 0.42, 0.74, 0.42, 0.70, 0.48)),
        ),
        0.42,
    ),
    "bird": Icon(
        0.30,
        1.25,
        ("blue", "red", "yellow", "white"),
        (
            ("l", DARK, (0.40, 0.72, 0.40, 1.0)),
            ("l", DARK, (0.54, 0.72, 0.54, 1.0)),
            ("p", "s", (0.18, 0.46, -0.04, 0.20, 0.04, 0.62)),
            ("e", "c", (0.10, 0.24, 0.76, 0.80)),
            ("e", "c", (0.54, 0.02, 0.90, 0.46)),
            ("p", (240, 156, 28), (0.86, 0.14, 1.04, 0.24, 0.86, 0.34)),
            ("p", "s", (0.20, 0.38, 0.58, 0.42, 0.22, 0.72)),
            ("e", DARK, (0.72, 0.14, 0.79, 0.23)),
        ),
        0.28,
    ),
    "bike": Icon(
        0.55,
        1.55,
        VIVID,
        (
            ("o", DARK, (0.0, 0.32, 0.44, 1.0)),
            ("o", DARK, (0.56, 0.32, 1.0, 1.0)),
            ("l", "c", (0.22, 0.66, 0.38, 0.20, 0.72, 0.22, 0.48, 0.68, 0.22, 0.66)),
            ("l", "c", (0.48, 0.68, 0.36, 0.14)),
            ("l", "c", (0.78, 0.66, 0.68, 0.06)),
            ("l", DARK, (0.62, 0.04, 0.80, 0.08)),
            ("r", DARK, (0.28, 0.08, 0.46, 0.17)),
        ),
        0.12,
    ),
    "motorcycle": Icon(
        0.56,
        1.65,
        VIVID,
        (
            *_wheels(0.18, 0.82, radius_x=0.18, top=0.42),
            ("p", "c", (0.12, 0.40, 0.50, 0.28, 0.74, 0.30, 0.68, 0.76, 0.28, 0.76)),
            ("r", (170, 170, 176), (0.34, 0.66, 0.62, 0.84)),
            ("l", DARK, (0.82, 0.70, 0.66, 0.04, 0.58, 0.02)),
            ("r", DARK, (0.18, 0.22, 0.50, 0.36)),
            ("e", (250, 240, 160), (0.68, 0.14, 0.80, 0.32)),
        ),
        0.26,
    ),
    "car": Icon(
        0.60,
        2.00,
        VIVID,
        (
            ("p", "c", (0.18, 0.42, 0.30, 0.04, 0.72, 0.04, 0.86, 0.42)),
            ("r", "c", (0.0, 0.38, 1.0, 0.82)),
            ("p", GLASS, (0.25, 0.39, 0.34, 0.12, 0.49, 0.12, 0.49, 0.39)),
            ("p", GLASS, (0.54, 0.39, 0.54, 0.12, 0.69, 0.12, 0.78, 0.39)),
            *_wheels(0.20, 0.80, radius_x=0.10, top=0.62),
            ("e", (250, 240, 160), (0.93, 0.46, 1.0, 0.60)),
        ),
        0.05,
    ),
    "truck": Icon(
        0.82,
        1.80,
        VIVID,
        (
            ("r", (222, 222, 226), (0.0, 0.0, 0.64, 0.78)),
            ("r", (170, 170, 176), (0.04, 0.06, 0.60, 0.10)),
            ("p", "c", (0.66, 0.22, 0.86, 0.22, 1.0, 0.50, 1.0, 0.80, 0.66, 0.80)),
            ("p", GLASS, (0.72, 0.28, 0.84, 0.28, 0.93, 0.48, 0.72, 0.48)),
            ("r", DARK, (0.0, 0.76, 1.0, 0.83)),
            *_wheels(0.15, 0.42, 0.82, radius_x=0.10, top=0.68),
        ),
        0.02,
    ),
    "bus": Icon(
        0.84,
        1.95,
        ("red", "yellow", "blue", "green"),
        (
            ("r", "c", (0.0, 0.0, 1.0, 0.84)),
            *(("r", GLASS, (x, 0.14, x + 0.14, 0.42)) for x in (0.05, 0.23, 0.41, 0.59)),
            ("r", GLASS, (0.80, 0.14, 0.96, 0.76)),
            ("r", "s", (0.0, 0.54, 0.76, 0.62)),
            *_wheels(0.20, 0.72, radius_x=0.09, top=0.70),
        ),
        0.02,
    ),
    "boat": Icon(
        0.46,
        2.10,
        VIVID,
        (
            ("p", "c", (0.0, 0.30, 1.0, 0.30, 0.82, 1.0, 0.16, 1.0)),
            ("r", WHITE, (0.04, 0.36, 0.96, 0.50)),
            ("e", DARK, (0.22, 0.62, 0.30, 0.80)),
            ("e", DARK, (0.46, 0.62, 0.54, 0.80)),
            ("e", DARK, (0.70, 0.62, 0.78, 0.80)),
        ),
        0.34,
    ),
    "skateboard": Icon(
        0.20,
        3.20,
        VIVID,
        (
            ("p", "c", (0.0, 0.0, 0.10, 0.20, 0.90, 0.20, 1.0, 0.0, 0.96, 0.50, 0.06, 0.50)),
            ("e", DARK, (0.14, 0.46, 0.30, 1.0)),
            ("e", DARK, (0.70, 0.46, 0.86, 1.0)),
        ),
        0.22,
    ),
    "surfboard": Icon(
        0.20,
        4.60,
        VIVID,
        (
            ("e", "c", (0.0, 0.05, 1.0, 0.95)),
            ("e", WHITE, (0.12, 0.36, 0.88, 0.60)),
            ("p", "s", (0.02, 0.5, 0.0, 0.0, 0.14, 0.3)),
        ),
        0.30,
    ),
    "bench": Icon(
        0.46,
        2.10,
        ("brown", "green", "gray"),
        (
            ("r", "c", (0.0, 0.0, 1.0, 0.16)),
            ("r", "c", (0.0, 0.22, 1.0, 0.38)),
            ("r", "s", (0.0, 0.48, 1.0, 0.64)),
            *_legs(DARK, 0.06, 0.88, top=0.0, width=0.06),
        ),
        0.50,
    ),
    "chair": Icon(
        0.64,
        0.75,
        VIVID,
        (
            ("r", "c", (0.04, 0.0, 0.20, 0.62)),
            ("r", "c", (0.04, 0.48, 0.96, 0.64)),
            *_legs("s", 0.06, 0.82, width=0.12),
        ),
        0.50,
    ),
    "table": Icon(
        0.46,
        1.80,
        ("brown", "white", "gray"),
        (("r", "c", (0.0, 0.0, 1.0, 0.18)), *_legs("s", 0.07, 0.85, top=0.1)),
        0.02,
    ),
    "bed": Icon(
        0.52,
        2.20,
        VIVID,
        (
            ("r", WOOD, (0.0, 0.0, 0.06, 1.0)),
            ("r", WOOD, (0.94, 0.40, 1.0, 1.0)),
            ("r", "c", (0.06, 0.46, 0.94, 0.84)),
            ("r", WHITE, (0.06, 0.42, 0.94, 0.54)),
            ("e", WHITE, (0.07, 0.26, 0.28, 0.52)),
        ),
        0.44,
    ),
    "couch": Icon(
        0.56,
        1.85,
        VIVID,
        (
            ("r", "c", (0.06, 0.0, 0.94, 0.70)),
            ("r", "s", (0.10, 0.48, 0.90, 0.86)),
            ("r", "c", (0.0, 0.26, 0.13, 0.92)),
            ("r", "c", (0.87, 0.26, 1.0, 0.92)),
            ("l", DARK, (0.50, 0.06, 0.50, 0.84)),
            ("r", DARK, (0.05, 0.90, 0.12, 1.0)),
            ("r", DARK, (0.88, 0.90, 0.95, 1.0)),
        ),
        0.52,
    ),
    "tree": Icon(
        1.45,
        0.66,
        ("green",),
        (
            ("r", WOOD, (0.42, 0.52, 0.58, 1.0)),
            ("e", "c", (0.05, 0.0, 0.95, 0.60)),
            ("e", "c", (0.0, 0.20, 0.55, 0.68)),
            ("e", "s", (0.45, 0.22, 1.0, 0.68)),
        ),
    ),
    "bush": Icon(
        0.44,
        1.40,
        ("green",),
        (
            ("e", "c", (0.0, 0.24, 0.50, 1.0)),
            ("e", "s", (0.50, 0.24, 1.0, 1.0)),
            ("e", "c", (0.20, 0.0, 0.80, 0.96)),
            *(
                ("e", (214, 60, 70), (x, y, x + 0.07, y + 0.12))
                for x, y in ((0.20, 0.42), (0.42, 0.22), (0.62, 0.50), (0.80, 0.60), (0.38, 0.66))
            ),
        ),
    ),
    "house": Icon(
        1.30,
        1.10,
        ("red", "white", "yellow", "blue"),
        (
            ("r", "c", (0.06, 0.40, 0.94, 1.0)),
            ("p", (152, 72, 52), (-0.02, 0.42, 0.5, 0.0, 1.02, 0.42)),
            ("r", WOOD, (0.42, 0.66, 0.58, 1.0)),
            ("r", GLASS, (0.14, 0.54, 0.32, 0.74)),
            ("r", GLASS, (0.68, 0.54, 0.86, 0.74)),
        ),
    ),
    "tower": Icon(
        1.70,
        0.38,
        ("gray", "brown", "white"),
        (
            ("p", "c", (0.14, 0.16, 0.86, 0.16, 1.0, 1.0, 0.0, 1.0)),
            ("r", "s", (0.0, 0.06, 1.0, 0.18)),
            ("r", "s", (0.0, 0.0, 0.20, 0.08)),
            ("r", "s", (0.40, 0.0, 0.60, 0.08)),
            ("r", "s", (0.80, 0.0, 1.0, 0.08)),
            ("e", WHITE, (0.28, 0.24, 0.72, 0.36)),
            ("l", DARK, (0.5, 0.30, 0.5, 0.26)),
            ("r", DARK, (0.38, 0.82, 0.62, 1.0)),
        ),
    ),
    "fence": Icon(
        0.46,
        2.50,
        ("white", "brown"),
        (
            ("r", "c", (0.0, 0.26, 1.0, 0.40)),
            ("r", "c", (0.0, 0.62, 1.0, 0.76)),
            *(
                ("p", "c", (x, 1.0, x, 0.12, x + 0.045, 0.0, x + 0.09, 0.12, x + 0.09, 1.0))
                for x in (0.02, 0.195, 0.37, 0.545, 0.72, 0.89)
            ),
        ),
    ),
    "flag": Icon(
        0.50,
        0.85,
        VIVID,
        (
            ("r", DARK, (0.0, 0.0, 0.12, 1.0)),
            ("p", "c", (0.10, 0.02, 1.0, 0.12, 0.80, 0.28, 1.0, 0.46, 0.10, 0.56)),
            ("e", WHITE, (0.28, 0.18, 0.52, 0.40)),
        ),
    ),
    "umbrella": Icon(
        0.58,
        1.20,
        VIVID,
        (("r", DARK, (0.48, 0.30, 0.53, 1.0)), ("d", "c", (0.0, 0.0, 1.0, 0.92)), ("d", "s", (0.34, 0.0, 0.66, 0.92))),
    ),
    "ball": Icon(
        0.26,
        1.00,
        VIVID,
        (("e", "c", (0.0, 0.0, 1.0, 1.0)), ("o", DARK, (0.28, 0.0, 0.72, 1.0)), ("l", DARK, (0.04, 0.5, 0.96, 0.5))),
    ),
    "kite": Icon(
        0.50,
        0.82,
        VIVID,
        (
            ("l", DARK, (0.5, 0.72, 0.42, 0.86, 0.58, 1.0)),
            ("p", "c", (0.5, 0.0, 1.0, 0.30, 0.5, 0.76, 0.0, 0.30)),
            ("p", "s", (0.5, 0.0, 1.0, 0.30, 0.5, 0.30)),
            ("l", DARK, (0.5, 0.0, 0.5, 0.76)),
        ),
    ),
    "bottle": Icon(
        0.38,
        0.52,
        ("green", "blue", "brown", "purple"),
        (
            ("r", "c", (0.34, 0.04, 0.66, 0.40)),
            ("r", DARK, (0.32, 0.0, 0.68, 0.08)),
            ("p", "c", (0.34, 0.26, 0.66, 0.26, 0.96, 0.42, 0.96, 1.0, 0.04, 1.0, 0.04, 0.42)),
            ("r", WHITE, (0.04, 0.56, 0.96, 0.80)),
        ),
    ),
    "cup": Icon(
        0.26,
        1.10,
        VIVID,
        (
            ("o", "s", (0.54, 0.20, 1.0, 0.78)),
            ("p", "c", (0.0, 0.04, 0.74, 0.04, 0.64, 1.0, 0.10, 1.0)),
            ("e", WHITE, (0.02, 0.0, 0.72, 0.16)),
        ),
    ),
    "book": Icon(
        0.26,
        1.30,
        VIVID,
        (
            ("r", "c", (0.0, 0.0, 1.0, 1.0)),
            ("r", WHITE, (0.07, 0.12, 0.46, 0.88)),
            ("r", WHITE, (0.54, 0.12, 0.93, 0.88)),
            *(("l", (150, 150, 150), (0.12, y, 0.42, y)) for y in (0.34, 0.56)),
        ),
    ),
    "laptop": Icon(
        0.32,
        1.35,
        ("gray", "black", "white"),
        (
            ("r", "c", (0.10, 0.0, 0.90, 0.68)),
            ("r", (96, 176, 226), (0.17, 0.08, 0.83, 0.60)),
            ("p", (92, 92, 98), (0.0, 1.0, 0.10, 0.70, 0.90, 0.70, 1.0, 1.0)),
            ("p", (190, 190, 196), (0.14, 0.92, 0.20, 0.78, 0.80, 0.78, 0.86, 0.92)),
        ),
    ),
    "bag": Icon(
        0.34,
        0.95,
        VIVID,
        (
            ("o", "s", (0.24, 0.0, 0.76, 0.60)),
            ("p", "c", (0.08, 0.30, 0.92, 0.30, 1.0, 1.0, 0.0, 1.0)),
            ("r", DARK, (0.42, 0.46, 0.58, 0.62)),
        ),
    ),
    "racket": Icon(
        0.56,
        0.50,
        VIVID,
        (
            ("r", DARK, (0.40, 0.56, 0.60, 1.0)),
            ("e", (226, 226, 214), (0.04, 0.02, 0.96, 0.60)),
            ("o", "c", (0.0, 0.0, 1.0, 0.62)),
            ("l", (150, 150, 140), (0.5, 0.06, 0.5, 0.56)),
            ("l", (150, 150, 140), (0.1, 0.31, 0.9, 0.31)),
        ),
    ),
    "phone": Icon(
        0.30,
        0.66,
        ("black", "white", "red", "blue"),
        (
            ("r", "c", (0.0, 0.0, 1.0, 1.0)),
            ("r", (120, 230, 200), (0.16, 0.12, 0.84, 0.76)),
            ("e", (180, 180, 180), (0.40, 0.82, 0.60, 0.94)),
        ),
    ),
    "guitar": Icon(
        0.80,
        0.42,
        ("brown", "red", "orange", "black"),
        (
            ("r", WOOD, (0.42, 0.06, 0.58, 0.60)),
            ("r", DARK, (0.34, 0.0, 0.66, 0.10)),
            ("e", "c", (0.10, 0.46, 0.90, 0.74)),
            ("e", "c", (0.0, 0.62, 1.0, 1.0)),
            ("e", DARK, (0.34, 0.60, 0.66, 0.76)),
            ("r", DARK, (0.30, 0.86, 0.70, 0.90)),
        ),
    ),
    "basket": Icon(
        0.30,
        1.25,
        ("brown", "yellow"),
        (
            ("o", WOOD, (0.16, 0.0, 0.84, 0.90)),
            ("p", "c", (0.0, 0.42, 1.0, 0.42, 0.86, 1.0, 0.14, 1.0)),
            ("l", WOOD, (0.04, 0.60, 0.96, 0.60)),
            ("l", WOOD, (0.08, 0.80, 0.92, 0.80)),
            ("l", WOOD, (0.34, 0.44, 0.38, 0.98)),
            ("l", WOOD, (0.66, 0.44, 0.62, 0.98)),
        ),
        0.46,
    ),
    "box": Icon(
        0.36,
        1.15,
        ("brown", "white", "red", "blue"),
        (
            ("p", "s", (0.0, 0.16, 0.14, 0.0, 1.0, 0.0, 1.0, 0.84, 0.86, 1.0)),
            ("r", "c", (0.0, 0.16, 0.86, 1.0)),
            ("r", (222, 196, 140), (0.36, 0.16, 0.50, 1.0)),
        ),
        0.14,
    ),
    "vase": Icon(
        0.40,
        0.62,
        VIVID,
        (
            ("r", "c", (0.28, 0.0, 0.72, 0.30)),
            ("e", "c", (0.0, 0.22, 1.0, 0.96)),
            ("r", "s", (0.24, 0.88, 0.76, 1.0)),
            ("l", WHITE, (0.06, 0.56, 0.30, 0.48, 0.54, 0.62, 0.78, 0.48, 0.94, 0.58)),
        ),
        0.06,
    ),
    "flower": Icon(
        0.42,
        0.62,
        ("red", "yellow", "pink", "purple", "white", "orange"),
        (
            ("l", (50, 130, 60), (0.5, 0.4, 0.5, 1.0)),
            ("e", (50, 130, 60), (0.5, 0.66, 0.86, 0.80)),
            ("e", "c", (0.28, 0.0, 0.72, 0.28)),
            ("e", "c", (0.28, 0.30, 0.72, 0.56)),
            ("e", "c", (0.0, 0.12, 0.44, 0.42)),
            ("e", "c", (0.56, 0.12, 1.0, 0.42)),
            ("e", (120, 76, 30), (0.34, 0.17, 0.66, 0.38)),
        ),
    ),
    "hat": Icon(
        0.22,
        1.75,
        VIVID,
        (
            ("p", "c", (0.26, 0.0, 0.74, 0.0, 0.78, 0.75, 0.22, 0.75)),
            ("e", "c", (0.0, 0.54, 1.0, 1.0)),
            ("r", DARK, (0.23, 0.48, 0.77, 0.62)),
        ),
        0.72,
    ),
    "helmet": Icon(
        0.24,
        1.15,
        VIVID,
        (("d", "c", (0.0, 0.0, 1.0, 1.76)), ("r", DARK, (0.44, 0.02, 0.56, 0.88)), ("r", "s", (0.0, 0.78, 1.0, 1.0))),
        0.84,
    ),
}

PEOPLE = {"man": 1.0, "woman": 0.95, "boy": 0.70, "girl": 0.68}  # height in units of a man's
GARMENTS = ("shirt", "pants", "dress")
CATEGORIES: tuple[str, ...] = (*PEOPLE, *ICONS, *GARMENTS)

# Limbs in units of the person's height from the hip: (forward, up). Legs end at the feet; the first hand is the front one.
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
    """What was drawn: its number, its box on the canvas before anything covers it, and (people) hand, head top, garments."""

    index: int
    box: tuple[float, float, float, float]
    hand: tuple[float, float] = (0.0, 0.0)
    head: tuple[float, float] = (0.0, 0.0)
    garments: tuple[int, ...] = ()


class Canvas:
    """A scene being drawn: `image` in colour, `owner` with each pixel's object number + 1 (0 = backdrop)."""

    def __init__(self, backdrop: tuple[int, int, int]):
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

    def shape(self, kind: str, points: list[tuple[float, float]], fill, owner: int | None, width: int = 2) -> None:
        """Draw one shape in colour and into the owner map; `owner` None leaves the map alone (backdrop, strings)."""
        layers = [(self._paint, fill)] if owner is None else [(self._paint, fill), (self._own, owner + 1)]
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
            ink = own if ink == "c" else shade(own) if ink == "s" else ink
            points = [
                (x + sign * (u - 0.5) * width, bottom - height + v * height)
                for u, v in zip(at[::2], at[1::2], strict=True)
            ]
            self.shape(kind, points, ink, index, stroke)
        return Drawn(index, (x - width / 2, bottom - height, x + width / 2, bottom))

    def person(
        self, kind: str, x: float, bottom: float, unit: float, look: Look, pose: str = "stand", flip: bool = False
    ) -> Drawn:
        """Draw a person whose feet (standing poses) or seat (ride, sit, lie) are at (x, bottom), garments as own objects."""
        height = PEOPLE[kind] * unit
        legs, front, back = POSES[pose]
        sign = -1 if flip else 1
        seated = pose in ("ride", "sit", "lie")
        hip = (x, bottom - (0.03 if pose != "lie" else 0.10) * height) if seated else (x, bottom - LEG * height)
        child = kind in ("boy", "girl")
        head_radius = 0.135 if child else 0.105
        shoulder, neck = 0.30, 0.32 + head_radius

        def at(forward: float, up: float) -> tuple[float, float]:
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

        def line(points, ink, owner, width):
            self.shape("l", [at(*p) for p in points], ink, owner, width)

        def disc(centre, radius, ink, owner, squeeze=1.0):
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

    def string(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """A leash or a kite's line: visible, but no object."""
        self.shape("l", [start, end], DARK, None, 2)


@dataclass(frozen=True)
class Look:
    """How a person is dressed: top is "shirt" or "dress"; colours are names, skin and hair RGB."""

    top: str
    top_colour: str
    bottom_colour: str
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]


def shade(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """The same colour in shadow."""
    return tuple(round(v * 0.72) for v in colour)
