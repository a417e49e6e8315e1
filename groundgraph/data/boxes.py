"""Boxes from files, made sure of before anything is measured against them or learned from them.

A box is xyxy in pixels of the upright picture. Files have boxes of other frames: of the picture as it is stored, where
EXIF turns it; of a picture of another size; shares of 0..1; and boxes that are none.
"""

from __future__ import annotations

import numpy as np

from groundgraph.data.images import SIDEWAYS
from groundgraph.errors import InputError

BEYOND = 0.05  # how far a box may reach beyond its picture, as a share of that side: detectors and people round
Size = tuple[float, float]


def sound(boxes: np.ndarray) -> np.ndarray:
    """[N] bool: which of the boxes [N, 4] are numbers and have an area."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1))


def shared_area(first: np.ndarray, second: np.ndarray, *, inclusive: bool = False) -> np.ndarray:
    """Area of the rectangle that two boxes share.

    Args:
        first: Boxes, [..., 4] xyxy; for every two of [A, 4] and [B, 4] give first[:, None] and second.
        second: Boxes of a shape that broadcasts with it.
        inclusive: x2 and y2 are the last pixels of a box, whose sides are x2 - x1 + 1; else the sides are x2 - x1.

    Returns:
        Square pixels, [...], in the boxes' dtype; 0 where they do not meet.
    """
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    return np.clip(sides + first.dtype.type(inclusive), 0, None).prod(-1)


def box_iou(first: np.ndarray, second: np.ndarray, *, inclusive: bool = False) -> np.ndarray:
    """Intersection over union of boxes; the arguments are those of `shared_area`.

    Returns:
        IoU in 0..1, [...], in the boxes' dtype; 0 for a box that is turned inside out.
    """
    shared = shared_area(first, second, inclusive=inclusive)
    areas = [shared_area(boxes, boxes, inclusive=inclusive) for boxes in (first, second)]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)


def inside(boxes: np.ndarray, size: Size | np.ndarray) -> np.ndarray:
    """[N] bool: which of the boxes [N, 4] lie in a picture of `size` (width, height) pixels, give or take `BEYOND`.

    size may be [N, 2], a picture's for each box.
    """
    boxes, sides = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(size, np.float64)
    spare = np.maximum(2, BEYOND * sides)
    with np.errstate(invalid="ignore"):
        return np.asarray((boxes[:, :2] >= -spare).all(1) & (boxes[:, 2:] <= sides + spare).all(1))


def shares(boxes: np.ndarray) -> bool:
    """Whether boxes [N, 4] can only be shares of the picture: all within 0..1, where pixels are meant."""
    boxes = np.asarray(boxes, np.float64)
    return bool(boxes.size) and bool(((boxes >= 0) & (boxes <= 1)).all())


def upright(boxes: np.ndarray, frame: Size | None, size: Size, orientation: int = 1) -> np.ndarray:
    """Boxes in pixels of a picture's `frame`, in pixels of the same picture upright: turned and scaled with it.

    Args:
        boxes: [N, 4] xyxy.
        frame: (width, height) of the picture that the boxes belong to; (1, 1): they are shares; None: not known.
        size: (width, height) of the upright picture, in pixels.
        orientation: The picture's EXIF orientation, 1..8.

    Raises:
        InputError: The frame cannot be this picture's, or it is not certain whether boxes are to be turned.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    stored = (size[1], size[0]) if orientation in SIDEWAYS else (size[0], size[1])
    if frame is None:
        good = boxes[sound(boxes)]
        fits = [frame for frame in dict.fromkeys((size, stored)) if inside(good, frame).all()]
        if not fits:
            fits = [size] if orientation == 1 else []  # the boxes that reach beyond are the caller's to leave out
    else:
        fits = [one for one in dict.fromkeys((size, stored)) if frame == (1, 1) or alike(frame, one)]
        if not fits:
            raise InputError(f"annotated in a frame of {_shape(frame)} pixels, the upright image has {_shape(size)}")
    if orientation != 1 and (len(fits) != 1 or stored == size):
        raise InputError(
            f"its EXIF turns the image (orientation {orientation}), and nothing says whether its boxes are turned with "
            "it; save the image upright"
        )
    turned = fits[0] != size
    frame = frame or fits[0]
    scaled = boxes * np.array([fits[0][0] / frame[0], fits[0][1] / frame[1]] * 2)
    return _turned(scaled, stored, orientation) if turned else scaled


def alike(frame: Size, size: Size) -> bool:
    """Whether a frame has the shape of a picture, which may have been scaled since: to a pixel, or 1 in 100."""
    if not (np.isfinite(frame).all() and min(frame) > 0):
        return False
    ratio = frame[0] / frame[1] * size[1] / size[0]
    spare = max(0.01, 1 / min(*frame, *size))
    return 1 / (1 + spare) <= ratio <= 1 + spare


def _shape(size: Size) -> str:
    return f"{size[0]:g} x {size[1]:g}"


def _turned(boxes: np.ndarray, stored: Size, orientation: int) -> np.ndarray:
    """Boxes of the stored picture as EXIF turns it."""
    x1, y1, x2, y2 = boxes.T
    if orientation in (6, 7):  # its bottom comes to stand left
        y1, y2 = stored[1] - y2, stored[1] - y1
    if orientation in (7, 8):  # its right side comes to stand on top
        x1, x2 = stored[0] - x2, stored[0] - x1
    return np.stack([y1, x1, y2, x2], 1)
