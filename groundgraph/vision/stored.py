"""What all files of regions share: an example finds its own, they fit its image, the best are kept."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundgraph.data.images import ImageError, image_size
from groundgraph.data.text import read_text
from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.vision.detectors import usable


@dataclass(frozen=True)
class Stored:
    """An image's regions as a file holds them.

    boxes     [V, 4] xyxy in pixels of a picture of `size` (width, height); None: of the image itself; (1, 1): shares
    features  [V, D]
    labels    [V] into the categories, -1 = none; None: the file has none
    scores    [V] in 0..1; None: the file has none, its order counts
    """

    boxes: np.ndarray
    features: np.ndarray
    labels: np.ndarray | None = None
    scores: np.ndarray | None = None
    size: tuple[float, float] | None = None


class StoredRegions(ABC):
    """Regions that another detector found; what is new in a kind of file is `find` alone.

    source      where they lie, for messages
    categories  names that the labels index
    count       the best that are kept of an image, None for all
    repeated    keys that the file has twice: the first counts, and an image that asks for one has it recorded
    """

    def __init__(
        self, source: str | Path, categories: Sequence[str], count: int | None, repeated: Iterable[str] = ()
    ) -> None:
        self.source, self.count, self.repeated = source, count, frozenset(repeated)
        self._categories = tuple(categories)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that the regions' labels index; none where the file knows no classes."""
        return self._categories

    @abstractmethod
    def find(self, example: Example) -> tuple[str, Stored] | None:
        """The key an example has in the file and its regions; None where it has none. ValueError: damaged there."""

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`; an image that the file or the disk does not have is skipped and recorded."""
        return [self._regions(example, skipped) for example in examples]

    def _regions(self, example: Example, skipped: Skipped) -> Regions | None:
        try:
            found = self.find(example)
            if found is None:
                skipped.add(example.image_id, f"{self.source} has no regions of {Path(example.path).name}")
                return None
            size = image_size(example.path)
            regions = fit(found[1], size, len(self.categories))
        except ImageError as error:
            skipped.add(example.image_id, str(error))
            return None
        except ValueError as error:
            where = "" if str(self.source) in str(error) else f"{self.source}: "
            skipped.add(example.image_id, f"{where}{error}")
            return None
        if found[0] in self.repeated:
            skipped.add(example.image_id, f"{self.source} has {found[0]} twice; the first counts")
        kept = usable(regions, example, skipped)
        if kept is None or self.count is None:
            return kept
        top = slice(self.count)
        return Regions(kept.boxes[top], kept.labels[top], kept.scores[top], kept.features[top], size)


def fit(found: Stored, size: tuple[int, int], categories: int) -> Regions:
    """Stored regions as `Regions` of an image of `size`: best first, boxes scaled to it and clipped.

    Raises InputError where the shapes do not fit each other or a label is beyond the categories.
    """
    boxes = np.asarray(found.boxes, np.float32)
    features = np.asarray(found.features, np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or features.ndim != 2 or len(features) != len(boxes):
        raise InputError(f"boxes {boxes.shape} and features {features.shape} are not [V, 4] and [V, D]; make it anew")
    count = len(boxes)
    labels = np.full(count, -1) if found.labels is None else np.asarray(found.labels).reshape(-1).astype(np.int64)
    scores = np.ones(count, np.float32) if found.scores is None else np.asarray(found.scores, np.float32).reshape(-1)
    if len(labels) != count or len(scores) != count:
        raise InputError(f"{len(labels)} labels and {len(scores)} scores of {count} boxes; make it anew")
    if labels.max(initial=-1) >= categories or labels.min(initial=0) < -1:
        raise InputError(f"label {labels.max()} or {labels.min()} is none of the {categories} categories")
    if found.size is not None:
        if not (np.isfinite(found.size).all() and min(found.size) > 0):
            raise InputError(f"regions of a picture of {found.size} pixels; make it anew")
        boxes = boxes * np.array([size[0] / found.size[0], size[1] / found.size[1]] * 2, np.float32)
    order = np.argsort(-scores, kind="stable")
    boxes = boxes.clip(0, np.array(size * 2, np.float32))
    return Regions(boxes[order], labels[order], scores[order], features[order], size)


def key_of(example: Example, keys: Container[str]) -> str | None:
    """Which of a file's keys is an example's: its id, its file's name without the ending, or the number that ends it.

    COCO_val2014_000000000139.jpg is found under 139 as well.
    """
    stem = Path(example.path).stem
    number = re.search(r"(\d+)$", stem)
    tried = [example.image_id, stem, *([str(int(number[1]))] if number else [])]
    return next((key for key in tried if key in keys), None)


def read_categories(path: str | Path | None) -> tuple[str, ...]:
    """Names from a file of one a line (what follows a comma is a synonym and left out); none without a file.

    Raises InputError, naming the file, as `Vocabulary.from_file`; bottom-up attention's list of 1,600 has doubles,
    which keep their places.
    """
    if path is None:
        return ()
    if Path(path).suffix == ".json":
        return Vocabulary.from_file(path).names
    lines = read_text(path, "one name a line").splitlines()
    names = [line.split(",")[0].strip() for line in lines if line.strip()]
    return tuple(names[1:] if names[:1] in (["__background__"], ["background"]) else names)
