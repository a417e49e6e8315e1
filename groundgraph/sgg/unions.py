"""The detector's features of the boxes around pairs, which `union: visual` adds (the published Neural Motifs)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from PIL import Image
from pydantic import BaseModel

from groundgraph.data.images import open_image
from groundgraph.data.types import Example, Regions


class PoolingDetector(Protocol):
    """A detector that can pool given boxes, see `vision.detector.ImageDetector.pool`."""

    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """Regions for given boxes [V, 4] of each image."""


class UnionFeatures:
    """`batch.Unions` of a list of images: each is opened and looked at when its pairs are asked for.

    Args:
        detector: The one that described the regions, frozen.
        examples: The images.
        regions: Of each image.
    """

    def __init__(self, detector: PoolingDetector, examples: Sequence[Example], regions: Sequence[Regions]) -> None:
        self.detector, self.examples, self.regions = detector, examples, regions

    def __call__(self, images: Sequence[int], pairs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Features [q, U] of the boxes around the pairs [q, 2] of each image.

        Args:
            images: Places in the list.
            pairs: Subject and object regions of each image; both directions of a pair are pooled once.
        """
        around, rows = [], []
        for place, ends in zip(images, pairs, strict=True):
            subject, object_ = (self.regions[place].boxes[end] for end in ends.T)
            boxes = np.concatenate([np.minimum(subject, object_)[:, :2], np.maximum(subject, object_)[:, 2:]], 1)
            unique, inverse = np.unique(boxes, axis=0, return_inverse=True)
            around.append(unique)
            rows.append(inverse.reshape(-1))
        pictures = [open_image(self.examples[place].path) for place in images]
        pooled = self.detector.pool(pictures, around)
        return [regions.features[row] for regions, row in zip(pooled, rows, strict=True)]

    @property
    def width(self) -> int:
        """U; 0 where no image has a region."""
        place = next((i for i, regions in enumerate(self.regions) if len(regions)), None)
        return 0 if place is None else self([place], [np.zeros((1, 2), np.int64)])[0].shape[1]


UnionsOf = Callable[[Sequence[Example], Sequence[Regions]], UnionFeatures | None]
"""(images, the regions of each) -> the features of their union boxes, or None for a model that asks for none."""


def no_unions(images: Sequence[Example], regions: Sequence[Regions]) -> None:
    """What a model that asks for no union features is given."""


def reads_unions(config: BaseModel) -> bool:
    """Whether a scene-graph model of a configuration reads union features: `union: visual`."""
    return getattr(config, "union", None) == "visual"


def union_features(config: BaseModel, load: Callable[[], PoolingDetector]) -> UnionsOf:
    """What gives a model the union features of some images.

    Args:
        config: The model's.
        load: Gives the detector; called once, where the model reads union features.
    """
    return partial(UnionFeatures, load()) if reads_unions(config) else no_unions
