"""How two boxes lie to each other, as numbers that a network reads."""

from __future__ import annotations

import torch
from torch import Tensor

PAIR_GEOMETRY = 15  # numbers of `pair_geometry`


def pair_geometry(subject: Tensor, object_: Tensor, sizes: Tensor | None = None) -> Tensor:
    """How two boxes lie to each other.

    In units of the union box: the four corner offsets, the subject's sides, the object's sides; the log ratios of their
    sides; IoU, and the share of each that lies in the other; the union's sides in fractions of the image.

    Args:
        subject: [..., 4] xyxy.
        object_: [..., 4], of a shape that broadcasts with it.
        sizes: [..., 2], width and height of the images; None: the boxes are in shares of them.

    Returns:
        [..., 15], all within about -4..4.
    """
    low, high = torch.minimum(subject, object_), torch.maximum(subject, object_)
    union = (high[..., 2:] - low[..., :2]).clamp(min=1e-3)
    sides = [(b[..., 2:] - b[..., :2]).clamp(min=1e-3).expand_as(union) for b in (subject, object_)]
    shared = (low[..., 2:] - high[..., :2]).clamp(min=0).prod(-1, keepdim=True)
    areas = [s.prod(-1, keepdim=True) for s in sides]
    return torch.cat(
        [
            (object_ - subject) / union.repeat(*[1] * (union.ndim - 1), 2),
            sides[0] / union,
            sides[1] / union,
            (sides[1] / sides[0]).log(),
            shared / (areas[0] + areas[1] - shared),
            shared / areas[0],
            shared / areas[1],
            union if sizes is None else union / sizes,
        ],
        -1,
    )
