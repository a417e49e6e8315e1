"""Scene graphs and groundings drawn on their image, and a scene graph as JSON. Pillow only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from groundgraph.data.types import Graph

# Told apart by most colour-blind readers too (Okabe and Ito's set, its black and yellow replaced by three others).
PALETTE = (
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a4fbf", "#8c6d31", "#c2185b", "#5c6b73",
)  # fmt: skip
LONGEST = 1280  # px; a photo larger than this is drawn smaller
_FINE = 2  # everything is drawn this many times larger and then reduced, since Pillow's lines have no smooth edges

Rect = tuple[float, float, float, float]
Point = tuple[float, float]
Arrow = tuple[Point, str, Point, str]  # from, predicate, to, colour


def draw_graph(
    image: Image.Image,
    graph: Graph,
    categories: Sequence[str],
    predicates: Sequence[str],
    top: int = 8,
    min_side: int = 640,
) -> Image.Image:
    """The best `top` relations of a graph and their objects on its image: boxes, captions and labelled arrows.

    Objects and relations are those of `graph_json`. An image whose long side is under min_side px is drawn that large;
    one over 1280 px is drawn at 1280. Gives an RGB image; the one handed in is left as it is.
    """
    shown = graph_json(graph, categories, predicates, top)
    canvas = _Canvas(image, min_side, 36)
    boxes = [canvas.scaled(item["box"]) for item in shown["objects"]]
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(boxes))]
    canvas.boxes(boxes, colours)
    arrows = []
    if shown["relations"]:
        dots = canvas.dots(boxes, colours)
        arrows = [
            (dots[r["subject"]], r["predicate"], dots[r["object"]], colours[r["subject"]]) for r in shown["relations"]
        ]
    # All lines before any tag, so that none strikes through a word.
    curves = canvas.arrows(arrows)
    canvas.captions(boxes, _numbered([item["category"] for item in shown["objects"]]), colours)
    canvas.predicates(curves, arrows)
    return canvas.finished()


def draw_grounding(
    image: Image.Image,
    boxes: Sequence[Sequence[float] | None],
    names: Sequence[str],
    colours: Sequence[str],
    min_side: int = 480,
) -> Image.Image:
    """An image with named boxes (xyxy in its pixels), each in its CSS colour; a box that is None is left out.

    Scaled as in `draw_graph`. Raises ValueError unless there are as many names and colours as boxes.
    """
    if not len(boxes) == len(names) == len(colours):
        raise ValueError(f"{len(boxes)} boxes have {len(names)} names and {len(colours)} colours")
    canvas = _Canvas(image, min_side, 20)  # large letters: these are shown small, side by side
    known = [i for i, box in enumerate(boxes) if box is not None]
    there, colours = [canvas.scaled(boxes[i]) for i in known], [colours[i] for i in known]
    canvas.boxes(there, colours)
    canvas.captions(there, [names[i] for i in known], colours)
    return canvas.finished()


def graph_json(graph: Graph, categories: Sequence[str], predicates: Sequence[str], top: int = 8) -> dict:
    """A graph's best relations and the objects they join, in plain Python values that json can write.

    {"objects": [{"category", "score", "box": [x0, y0, x1, y1] in pixels}],
    "relations": [{"subject": index into objects, "predicate", "object": index, "score"}]}.
    A pair has one relation, its best predicate; a relation's score is subject score x predicate score x object score;
    the `top` best are kept, best first, ties in the graph's order. Objects come best first; a graph without relations
    gives its `top` best objects. Label k means categories[k - 1], column k of the predicate scores predicates[k - 1].
    Raises ValueError where a label or a column has no name.
    """
    labels, width = np.asarray(graph.labels, np.int64), np.asarray(graph.predicate_scores).shape[-1]
    if labels.size and not 1 <= labels.min() <= labels.max() <= len(categories):
        raise ValueError(
            f"graph labels run from {labels.min()} to {labels.max()}, category names are 1..{len(categories)}"
        )
    scores, pairs = np.asarray(graph.scores, np.float64), np.asarray(graph.pairs, np.int64).reshape(-1, 2)
    if len(pairs) and width - 1 > len(predicates):
        raise ValueError(f"the graph scores {width - 1} predicates, but {len(predicates)} are named")
    if not len(pairs) or width < 2:
        kept, relations = np.argsort(-scores, kind="stable")[:top], []
    else:
        known = np.asarray(graph.predicate_scores, np.float64)[:, 1:]
        best, values = known.argmax(1), scores[pairs].prod(1) * known.max(1)
        rows = np.argsort(-values, kind="stable")[:top]
        kept = np.unique(pairs[rows])
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        place = {int(k): i for i, k in enumerate(kept)}
        relations = [
            {
                "subject": place[int(pairs[r, 0])],
                "predicate": predicates[best[r]],
                "object": place[int(pairs[r, 1])],
                "score": _rounded(values[r]),
            }
            for r in rows
        ]
    objects = [
        {
            "category": categories[labels[k] - 1],
            "score": _rounded(scores[k]),
            "box": [round(float(v), 1) for v in graph.boxes[k]],
        }
        for k in kept
    ]
    return {"objects": objects, "relations": relations}


def triplet_lines(graph: Graph, categories: Sequence[str], predicates: Sequence[str], top: int = 8) -> list[str]:
    """The relations of `graph_json` in words, "man riding horse 2 (0.41)"; objects are numbered as in `draw_graph`."""
    shown = graph_json(graph, categories, predicates, top)
    names = _numbered([item["category"] for item in shown["objects"]])
    return [
        f"{names[r['subject']]} {r['predicate']} {names[r['object']]} ({r['score']:.2g})" for r in shown["relations"]
    ]


def _numbered(names: Sequence[str]) -> list[str]:
    """Names that occur more than once get a number, so that a reader knows which of two horses a line means."""
    total, seen = Counter(names), Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(f"{name} {seen[name]}" if total[name] > 1 else name)
    return result


def _rounded(value: float) -> float:
    """Four significant digits: products of three scores are often small."""
    return float(f"{value:.4g}")


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


class _Canvas:
    """An enlarged copy of an image that knows what is already written on it; `lines` of letters fill its long side."""

    def __init__(self, image: Image.Image, min_side: int, lines: int):
        image = image.convert("RGB")
        long = max(image.size)
        side = min(max(long, min_side), max(LONGEST, min_side))
        self.scale = side / long * _FINE
        # Even sizes, so that reducing gives back exactly the size aimed at.
        self.size = tuple(max(1, round(v * side / long)) * _FINE for v in image.size)
        self.image = image.resize(self.size, Image.Resampling.BICUBIC)
        self.draw = ImageDraw.Draw(self.image)
        letters = max(12, round(side / lines))
        self.line = max(2, round(letters / 6)) * _FINE
        self.font = _font(letters * _FINE)
        self.taken: list[Rect] = []

    def finished(self) -> Image.Image:
        return self.image.reduce(_FINE)

    def scaled(self, box: Sequence[float]) -> Rect:
        """A box of the image in the canvas's pixels, its corners in order and inside the canvas."""
        (x0, x1), (y0, y1) = sorted((box[0], box[2])), sorted((box[1], box[3]))
        width, height = self.size
        x0, x1 = (min(max(float(v) * self.scale, 0), width - 1) for v in (x0, x1))
        y0, y1 = (min(max(float(v) * self.scale, 0), height - 1) for v in (y0, y1))
        return x0, y0, x1, y1

    def boxes(self, boxes: Sequence[Rect], colours: Sequence[str]) -> None:
        for box, colour in zip(boxes, colours, strict=True):
            # A dark hairline around keeps a bright box visible on a bright picture.
            self.draw.rectangle(box, outline="#1a1a1a", width=self.line + _FINE)
            self.draw.rectangle(box, outline=colour, width=self.line)

    def dots(self, boxes: Sequence[Rect], colours: Sequence[str]) -> list[Point]:
        """One point a box where its arrows meet: near the centre, but away from the other boxes' points.

        Small boxes choose first; a shirt within a man would otherwise share his centre and leave no room for an arrow.
        """
        apart = 0.16 * max(self.size)
        chosen: dict[int, Point] = {}
        steps = sorted(product((0.5, 0.35, 0.65, 0.2, 0.8), repeat=2), key=lambda p: math.dist(p, (0.5, 0.5)))
        for i in sorted(range(len(boxes)), key=lambda i: _area(boxes[i])):
            x0, y0, x1, y1 = boxes[i]
            options = [(x0 + u * (x1 - x0), y0 + v * (y1 - y0)) for u, v in steps]
            room = [min((math.dist(p, q) for q in chosen.values()), default=math.inf) for p in options]
            far = next((k for k, r in enumerate(room) if r >= apart), int(np.argmax(room)))
            chosen[i] = options[far]
        radius = 1.6 * self.line
        for i, (x, y) in chosen.items():
            dot = (x - radius, y - radius, x + radius, y + radius)
            self.draw.ellipse(dot, fill=colours[i], outline="white", width=_FINE)
            self.taken.append(dot)
        return [chosen[i] for i in range(len(boxes))]

    def captions(self, boxes: Sequence[Rect], names: Sequence[str], colours: Sequence[str]) -> None:
        """Each box's name on a tag of its colour at one of its edges, where it hides no other tag."""
        for box, name, colour in zip(boxes, names, colours, strict=True):
            width, height = self._extent(name)
            x0, y0, x1, y1 = box
            across = (x0, x1 - width, (x0 + x1 - width) / 2)
            down = (y0 - height, y0, y1, y1 - height, y0 - 2 * height, y1 + height, (y0 + y1 - height) / 2)
            self._tag([(x, y) for y in down for x in across], name, colour, _ink(colour), None)

    def arrows(self, relations: Sequence[Arrow]) -> list[list[Point]]:
        """The arrows' lines and heads; gives each line's points."""
        curves = [_curve(start, end) for start, _, end, _ in relations]
        for curve, (_, _, end, colour) in zip(curves, relations, strict=True):
            for fill, extra in (("white", _FINE * 1.5), (colour, 0)):
                self._arrow(curve, end, fill, extra)
        return curves

    def predicates(self, curves: Sequence[Sequence[Point]], relations: Sequence[Arrow]) -> None:
        """Each arrow's predicate on a white tag on or beside its line."""
        for curve, (_, predicate, _, colour) in zip(curves, relations, strict=True):
            width, height = self._extent(predicate)
            along = [curve[round(t * (len(curve) - 1))] for t in (0.5, 0.4, 0.6, 0.3, 0.7)]
            shifts = (0, -1, 1, -1.6, 1.6, -2.4, 2.4)
            if math.dist(curve[0], curve[-1]) < 1.6 * width:
                shifts = shifts[1:]  # on a short arrow the tag would hide the arrow itself
            spots = [(x - width / 2, y - height / 2 + s * height) for s in shifts for x, y in along]
            self._tag(spots, predicate, "white", "#1a1a1a", colour)

    def _arrow(self, curve: Sequence[Point], end: Point, fill: str, extra: float) -> None:
        head = 4.2 * self.line + extra
        gap = 1.6 * self.line
        tip_at = next((k for k in range(len(curve) - 1, 0, -1) if math.dist(curve[k], end) >= gap), len(curve) - 1)
        tip = curve[tip_at]
        neck_at = next((k for k in range(tip_at, 0, -1) if math.dist(curve[k], tip) >= head), 0)
        neck = curve[neck_at]
        length = max(math.dist(neck, tip), 1e-6)
        dx, dy = (tip[0] - neck[0]) / length, (tip[1] - neck[1]) / length
        half = 0.48 * head
        self.draw.line(
            [*curve[: neck_at + 1], neck], fill=fill, width=round(0.8 * self.line + 2 * extra), joint="curve"
        )
        ahead = (tip[0] + dx * extra, tip[1] + dy * extra)
        sides = [(neck[0] - s * dy * half, neck[1] + s * dx * half) for s in (1, -1)]
        self.draw.polygon([ahead, *sides], fill=fill)

    def _extent(self, text: str) -> tuple[float, float]:
        """Width and height of a tag; the height is the font's, so that all tags are equally tall."""
        ascent, descent = self.font.getmetrics()
        return self.draw.textlength(text, self.font) + 0.6 * self.font.size, ascent + descent + 0.15 * self.font.size

    def _tag(self, spots: Sequence[Point], text: str, fill: str, ink: str, outline: str | None) -> None:
        """Text on a filled tag at the first of the spots (left, top) that is free, else at the least covered one."""
        width, height = self._extent(text)
        right, bottom = max(self.size[0] - width, 0), max(self.size[1] - height, 0)
        # Moved inside the picture first: a tag that is cut off cannot be read.
        places = [(min(max(x, 0), right), min(max(y, 0), bottom)) for x, y in spots]
        rects = [(x, y, x + width, y + height) for x, y in places]
        covered = [sum(_shared(rect, other) for other in self.taken) for rect in rects]
        rect = rects[int(np.argmin(covered))]
        self.taken.append(rect)
        self.draw.rounded_rectangle(rect, 0.25 * self.font.size, fill=fill, outline=outline, width=_FINE)
        middle = ((rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2)
        self.draw.text(middle, text, fill=ink, font=self.font, anchor="mm")


def _curve(start: Point, end: Point, points: int = 40) -> list[Point]:
    """A slight bow from start to end; it bends to its own left, so that an arrow and its reverse stay apart."""
    (x0, y0), (x1, y1) = start, end
    bend = (x0 + x1) / 2 + 0.18 * (y1 - y0), (y0 + y1) / 2 - 0.18 * (x1 - x0)
    t = np.linspace(0, 1, points)[:, None]
    curve = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(end)
    return [(float(x), float(y)) for x, y in curve]


def _ink(colour: str) -> str:
    """Black or white, whichever reads better on the colour: WCAG 2's relative luminance, cut where both read alike."""
    parts = [v / 255 for v in ImageColor.getrgb(colour)[:3]]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return "#111111" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"


def _area(box: Rect) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _shared(a: Rect, b: Rect) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
