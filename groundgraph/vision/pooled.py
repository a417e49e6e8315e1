"""Another detector's regions with a backbone's features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from groundgraph.data.images import ImageError, open_image
from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.errors import InputError
from groundgraph.models.device import narrow
from groundgraph.vision.backbone import Backbone
from groundgraph.vision.detector import Detector, ImageDetector, usable
from groundgraph.vision.pooling import unnamed


class PooledDetector(ImageDetector):
    """Another detector's regions with a backbone's features, which given boxes can be pooled from as well."""

    def __init__(self, detector: Detector, backbone: Backbone) -> None:
        super().__init__(detector.categories)
        self.detector, self.backbone = detector, backbone
        if hasattr(detector, "expect"):
            self.expect = detector.expect  # see `FileDetector.expect`

    def narrow(self, dtype: torch.dtype) -> None:
        """See `ImageDetector.narrow`."""
        narrow(self.backbone.network, dtype)
        if isinstance(self.detector, ImageDetector):
            self.detector.narrow(dtype)

    def regions(self, images: Sequence[Image.Image]) -> list[Regions]:
        """See `ImageDetector.regions`. Raises InputError for regions from a file, which belong to examples."""
        if not isinstance(self.detector, ImageDetector):
            raise InputError(f"{type(self.detector).__name__} looks at no images; it has regions of listed ones only")
        return self._describe(images, self.detector.regions(images))

    def of_examples(self, examples: Sequence[Example], images: Sequence[Image.Image]) -> list[Regions]:
        """See `ImageDetector.of_examples`."""
        return self._describe(images, self.detector.of_examples(examples, images))

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`; regions from a file are kept where their image can be opened."""
        if isinstance(self.detector, ImageDetector):
            self.batch_size = self.detector.batch_size
            return super().detect(examples, skipped)
        kept: list[Regions | None] = []
        for start in range(0, len(examples), self.batch_size):
            part = examples[start : start + self.batch_size]
            detected = self.detector.detect(part, skipped)
            images: dict[int, Image.Image] = {}
            for number, (example, regions) in enumerate(zip(part, detected, strict=True)):
                try:
                    if regions is not None:
                        images[number] = open_image(example.path)
                except ImageError as error:
                    skipped.add(example.image_id, str(error))
            described = self._describe(list(images.values()), [detected[number] for number in images])
            by_number = dict(zip(images, described, strict=True))
            for number, example in enumerate(part):
                kept.append(usable(by_number[number], example, skipped) if number in by_number else None)
        return kept

    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """See `ImageDetector.pool`; no labels and scores 1 where the detector has none for given boxes."""
        boxes = [np.asarray(b, np.float32).reshape(-1, 4) for b in boxes]
        try:
            regions = self.detector.pool(images, boxes)
        except (AttributeError, ValueError):
            regions = [unnamed(b, image.size) for b, image in zip(boxes, images, strict=True)]
        return self._describe(images, regions)

    def _describe(self, images: Sequence[Image.Image], regions: Sequence[Regions]) -> list[Regions]:
        features = self.backbone.features(images, [r.boxes for r in regions])
        return [Regions(r.boxes, r.labels, r.scores, f, r.size) for r, f in zip(regions, features, strict=True)]
