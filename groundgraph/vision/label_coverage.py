"""A detector made to know fewer categories, or to name them wrongly: the same regions and features, other labels.

What a teacher of labels is worth depends on how many of the captions' words the detector knows and how often it errs.
Both are set here, so that the dependence can be measured without training a detector for each.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.errors import InputError
from groundgraph.vision.detector import Detector


def category_order(categories: Sequence[str]) -> list[str]:
    """Categories in the order in which they are kept, by the CRC-32 of their names: an arbitrary draw, the same always.

    The first ten are thus among the first twenty of the same detector.
    """
    return sorted(categories, key=lambda name: (zlib.crc32(name.encode()), name))


class LabelCoverage:
    """Which of a detector's labels are left, and which become wrong.

    A region of a category that is not left has label -1, as one that the detector commits to none. Of the regions whose
    label is left, a share gets another one, any of the other categories left being as likely. Which do, and what they
    get, is drawn by seed and image; those that are wrong at some noise are wrong at any higher one too.

    Args:
        categories: The detector's own, in the order of its labels.
        known: How many of them are left, the first of `category_order`; or their names; None: all.
        noise: Share of the labels that are wrong, 0 to 1.
        seed: What the wrong ones are drawn by.

    Attributes:
        categories: Those left, which the new labels index, in the detector's order.

    Raises:
        InputError: `known` asks for more than the detector has, or for a name it does not have; or of one category left
            labels should be wrong.
    """

    def __init__(
        self, categories: Sequence[str], known: int | Sequence[str] | None = None, noise: float = 0.0, seed: int = 0
    ) -> None:
        if isinstance(known, int) and known > len(categories):
            raise InputError(f"detector.known_categories: {known}, but the detector has {len(categories)}; give fewer")
        kept = set(
            categories if known is None else category_order(categories)[:known] if isinstance(known, int) else known
        )
        if missing := sorted(kept - set(categories)):
            raise InputError(
                f"detector.known_categories: the detector has no category {missing[0]!r}; name some of its "
                f"{len(categories)}, as {', '.join(categories[:3])}"
            )
        self.categories = tuple(name for name in categories if name in kept)
        if noise and len(self.categories) < 2:
            raise InputError("detector.label_noise: a wrong label needs a second category; know two or more, or set 0")
        self.noise, self.seed = noise, seed
        # The last place is what label -1 reads.
        self._new_label = np.full(len(categories) + 1, -1, np.int64)
        places = [i for i, name in enumerate(categories) if name in kept]
        self._new_label[places] = np.arange(len(places))

    def labels(self, image_id: str, labels: np.ndarray) -> np.ndarray:
        """What an image's labels become: [V] int64, of [V]."""
        new = self._new_label[labels]
        if not self.noise:
            return new
        generator = np.random.default_rng([self.seed, zlib.crc32(image_id.encode(errors="surrogatepass"))])
        wrong = (generator.random(len(new)) < self.noise) & (new >= 0)
        further = generator.integers(1, len(self.categories), len(new))
        return np.where(wrong, (new + further) % len(self.categories), new)

    def regions(self, image_id: str, regions: Regions) -> Regions:
        """An image's regions with what their labels become."""
        return replace(regions, labels=self.labels(image_id, regions.labels))


class CoveredDetector:
    """A detector whose labels are what a `LabelCoverage` leaves of them."""

    def __init__(self, detector: Detector, coverage: LabelCoverage) -> None:
        self.detector, self.coverage = detector, coverage

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that the regions' labels index."""
        return self.coverage.categories

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`."""
        detected = self.detector.detect(examples, skipped)
        return [
            None if own is None else self.coverage.regions(example.image_id, own)
            for example, own in zip(examples, detected, strict=True)
        ]

    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """See `ImageDetector.pool`; an image's name is its place in this call."""
        pooled = self.detector.pool(images, boxes)
        return [self.coverage.regions(str(i), own) for i, own in enumerate(pooled)]
