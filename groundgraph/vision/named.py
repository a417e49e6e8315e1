"""Regions without features of their own, described by their category's name and by where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from groundgraph.data.images import image_size
from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.language.encoder import TextEncoder
from groundgraph.vision.detector import ExpectingDetector


class NamedDetector:
    """A proposer's regions with features: the embedding of the category's name, then `box_place`.

    A region without a category has zeros for the embedding.

    Args:
        proposer: Gives the regions, with features [V, 0].
        encoder: Embeds the names.
    """

    def __init__(self, proposer: ExpectingDetector, encoder: TextEncoder) -> None:
        self.proposer, self.encoder = proposer, encoder
        self._embedded: dict[str, np.ndarray] = {}

    @property
    def categories(self) -> tuple[str, ...]:
        """The proposer's."""
        return self.proposer.categories

    def expect(self, examples: Iterable[Example]) -> None:
        """See `ExpectingDetector`."""
        self.proposer.expect(examples)

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`."""
        proposed = self.proposer.detect(examples, skipped)
        return [None if regions is None else self.describe(regions, self.categories) for regions in proposed]

    def describe(self, regions: Regions, categories: Sequence[str]) -> Regions:
        """Regions with their features [V, D + 8].

        Args:
            regions: Boxes and labels; whatever features they have are replaced.
            categories: Names that the labels index.
        """
        table = np.concatenate([self._table(categories), np.zeros((1, self.encoder.size), np.float32)])  # -1: none
        place = box_place(regions.boxes, regions.size)
        return replace(regions, features=np.concatenate([table[regions.labels], place], 1))

    def box_regions(
        self,
        examples: Sequence[Example],
        boxes: Sequence[np.ndarray],
        names: Sequence[Sequence[str]],
        categories: Sequence[str],
    ) -> list[Regions]:
        """Boxes as regions with score 1, whoever gave them.

        Args:
            examples: B images.
            boxes: Of each, [V, 4] xyxy in pixels.
            names: Of each, V categories; one that the detector does not know is none to it.
            categories: Names that the detector's labels index.
        """
        place = {name: number for number, name in enumerate(categories)}
        regions = []
        for example, own, own_names in zip(examples, boxes, names, strict=True):
            labels = np.array([place.get(name, -1) for name in own_names], np.int64)
            scores, none = np.ones(len(own), np.float32), np.zeros((len(own), 0), np.float32)
            size = example.size or image_size(example.path)
            regions.append(self.describe(Regions(own, labels, scores, none, size), categories))
        return regions

    def _table(self, names: Sequence[str]) -> np.ndarray:
        """The names' embeddings, each read by itself once: [C, D]."""
        new = [name for name in dict.fromkeys(names) if name not in self._embedded]
        self._embedded |= dict(zip(new, self.encoder.embed_words(new), strict=True))
        return np.array([self._embedded[name] for name in names], np.float32).reshape(-1, self.encoder.size)


def box_place(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where boxes lie, in fractions of their image: corners, width, height, area, log of width / height.

    Args:
        boxes: [V, 4] xyxy in pixels, with an area.
        size: Width and height of the image in pixels.

    Returns:
        [V, 8] float32.
    """
    corners = boxes / np.array([*size, *size], np.float32)
    sides = corners[:, 2:] - corners[:, :2]
    pixels = boxes[:, 2:] - boxes[:, :2]
    shape = np.log(pixels[:, :1] / pixels[:, 1:])
    return np.concatenate([corners, sides, sides.prod(1, keepdims=True), shape], 1).astype(np.float32)
