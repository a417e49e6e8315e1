"""What a detector is, and the list of them: images in, `Regions` out."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from groundgraph.data.images import ImageError, open_image
from groundgraph.data.types import Example, Regions, Skipped


class Detector(Protocol):
    """Anything that proposes regions for examples.

    categories  names that `Regions.labels` index
    detect      one `Regions` an example, None for one that was skipped (and recorded)
    """

    @property
    def categories(self) -> tuple[str, ...]: ...

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]: ...


class ImageDetector(ABC):
    """A detector that looks at the images; what is new in one is `regions` alone.

    batch  images that go through the network at once
    """

    batch = 16

    def __init__(self, categories: Sequence[str]) -> None:
        self._categories = tuple(categories)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that the regions' labels index."""
        return self._categories

    @abstractmethod
    def regions(self, images: Sequence[Image.Image]) -> list[Regions]:
        """The regions of each image, best first; any number of images, any sizes."""

    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """Regions for given boxes [V, 4] of each image, in the given order: what PredCls and SGCls need.

        Raises ValueError where a detector has no features of boxes other than its own.
        """
        raise ValueError(
            f"{type(self).__name__} has features only for the regions it finds itself; predicate classification and "
            "scene graph classification need a detector that can pool given boxes: use kind torchvision"
        )

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """Opens the images in batches; a broken or missing one is skipped and recorded, None in the answer."""
        found: list[Regions | None] = []
        for start in range(0, len(examples), self.batch):
            part = examples[start : start + self.batch]
            images = [_open(example, skipped) for example in part]
            regions = iter(self.regions([image for image in images if image is not None]))
            found += [None if image is None else next(regions) for image in images]
        return [
            None if regions is None else usable(regions, example, skipped)
            for regions, example in zip(found, examples, strict=True)
        ]


def _open(example: Example, skipped: Skipped) -> Image.Image | None:
    try:
        return open_image(example.path)
    except ImageError as error:
        skipped.add(example.image_id, str(error))
        return None


def usable(regions: Regions, example: Example, skipped: Skipped) -> Regions | None:
    """The regions without those of a degenerate box or a feature or score that is no number (recorded); None if none.

    A box narrower or lower than one pixel is degenerate.
    """
    sides = regions.boxes[:, 2:] - regions.boxes[:, :2]
    good = np.isfinite(regions.features).all(1) & np.isfinite(regions.scores) & (sides >= 1).all(1)
    if not good.all():
        skipped.add(example.image_id, f"{int((~good).sum())} regions without area or with features that are no numbers")
        arrays = (regions.boxes, regions.labels, regions.scores, regions.features)
        regions = Regions(*(array[good] for array in arrays), size=regions.size)
    if len(regions) == 0:
        skipped.add(example.image_id, f"no usable region in {example.path}")
        return None
    return regions


# kind -> where its class is; imported only when asked for, since each brings its own large library.
KINDS = {
    "torchvision": "groundgraph.vision.torchvision_detector:TorchvisionDetector",
    "transformers": "groundgraph.vision.transformers_detector:TransformersDetector",
    "precomputed": "groundgraph.vision.precomputed:PrecomputedRegions",
}


def load_detector(kind: str, source: str, **options) -> Detector:
    """The detector of a kind from its source: a folder, a hub id, a model's name or a file of regions.

    options go to its `load`: count (regions an image), device. Raises ValueError on an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no detector of kind {kind!r}: choose one of {', '.join(KINDS)}")
    module, name = KINDS[kind].split(":")
    return getattr(importlib.import_module(module), name).load(source, **options)
