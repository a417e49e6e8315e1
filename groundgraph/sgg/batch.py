"""What a scene-graph model takes and gives: padded tensors over a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from groundgraph.data.types import Regions
from groundgraph.errors import InputError

Unions = Callable[[Sequence[int], Sequence[np.ndarray]], Sequence[np.ndarray]]
"""(places of images in a list, the pairs [q, 2] of each) -> features of the boxes around both, [q, U] of each image."""


@dataclass(frozen=True)
class Sizes:
    """The sizes that the data set the model by.

    Attributes:
        features: D, of a region.
        detector_categories: Size of the detector's own vocabulary.
        categories: C, without the background.
        predicates: P, without the background.
        unions: U, of a union box's visual feature; 0 where there is none.
        text: d, of a name's text feature, for open heads; 0: closed ones.
        start: Whether object logits start from the detector's answer.
        views: e, how many of a region's features, the last ones, are an image-text model's of the region's crop, which
            then judges the names that no category of the detector goes by; 0: none.
        prior: Whether what a language model expects between two labels is added to predicate logits.
        words: Width of the embeddings that a system's names begin as; 0: another kind of model.
    """

    features: int
    detector_categories: int
    categories: int
    predicates: int
    unions: int = 0
    text: int = 0
    start: bool = False
    views: int = 0
    prior: bool = False
    words: int = 0


@dataclass(frozen=True)
class Batch:
    """Regions of B images, padded to the V of the image that has most.

    Attributes:
        features: [B, V, D] float32.
        boxes: [B, V, 4] float32 xyxy in pixels.
        labels: [B, V] int64 of the detector, -1 = none.
        scores: [B, V] float32 of the detector.
        mask: [B, V] bool, True = a real region.
        sizes: [B, 2] float32, width and height in pixels.
        targets: [B, V] int64 in 0..C, labels that are known (training; PredCls); None where the model decodes them.
        soft: [B, V, 1 + C] float32, the distributions of which targets are the likeliest; None where labels are hard.
        pairs: [Q, 3] int64 (image, subject region, object region), the pairs to be scored.
        unions: [Q, U] float32, the pairs' visual union features; None where no model asks for them.
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
        """The same on another device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return replace(self, **{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})


class Outputs(NamedTuple):
    """Logits, column 0 = background.

    Attributes:
        objects: [B, V, 1 + C].
        predicates: [Q, 1 + P], in the order of the batch's pairs.
        detected: Distributions [B, V, 1 + C], what the detector says of the objects; None where logits do not start
            from that.
        doubt: [B, V, 1 + C], how much of a label is not believed, since the detector says otherwise; None: nothing.
        own: [B, V, 1 + C] bool, the names whose probability together is the detector's score; None: of none.
    """

    objects: Tensor
    predicates: Tensor
    detected: Tensor | None = None
    doubt: Tensor | None = None
    own: Tensor | None = None


class SggModel(nn.Module):
    """What a scene-graph model is: built from (sizes, an instance of its Config), with forward(Batch) -> Outputs.

    Attributes:
        name: As a recipe has it.
        Config: Pydantic model of its choices.
        sizes: Of the data that it was built for.
        config: Its choices.
    """

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    def __init__(self, sizes: Sizes, config: Any) -> None:
        super().__init__()
        self.sizes, self.config = sizes, config


def collate(
    regions: Sequence[Regions], targets: Sequence[np.ndarray] | None = None, soft: Sequence[np.ndarray] | None = None
) -> Batch:
    """Pad the regions of several images into one batch.

    Args:
        regions: Of each image.
        targets: Known labels [V] in 0..C of each image.
        soft: Their distributions [V, 1 + C], where labels are soft.

    Returns:
        A batch without pairs.

    Raises:
        InputError: An image has no region, the feature sizes differ, or labels do not fit their regions.
    """
    lengths = np.array([len(r) for r in regions])
    if not len(lengths) or not lengths.all():
        raise InputError("a batch needs images with at least one region each: leave the others out")
    widths = {r.features.shape[1] for r in regions}
    if len(widths) > 1:
        raise InputError(f"features of {sorted(widths)} dimensions in one data set: extract all with one detector")
    for labels in (targets, soft):
        if labels is not None and any(len(rows) != n for rows, n in zip(labels, lengths, strict=True)):
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

    Args:
        batch: Of some images.
        pairs: [Q, 3] int64, in any order.
        images: The place of each of the batch's images in the list that `unions` knows.
        unions: See `Unions`.

    Raises:
        InputError: `unions` gives an image another number of rows than it has pairs.
    """
    if unions is None:
        return replace(batch, pairs=pairs)
    order = pairs[:, 0].argsort(stable=True)
    counts = torch.bincount(pairs[:, 0], minlength=len(images)).tolist()
    parts = [part.cpu().numpy() for part in pairs[order, 1:].split(counts)]
    paired = [(int(image), part) for image, part in zip(images, parts, strict=True) if len(part)]
    rows = [np.asarray(r, np.float32) for r in unions([i for i, _ in paired], [p for _, p in paired])] if paired else []
    if [len(row) for row in rows] != [len(part) for _, part in paired]:
        raise InputError("union features and pairs of an image differ in number")
    features = torch.from_numpy(np.concatenate(rows)) if rows else torch.zeros(0, 0)
    return replace(batch, pairs=pairs, unions=features.to(pairs.device)[order.argsort()])


def overlaps(boxes: Tensor) -> Tensor:
    """IoU of every two boxes of an image: [B, V, 4] -> [B, V, V], nan between padded boxes."""
    from torchvision.ops import box_iou  # takes seconds to import, and who reads a recipe needs only configurations

    return torch.vmap(box_iou)(boxes, boxes)  # older torchvisions' takes one image


def ordered_pairs(batch: Batch, overlapping: bool = False) -> Tensor:
    """Every ordered pair of two real regions of an image.

    Args:
        batch: Of the regions.
        overlapping: Only pairs whose boxes overlap, as VG150's evaluation has it.

    Returns:
        [Q, 3] int64 (image, subject, object), image after image.
    """
    allowed = batch.mask[:, :, None] & batch.mask[:, None]
    allowed &= ~torch.eye(allowed.shape[1], dtype=torch.bool, device=allowed.device)
    if overlapping:
        allowed &= overlaps(batch.boxes) > 0
    return allowed.nonzero()
