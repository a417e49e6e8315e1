"""The annotated boxes as regions, for data without pictures: what is where is given, what relates to what is not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from groundgraph.data.images import ImageError, image_size
from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.vision.detector import usable


class AnnotatedBoxes:
    """An image's annotated boxes with their categories and score 1, in an order that says nothing.

    The order is drawn anew for each image, by its id, so that the order of the annotation, which its relations give,
    is lost. No feature is there (`named.NamedDetector` adds them).

    Args:
        count: How many are kept of an image, the first drawn; None: all.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self._names: set[str] = set()

    @classmethod
    def load(cls, source: str, *, device: torch.device | None = None, count: int | None = None) -> AnnotatedBoxes:
        """It reads nothing: the boxes are the examples'."""
        return cls(count)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of all examples that were expected, in the order of the alphabet."""
        return tuple(sorted(self._names))

    def expect(self, examples: Iterable[Example]) -> None:
        """Take note of the categories of images that will be asked for."""
        for example in examples:
            if example.truth is not None:
                self._names.update(example.truth.labels)

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`; an image without an annotated box is skipped and recorded."""
        self.expect(examples)
        place = {name: number for number, name in enumerate(self.categories)}
        return [self._regions(example, place, skipped) for example in examples]

    def _regions(self, example: Example, place: dict[str, int], skipped: Skipped) -> Regions | None:
        truth = example.truth
        if truth is None or not truth.labels:
            skipped.add(example.image_id, "no annotated box: kind annotated proposes those of the data's own images")
            return None
        try:
            size = example.size or image_size(example.path)
        except ImageError as error:
            skipped.add(example.image_id, str(error))
            return None
        seed = int.from_bytes(hashlib.sha256(example.image_id.encode("utf-8", "backslashreplace")).digest()[:8])
        order = np.random.default_rng(seed).permutation(len(truth.labels))[: self.count]
        labels = np.array([place[label] for label in truth.labels], np.int64)[order]
        boxes = np.asarray(truth.boxes, np.float32)[order]
        none = np.zeros((len(order), 0), np.float32)
        return usable(Regions(boxes, labels, np.ones(len(order), np.float32), none, size), example, skipped)
