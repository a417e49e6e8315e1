"""Where words and arrows go on a picture: plain geometry, in pixels with y downwards, for any way of drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from groundgraph.data.boxes import shared_area

Point = tuple[float, float]
BEND = 0.18  # how far an arrow bows to its own left, as a share of its length: an arrow and its reverse stay apart
# What a place costs, against 1 for each place that was liked better: tags on tags, arrows, other boxes, frames.
_ON_TAG, _ON_ARROW, _ON_BOX, _ON_FRAME = 1000.0, 120.0, 25.0, 12.0
_ROUNDS = 5  # how often every tag may move again once all are placed


def meeting_points(boxes: np.ndarray, apart: float) -> np.ndarray:
    """One point a box where its arrows meet.

    Small boxes choose first; a shirt within a man would otherwise share his centre and leave no room for an arrow.

    Args:
        boxes: [N, 4] xyxy.
        apart: the least distance from the other boxes' points, where there is room.

    Returns:
        [N, 2], near the boxes' centres.
    """
    steps = sorted(product((0.5, 0.35, 0.65, 0.2, 0.8), repeat=2), key=lambda p: math.dist(p, (0.5, 0.5)))
    corner, side = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    options = corner + side * np.array(steps)
    chosen = np.zeros((0, 2))
    points = np.zeros((len(boxes), 2))
    for i in np.argsort(side[:, 0].prod(1), kind="stable"):
        room = np.linalg.norm(options[i][:, None] - chosen[None], axis=2).min(1, initial=np.inf)
        far = room >= apart
        points[i] = options[i][far.argmax() if far.any() else room.argmax()]
        chosen = np.vstack([chosen, points[i]])
    return points


def bow(start: Point, end: Point, points: int = 40) -> np.ndarray:
    """Points of the quadratic curve that an arrow follows: [points, 2]."""
    first, last = np.asarray(start, float), np.asarray(end, float)
    across = np.array([last[1] - first[1], first[0] - last[0]])
    middle = (first + last) / 2 + BEND * across
    t = np.linspace(0, 1, points)[:, None]
    curve: np.ndarray = (1 - t) ** 2 * first + 2 * t * (1 - t) * middle + t**2 * last
    return curve


def caption_spots(box: Sequence[float], width: float, height: float) -> np.ndarray:
    """Where a tag that names a box may lie: at its edges.

    Args:
        box: xyxy.
        width: of the tag.
        height: of the tag.

    Returns:
        [K, 2], the tag's left upper corners, best first.
    """
    x0, y0, x1, y1 = box
    across = (x0, x1 - width, (x0 + x1 - width) / 2)
    down = (y0 - height, y1, y0, y1 - height, y0 - 2 * height, y1 + height, (y0 + y1 - height) / 2)
    beside = [(x, y) for y in (y0, y1 - height) for x in (x1, x0 - width)]
    return np.array([*((x, y) for y in down for x in across), *beside])


def predicate_spots(curve: np.ndarray, width: float, height: float) -> np.ndarray:
    """Where a tag that names an arrow may lie: on its line and beside it.

    Args:
        curve: [P, 2], the arrow's points.
        width: of the tag.
        height: of the tag.

    Returns:
        [K, 2], the tag's left upper corners, best first.
    """
    along = curve[(np.array([0.5, 0.4, 0.6, 0.3, 0.7]) * (len(curve) - 1)).round().astype(int)]
    above = [(0, s * height) for s in (0, -1, 1, -1.6, 1.6, -2.4, 2.4)]
    aside = [(s * (0.55 * width + 0.3 * height), 0) for s in (-1, 1)]
    length = math.dist(curve[0], curve[-1])
    # On a short arrow the tag would hide the arrow itself.
    shifts = [*above, *aside] if length > 1.6 * width else [*aside, *above[1:]]
    return np.concatenate([along + shift for shift in np.array(shifts)]) - (width / 2, height / 2)


def place_tags(
    spots: Sequence[np.ndarray],
    extents: np.ndarray,
    owners: Sequence[int],
    curves: Sequence[np.ndarray],
    boxes: np.ndarray,
    size: Point,
) -> np.ndarray:
    """Choose a place for every tag, so that none hides another one, an arrow or a small box where that is avoidable.

    Each tag takes the cheapest of its places given the others; all may move again until none wants to.

    Args:
        spots: T arrays [K, 2] of left upper corners, best first.
        extents: [T, 2], width and height.
        owners: the arrow that a tag names and may lie on, or -1.
        curves: [P, 2] each, the arrows' points.
        boxes: [N, 4] xyxy.
        size: width and height of the picture.

    Returns:
        [T, 4] xyxy, moved inside the picture where they fit: a tag that is cut off cannot be read.
    """
    rects, costs = [], []
    for places, extent, owner in zip(spots, extents, owners, strict=True):
        corner = np.clip(places, 0, np.maximum(np.array(size) - extent, 0))
        rect = np.hstack([corner, corner + extent])
        cost = np.arange(len(rect), dtype=float) + _ON_FRAME * _struck(rect, boxes) + _ON_BOX * _hidden(rect, boxes)
        for number, curve in enumerate(curves):
            if number != owner:
                inside = (curve >= rect[:, None, :2]) & (curve <= rect[:, None, 2:])
                cost += _ON_ARROW * inside.all(2).mean(1)
        rects.append(rect)
        costs.append(cost)
    chosen = np.full((len(rects), 4), -1.0)  # outside: nothing is placed yet
    for _ in range(_ROUNDS):
        before = chosen.copy()
        for i, (rect, cost) in enumerate(zip(rects, costs, strict=True)):
            others = np.delete(chosen, i, 0)
            taken = shared_area(rect[:, None], others).sum(1) / extents[i].prod()
            chosen[i] = rect[(cost + _ON_TAG * taken).argmin()]
        if (chosen == before).all():
            break
    return chosen


def _hidden(rects: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The share of a box that a tag covers, summed over the boxes: [K]."""
    areas = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1.0)
    return (shared_area(rects[:, None], boxes) / areas).sum(1)


def _struck(rects: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How much of boxes' frames runs through a tag, in widths and heights of the tag: [K]."""
    sides = rects[:, None, 2:] - rects[:, None, :2]
    inner = np.clip(
        np.minimum(rects[:, None, 2:], boxes[:, 2:]) - np.maximum(rects[:, None, :2], boxes[:, :2]), 0, None
    )
    total = np.zeros(len(rects))
    for axis in (0, 1):
        for edge in (boxes[:, axis], boxes[:, 2 + axis]):
            through = (edge > rects[:, None, axis] + 1) & (edge < rects[:, None, 2 + axis] - 1)
            total += (through * inner[..., 1 - axis] / np.maximum(sides[..., 1 - axis], 1)).sum(1)
    return total
