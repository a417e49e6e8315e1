"""What a scene-graph model takes and gives: padded tensors over a batch of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from groundgraph.data.types import Regions


@dataclass(frozen=True)
class Sizes:
    """The sizes that the data set the model by.

    features: D; detector_categories: size of the detector's own vocabulary; categories: C; predicates: P.
    """

    features: int
    detector_categories: int
    categories: int
    predicates: int


@dataclass(frozen=True)
class Batch:
    """Regions of B images, padded to the V of the image that has most.

    features [B, V, D] float32, boxes [B, V, 4] float32 xyxy in pixels, labels [B, V] int64 of the detector (-1 none),
    scores [B, V] float32, mask [B, V] bool (True = a real region), sizes [B, 2] float32 (width, height) in pixels
    targets  [B, V] int64 in 0..C: labels that are known (training; given boxes), None where the model decodes them
    pairs    [Q, 3] int64 (image, subject region, object region): the pairs to be scored
    """

    features: Tensor
    boxes: Tensor
    labels: Tensor
    scores: Tensor
    mask: Tensor
    sizes: Tensor
    targets: Tensor | None = None
    pairs: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: None if v is None else v.to(device, non_blocking=True) for k, v in moved.items()})


class Outputs(NamedTuple):
    """objects [B, V, 1 + C] and predicates [Q, 1 + P] are logits, column 0 = background; Q as in the batch's pairs."""

    objects: Tensor
    predicates: Tensor


def collate(regions: Sequence[Regions], targets: Sequence[np.ndarray] | None = None) -> Batch:
    """Pad the regions of several images into one batch; `targets` are known labels [V] in 0..C, an array an image.

    Raises ValueError where an image has no region, the feature sizes differ, or targets do not fit their regions.
    """
    lengths = np.array([len(r) for r in regions])
    if not len(lengths) or not lengths.all():
        raise ValueError("a batch needs images with at least one region each: leave the others out")
    widths = {r.features.shape[1] for r in regions}
    if len(widths) > 1:
        raise ValueError(f"features of {sorted(widths)} dimensions in one data set: extract all with one detector")
    if targets is not None and any(len(t) != n for t, n in zip(targets, lengths, strict=True)):
        raise ValueError("labels and regions of an image differ in number")
    mask = np.arange(lengths.max())[None] < lengths[:, None]

    def padded(parts: Sequence[np.ndarray], dtype: type, fill: float = 0) -> Tensor:
        rows = np.concatenate([np.asarray(part, dtype) for part in parts])
        out = np.full((*mask.shape, *rows.shape[1:]), fill, dtype)
        out[mask] = rows
        return torch.from_numpy(out)

    return Batch(
        features=padded([r.features for r in regions], np.float32),
        boxes=padded([r.boxes for r in regions], np.float32),
        labels=padded([r.labels for r in regions], np.int64, -1),
        scores=padded([r.scores for r in regions], np.float32),
        mask=torch.from_numpy(mask),
        sizes=torch.tensor([r.size for r in regions], dtype=torch.float32),
        targets=None if targets is None else padded(targets, np.int64),
    )


def box_iou(boxes: Tensor) -> Tensor:
    """IoU of every two boxes of an image, sides x2 - x1: [B, V, 4] -> [B, V, V]."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    return shared / (area[:, :, None] + area[:, None] - shared).clamp(min=1e-6)


def ordered_pairs(batch: Batch, overlapping: bool = False) -> Tensor:
    """Every ordered pair of two real regions of an image: [Q, 3] (image, subject, object), image after image.

    overlapping  only pairs whose boxes overlap, as VG150's evaluation has it
    """
    allowed = batch.mask[:, :, None] & batch.mask[:, None]
    allowed &= ~torch.eye(allowed.shape[1], dtype=torch.bool, device=allowed.device)
    if overlapping:
        allowed &= box_iou(batch.boxes) > 0
    return allowed.nonzero()
