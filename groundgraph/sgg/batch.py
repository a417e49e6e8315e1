"""What a scene-graph model takes and gives: padded tensors over a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from groundgraph.data.types import Regions
from groundgraph.errors import InputError

Unions = Callable[[int, np.ndarray], np.ndarray]
"""(image's place in the list of regions, its pairs [q, 2]) -> visual features of the boxes around both, [q, U]."""


@dataclass(frozen=True)
class Sizes:
    """The sizes that the data set the model by.

    features: D; detector_categories: size of the detector's own vocabulary; categories: C; predicates: P; unions: U,
    the size of a union box's visual feature, 0 where there is none (precomputed regions).
    """

    features: int
    detector_categories: int
    categories: int
    predicates: int
    unions: int = 0


@dataclass(frozen=True)
class Batch:
    """Regions of B images, padded to the V of the image that has most.

    features [B, V, D] float32, boxes [B, V, 4] float32 xyxy in pixels, labels [B, V] int64 of the detector (-1 none),
    scores [B, V] float32, mask [B, V] bool (True = a real region), sizes [B, 2] float32 (width, height) in pixels
    targets  [B, V] int64 in 0..C: labels that are known (training; PredCls), None where the model decodes them
    soft     [B, V, 1 + C] float32: the distributions of which targets are the likeliest labels, None where labels are
             hard
    pairs    [Q, 3] int64 (image, subject region, object region): the pairs to be scored
    unions   [Q, U] float32: the pairs' visual union features, None where the detector gives none
    """

    features: Tensor
    boxes: Tensor
    labels: Tensor
    scores: Tensor
    mask: Tensor
    sizes: Tensor
    targets: Tensor | None = None
    soft: Tensor | None = None
    pairs: Tensor | None = None
    unions: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: None if v is None else v.to(device, non_blocking=True) for k, v in moved.items()})


class Outputs(NamedTuple):
    """objects [B, V, 1 + C] and predicates [Q, 1 + P] are logits, column 0 = background; Q as in the batch's pairs."""

    objects: Tensor
    predicates: Tensor


def collate(
    regions: Sequence[Regions], targets: Sequence[np.ndarray] | None = None, soft: Sequence[np.ndarray] | None = None
) -> Batch:
    """Pad the regions of several images into one batch.

    targets are known labels [V] in 0..C, an array an image; soft, their distributions [V, 1 + C] where labels are soft.
    Raises InputError where an image has no region, the feature sizes differ, or targets do not fit their regions.
    """
    lengths = np.array([len(r) for r in regions])
    if not len(lengths) or not lengths.all():
        raise InputError("a batch needs images with at least one region each: leave the others out")
    widths = {r.features.shape[1] for r in regions}
    if len(widths) > 1:
        raise InputError(f"features of {sorted(widths)} dimensions in one data set: extract all with one detector")
    for known in (targets, soft):
        if known is not None and any(len(t) != n for t, n in zip(known, lengths, strict=True)):
            raise InputError("labels and regions of an image differ in number")
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
        soft=None if soft is None else padded(soft, np.float32),
    )


def with_pairs(batch: Batch, pairs: Tensor, images: Sequence[int], unions: Unions | None = None) -> Batch:
    """The batch with the pairs to be scored and, where `unions` gives them, their visual union features.

    pairs [Q, 3]; images: the place of each of the batch's images in the whole list. Raises InputError where `unions`
    gives an image another number of rows than it has pairs.
    """
    if unions is None:
        return replace(batch, pairs=pairs)
    order = pairs[:, 0].argsort(stable=True)
    counts = torch.bincount(pairs[:, 0], minlength=len(images)).tolist()
    parts = [part.cpu().numpy() for part in pairs[order, 1:].split(counts)]
    rows = [np.asarray(unions(int(i), part), np.float32) for i, part in zip(images, parts, strict=True) if len(part)]
    if [len(row) for row in rows] != [n for n in counts if n]:
        raise InputError("union features and pairs of an image differ in number")
    features = torch.from_numpy(np.concatenate(rows)) if rows else torch.zeros(0, 0)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return replace(batch, pairs=pairs, unions=features.to(pairs.device)[back])


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
