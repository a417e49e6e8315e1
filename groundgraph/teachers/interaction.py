"""The interaction-aware teacher: where a vision-language model looks for each entity of a caption (Eq. 7, 8)."""

from __future__ import annotations

import numpy as np


def region_scores(maps: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How much of an entity's map lies in a region, over the root of its area (Eq. 7).

    maps   [E, h, w], not negative; each is divided by its maximum first (an all-zero map scores 0 everywhere)
    boxes  [V, 4] xyxy in pixels of a picture of `size` (width, height)
    returns [E, V] float32

    Areas are in cells of the map's grid, and a cell half inside counts half: a box covers a cell by the product of
    its shares of the cell's column and row, so all regions and entities are one product of three matrices.
    """
    entities, h, w = maps.shape
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    if not entities or not len(boxes):
        return np.zeros((entities, len(boxes)), np.float32)
    peak = maps.reshape(entities, -1).max(1)
    maps = maps / np.where(peak > 0, peak, 1)[:, None, None]
    columns = _coverage(boxes[:, 0] * (w / size[0]), boxes[:, 2] * (w / size[0]), w)
    rows = _coverage(boxes[:, 1] * (h / size[1]), boxes[:, 3] * (h / size[1]), h)
    # A box beyond the picture's edge counts for what is inside; one without area scores 0, not infinity.
    area = columns.sum(1) * rows.sum(1)
    inside = np.einsum("vh,ehw,vw->ev", rows, maps, columns, optimize=True)
    return (inside / np.sqrt(np.maximum(area, 1e-6))).astype(np.float32)


def _coverage(start: np.ndarray, end: np.ndarray, cells: int) -> np.ndarray:
    """Shares of each of `cells` unit cells that [start, end) covers: [V] and [V] -> [V, cells]."""
    edges = np.arange(cells, dtype=np.float32)
    return np.clip(np.minimum(edges + 1, end[:, None]) - np.maximum(edges, start[:, None]), 0, 1)
