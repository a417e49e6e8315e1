"""A scene graph as JSON, and drawn on its image for a page or a paper: PNG, SVG or PDF."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.textpath import text_to_path
from PIL import Image, ImageColor

from groundgraph.data.types import Graph
from groundgraph.errors import InputError
from groundgraph.report import layout
from groundgraph.report.fonts import families

# Told apart by most colour-blind readers too (Okabe and Ito's set, its black and yellow replaced by three others).
PALETTE = (
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a4fbf", "#8c6d31", "#c2185b", "#5c6b73",
)  # fmt: skip
FORMATS = ("png", "svg", "pdf")
LONGEST = 1280  # px; a photo larger than this is drawn smaller
_PIXEL = 0.72  # points; a picture is laid out in pixels of 1/100 inch
_FINE = 200  # dots an inch of a PNG: letters as sharp as on paper
# A user's own matplotlib settings must not change the picture. Text stays text: searchable, and editable in a figure.
_STYLE = ["default", {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "groundgraph"}]
_DRAWN_BY = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None, "Producer": None}}


def save_graph(
    path: Path,
    image: Image.Image,
    graph: Graph,
    categories: Sequence[str],
    predicates: Sequence[str],
    top: int = 8,
    min_side: int = 640,
) -> None:
    """Draw the best `top` relations of a graph and their objects on its image: boxes, captions and labelled arrows.

    Drawn by matplotlib, so that one description gives all formats; the same input gives the same file.

    Args:
        path: its ending gives the format: .png, or .svg and .pdf with lines as vectors and words as text.
        image: drawn at 1280 pixels where its long side has more, at 100 pixels an inch.
        graph: its objects and relations are those of `graph_json`.
        categories: label k means categories[k - 1].
        predicates: column k of the predicate scores means predicates[k - 1].
        top: how many relations.
        min_side: pixels of the long side of an image that is smaller.

    Raises:
        InputError: on another ending, and where a label or a column has no name.
    """
    save_record(path, image, graph_json(graph, categories, predicates, top), min_side)


def save_record(path: Path, image: Image.Image, shown: dict[str, Any], min_side: int = 640) -> None:
    """Draw the objects and relations of `graph_json`'s form on their image; arguments as of `save_graph`."""
    kind = Path(path).suffix.removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"{path}: pictures are written as {', '.join(FORMATS)}")
    with matplotlib.style.context(_STYLE), warnings.catch_warnings():
        # `fonts.unreadable_scripts` says it once, not for every letter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        draw_record(image, shown, min_side).savefig(path, format=kind, dpi=_FINE, metadata=_DRAWN_BY[kind])


def draw_graph(
    image: Image.Image,
    graph: Graph,
    categories: Sequence[str],
    predicates: Sequence[str],
    top: int = 8,
    min_side: int = 640,
) -> Figure:
    """The picture that `save_graph` writes, as a matplotlib figure; arguments are the same."""
    return draw_record(image, graph_json(graph, categories, predicates, top), min_side)


def draw_record(image: Image.Image, shown: dict[str, Any], min_side: int = 640) -> Figure:
    """The picture that `save_record` writes, as a matplotlib figure; arguments are the same."""
    image = image.convert("RGB")
    side = min(max(*image.size, min_side), max(LONGEST, min_side))
    scale = side / max(image.size)
    width, height = size = tuple(max(1, round(v * scale)) for v in image.size)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    # Enlarged here, since a viewer of vector files may show a small picture's pixels as blocks.
    image = image.resize(tuple(v * _FINE // 100 for v in size), Image.Resampling.BICUBIC)
    axes.imshow(image, extent=(0, width, height, 0), interpolation="none", aspect="auto")

    boxes = _inside(np.array([item["box"] for item in shown["objects"]], float).reshape(-1, 4) * scale, size)
    names = numbered([item["category"] for item in shown["objects"]])
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(boxes))]
    letters = max(12.0, side / 42)
    line = max(1.8, letters / 6)
    halo = [withStroke(linewidth=(line + 1.6) * _PIXEL, foreground="white")]
    for (x0, y0, x1, y1), colour in zip(boxes, colours, strict=True):
        style = {"edgecolor": colour, "linewidth": line * _PIXEL, "path_effects": halo, "joinstyle": "miter"}
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, **style))
    points = layout.meeting_points(boxes, 0.16 * side)
    ends = [(points[r["subject"]], points[r["object"]], colours[r["subject"]]) for r in shown["relations"]]
    for start, end, colour in ends:
        _arrow(axes, start, end, colour, line, halo)
    if ends:
        for point, colour in zip(points, colours, strict=True):
            look = {"facecolor": colour, "edgecolor": "white", "linewidth": _PIXEL, "zorder": 3}
            axes.add_patch(Circle(point, 1.5 * line, **look))

    words = [*names, *(r["predicate"] for r in shown["relations"])]
    font = FontProperties(family=families(words), size=letters * _PIXEL)
    extents = np.array([_extent(word, font, letters) for word in words]).reshape(-1, 2)
    curves = [layout.bow(start, end) for start, end, _ in ends]
    spots = [layout.caption_spots(box, *extent) for box, extent in zip(boxes, extents, strict=False)]
    spots += [layout.predicate_spots(c, *extent) for c, extent in zip(curves, extents[len(boxes) :], strict=True)]
    owners = [-1] * len(boxes) + list(range(len(curves)))
    looks = [(colour, ink(colour), colour) for colour in colours] + [("white", "#111111", c) for _, _, c in ends]
    places = layout.place_tags(spots, extents, owners, curves, boxes, size)
    for word, place, look in zip(words, places, looks, strict=True):
        _tag(axes, word, place, look, font, letters)
    return figure


def graph_json(graph: Graph, categories: Sequence[str], predicates: Sequence[str], top: int = 8) -> dict[str, Any]:
    """A graph's best relations and the objects they join, in plain Python values that json can write.

    A pair has one relation, its best predicate; its score is that of `Graph.relation_scores`.

    Args:
        graph: the graph.
        categories: label k means categories[k - 1].
        predicates: column k of the predicate scores means predicates[k - 1].
        top: how many relations are kept, ties in the graph's order; objects of a graph that has none.

    Returns:
        {"objects": [{"category", "score", "box": [x0, y0, x1, y1] in pixels}],
        "relations": [{"subject": index into objects, "predicate", "object": index, "score"}]}, both best first.

    Raises:
        InputError: where a label or a column has no name.
    """
    labels, width = np.asarray(graph.labels, np.int64), np.asarray(graph.predicate_scores).shape[-1]
    if labels.size and not 1 <= labels.min() <= labels.max() <= len(categories):
        raise InputError(
            f"graph labels run from {labels.min()} to {labels.max()}, category names are 1..{len(categories)}"
        )
    scores, pairs = np.asarray(graph.scores, np.float64), np.asarray(graph.pairs, np.int64).reshape(-1, 2)
    if len(pairs) and width - 1 > len(predicates):
        raise InputError(f"the graph scores {width - 1} predicates, but {len(predicates)} are named")
    if not len(pairs) or width < 2:
        kept, relations = np.argsort(-scores, kind="stable")[:top], []
    else:
        best, values = np.asarray(graph.predicate_scores)[:, 1:].argmax(1), graph.relation_scores
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


def numbered(names: Sequence[str]) -> list[str]:
    """Names that occur more than once get a number, so that a reader knows which of two horses a line means."""
    total, so_far = Counter(names), Counter[str]()
    result = []
    for name in names:
        so_far[name] += 1
        result.append(f"{name} {so_far[name]}" if total[name] > 1 else name)
    return result


def _rounded(value: float) -> float:
    """Four significant digits: products of three scores are often small."""
    return float(f"{value:.4g}")


def ink(colour: str) -> str:
    """Black or white, whichever reads better on the colour: WCAG 2's relative luminance, cut where both read alike."""
    parts = [v / 255 for v in ImageColor.getrgb(colour)[:3]]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return "#111111" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"


def _inside(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes with their corners in order and inside the picture."""
    corners = np.sort(boxes.reshape(-1, 2, 2), 1)
    return np.clip(corners, 1, np.maximum(np.array(size) - 1, 1)).reshape(-1, 4)


def _arrow(axes: Axes, start: np.ndarray, end: np.ndarray, colour: str, line: float, halo: list[Any]) -> None:
    """An arrow from one meeting point to another."""
    # matplotlib bends in a picture whose y goes upwards, so its sign is the other one.
    style = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={-layout.BEND}", "mutation_scale": 5 * line}
    ends = {"shrinkA": 0, "shrinkB": 1.8 * line * _PIXEL}
    look = {"color": colour, "linewidth": line * _PIXEL, "path_effects": halo, "zorder": 2}
    axes.add_patch(FancyArrowPatch(tuple(start), tuple(end), **style, **ends, **look))


def _extent(text: str, font: FontProperties, letters: float) -> tuple[float, float]:
    """Width and height of a tag in pixels; all tags of a picture are equally tall."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return width / _PIXEL + 0.6 * letters, 1.32 * letters


def _tag(
    axes: Axes, text: str, place: np.ndarray, look: tuple[str, str, str], font: FontProperties, letters: float
) -> None:
    """Text on a filled tag of the place [4] xyxy; look: colours of the tag, its letters and its edge."""
    fill, letter, edge = look
    x0, y0, x1, y1 = place
    round_corners = f"round,pad=0,rounding_size={0.22 * letters}"
    style = {"boxstyle": round_corners, "facecolor": fill, "edgecolor": edge, "linewidth": _PIXEL, "zorder": 4}
    axes.add_patch(FancyBboxPatch((x0 + 0.5, y0 + 0.5), x1 - x0 - 1, y1 - y0 - 1, **style))
    base = (y0 + y1) / 2 + 0.36 * letters
    how = {"fontproperties": font, "color": letter, "ha": "center", "va": "baseline", "zorder": 5}
    axes.text((x0 + x1) / 2, base, text, parse_math=False, **how)
