"""Can boxes be what they are read as: corners [x1, y1, x2, y2] in pixels of their pictures?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from groundgraph.data.boxes import BEYOND
from groundgraph.data.graph_arrays import owners
from groundgraph.errors import InputError

_MANY = 0.1  # from this share of all boxes on, wrong ones are the file's form and no slip
_FARTHEST = 1e7  # pixels; beyond, float32 tells no two apart


def box_notes(
    boxes: np.ndarray, offsets: np.ndarray, images: Sequence[str], sizes: np.ndarray | None, where: str
) -> list[str]:
    """What is odd about a side's boxes, as notes.

    Args:
        boxes: [B, 4] float32, xyxy in pixels.
        offsets: [N + 1]; image i has rows offsets[i] to offsets[i + 1].
        images: N names.
        sizes: [N, 2] float (width, height) of the pictures in pixels, nan where unknown; None: none is known.
        where: The file's name.

    Raises:
        InputError: Boxes can only be shares of 0..1, [x, y, width, height], or of pictures of another size.
    """
    if not len(boxes):
        return []
    image = owners(offsets)

    def sentence(rows: np.ndarray, fault: str) -> str:
        first = int(np.flatnonzero(rows)[0])
        box = ", ".join(f"{value:g}" for value in boxes[first].tolist())
        return (
            f"{rows.sum()} of {len(boxes)} boxes of {where} {fault}, such as [{box}] of image {images[image[first]]!r}"
        )

    far = (np.abs(boxes) > _FARTHEST).any(1)
    if far.any():
        raise InputError(f"{sentence(far, 'lie beyond any picture')}; give pixels")
    if boxes.min() >= -0.5 and boxes.max() <= 1.5:
        raise InputError(f"{where}: boxes are all within 0..1, which are shares of the picture; give pixels")
    notes = []
    pixels = np.bincount(image[(boxes > 1).any(1)], minlength=len(images)) > 0
    if not pixels[image].all():
        notes.append(f"{sentence(~pixels[image], 'lie within 0..1 with all others of their image')}: give pixels")
    inverted = (boxes[:, 2:] < boxes[:, :2]).any(1)
    flat = (boxes[:, 2:] <= boxes[:, :2]).any(1) & boxes.any(1)  # rows of zeros fill tables up
    if inverted.any() and flat.mean() > _MANY:
        raise InputError(
            f"{sentence(inverted, 'end before they begin')}; boxes are corners, [x1, y1, x2, y2], not [x, y, width, "
            "height]"
        )
    if inverted.any():
        notes.append(f"{sentence(inverted, 'end before they begin')}: they match nothing")
    if (flat & ~inverted).any():
        notes.append(sentence(flat & ~inverted, "are a pixel wide or high"))
    if sizes is not None:
        sides = sizes[image]
        spare = np.maximum(2, BEYOND * sides)
        outside = ((boxes[:, :2] < -spare) | (boxes[:, 2:] > sides + spare)).any(1)
        sized = np.isfinite(sides).all(1)
        if outside.sum() > _MANY * sized.sum():
            raise InputError(f"{sentence(outside, 'reach beyond their picture')}; give pixels of the picture listed")
        if outside.any():
            notes.append(sentence(outside, "reach beyond their picture"))
    return notes


def known_sizes(
    predicted: np.ndarray | None, true: np.ndarray | None, images: Sequence[str], where: tuple[str, str]
) -> np.ndarray | None:
    """The pictures' sizes [N, 2] from both sides', nan where neither knows one.

    Raises:
        InputError: They differ: its boxes are then of two frames; names the files (`where`: predictions', truth's) and
            an image.
    """
    if predicted is None or true is None:
        return predicted if true is None else true
    apart = (np.abs(predicted - true) > 1).any(1)
    if apart.any():
        first = int(np.flatnonzero(apart)[0])
        ours, theirs = (" x ".join(f"{v:g}" for v in side[first].tolist()) for side in (predicted, true))
        raise InputError(
            f"{apart.sum()} images have another size in {where[0]} than in {where[1]}, such as {images[first]!r}: "
            f"{ours} and {theirs} pixels; give both sides' boxes in pixels of one picture"
        )
    return np.where(np.isfinite(true), true, predicted)
