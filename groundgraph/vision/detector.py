"""What a detector is: images in, `Regions` out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from groundgraph.data.images import ImageError
from groundgraph.data.read_ahead import ReadAhead
from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.errors import InputError


class Detector(Protocol):
    """Anything that proposes regions for examples."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that `Regions.labels` index."""
        ...

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """Return the regions of each example, None for one that was skipped (and recorded in `skipped`)."""
        ...


class ExpectingDetector(Detector, Protocol):
    """A detector that is told first which images it will be asked for."""

    def expect(self, examples: Iterable[Example]) -> None:
        """Take note of images that will be asked for."""


class ImageDetector(ABC):
    """A detector that looks at the images; what is new in one is `regions` alone.

    Attributes:
        batch_size: Images that go through the network at once.
        pools_own_map: Whether `load` takes `pooled`: features from the network's own feature map.
        pools_boxes: Whether `pool` works without that.
        pictures: Opens the images.
    """

    batch_size = 16
    pools_own_map = False
    pools_boxes = False

    def __init__(self, categories: Sequence[str]) -> None:
        self._categories = tuple(categories)
        self.pictures = ReadAhead()

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that the regions' labels index."""
        return self._categories

    @abstractmethod
    def regions(self, images: Sequence[Image.Image]) -> list[Regions]:
        """Return the regions of each image, best first; any number of images, any sizes."""

    def of_examples(self, examples: Sequence[Example], images: Sequence[Image.Image]) -> list[Regions]:
        """Return what `regions` does, for a detector that has to know whose images they are."""
        return self.regions(images)

    def in_batches(
        self, images: Sequence[Image.Image], detect: Callable[[Sequence[Image.Image]], list[Regions]]
    ) -> list[Regions]:
        """Return what `detect` gives of each image, `batch_size` images at a time."""
        starts = range(0, len(images), self.batch_size)
        return [regions for start in starts for regions in detect(images[start : start + self.batch_size])]

    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """Return regions for boxes of each image, in the boxes' order: what PredCls and SGCls need.

        Args:
            images: B pictures.
            boxes: B times [V, 4] xyxy in pixels.

        Raises:
            InputError: The detector has no features of boxes other than its own.
        """
        raise InputError(
            f"{type(self).__name__} has features only for the regions it finds itself; predicate classification and "
            "scene graph classification need a detector that can pool given boxes: use kind torchvision, or give the "
            "option features a backbone"
        )

    def narrow(self, dtype: torch.dtype) -> None:  # noqa: B027 (a detector without a network has nothing to do)
        """Compute in `dtype` what bears it, for a network that can; boxes, scores and features stay float32."""

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`; the images are opened in batches, a broken or missing one is skipped."""
        detected: list[Regions | None] = []
        self.pictures.expect([example.path for example in examples])
        for start in range(0, len(examples), self.batch_size):
            part = examples[start : start + self.batch_size]
            images = [_open(example, skipped, self.pictures) for example in part]
            readable = [(e, image) for e, image in zip(part, images, strict=True) if image is not None]
            regions = iter(self.of_examples([e for e, _ in readable], [image for _, image in readable]))
            detected += [None if image is None else next(regions) for image in images]
        return [
            None if regions is None else usable(regions, example, skipped)
            for regions, example in zip(detected, examples, strict=True)
        ]


MAX_ASPECT = 50  # a longer strip is no photo, and shrinks to nothing in a network's input


def _open(example: Example, skipped: Skipped, pictures: ReadAhead) -> Image.Image | None:
    try:
        image = pictures.open(example.path)
    except ImageError as error:
        skipped.add(example.image_id, str(error))
        return None
    if max(image.size) > MAX_ASPECT * min(image.size):
        skipped.add(example.image_id, f"{example.path}: a strip of {image.width} x {image.height} pixels; leave it out")
        return None
    return image


def usable(regions: Regions, example: Example, skipped: Skipped) -> Regions | None:
    """Return the regions that have an area and numbers for features and score; None if there are none.

    What is left out is recorded in `skipped`. A box narrower or lower than one pixel has no area.
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
