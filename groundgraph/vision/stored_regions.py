"""Regions from a file of another program: an example finds its own, they fit its image, the best are kept."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import numpy as np

from groundgraph.data.boxes import inside, shares, sound, upright
from groundgraph.data.ids import id_text, name_text, whole_number
from groundgraph.data.images import ImageError, image_frame
from groundgraph.data.numbers import numbers, whole
from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.region_file import FileRegions, RegionFile
from groundgraph.vision.detector import usable


class FileDetector:
    """A `Detector` that looks at no image: it has the regions that a file holds.

    Args:
        file: Where the regions are.
        count: The best that are kept of an image; None: all.
    """

    def __init__(self, file: RegionFile, count: int | None = None) -> None:
        self.file, self.count = file, count
        self._owners: dict[str, str] = {}  # key -> path of the image that it fits
        self._shared: dict[str, str] = {}  # key that fits several -> path of another one

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that the regions' labels index; none where the file knows no classes."""
        return self.file.categories

    def expect(self, examples: Iterable[Example]) -> None:
        """Take note of images that will be asked for: a key that fits two of them is neither's."""
        for example in examples:
            try:
                key = key_of(example, self.file.keys)
            except InputError:
                continue
            if key is not None and self._owners.setdefault(key, example.path) != example.path:
                self._shared.setdefault(key, example.path)

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`; an image that the file or the disk does not have is skipped and recorded."""
        self.expect(examples)
        return [self._regions(example, skipped) for example in examples]

    def _regions(self, example: Example, skipped: Skipped) -> Regions | None:
        key = None
        try:
            key = key_of(example, self.file.keys)
            if key in self._shared:
                one, other = self._owners[key], self._shared[key]
                raise InputError(f"fits both {one} and {other}; name regions by the images' paths")
            stored = None if key is None else self.file.read(key)
            if stored is None:
                skipped.add(example.image_id, f"{self.file.source} has no regions of {Path(example.path).name}")
                return None
            size, orientation = (example.size, 1) if example.size else image_frame(example.path)
            regions = fit(stored, size, len(self.categories), orientation)
        except ImageError as error:
            skipped.add(example.image_id, str(error))
            return None
        except InputError as error:
            where = "" if str(self.file.source) in str(error) else f"{self.file.source}, {key or example.path}: "
            skipped.add(example.image_id, f"{where}{error}")
            return None
        if key in self.file.repeated:
            skipped.add(example.image_id, f"{self.file.source} has {key} twice; the first counts")
        kept = usable(regions, example, skipped)
        if kept is None or self.count is None:
            return kept
        top = slice(self.count)
        return Regions(kept.boxes[top], kept.labels[top], kept.scores[top], kept.features[top], size)


def fit(stored: FileRegions, size: tuple[int, int], categories: int, orientation: int = 1) -> Regions:
    """Return a file's regions as `Regions` of an image: best first, boxes turned and scaled with it and clipped.

    Args:
        stored: What the file holds.
        size: The image's width and height in pixels, after its EXIF orientation.
        categories: How many categories the file has.
        orientation: The image's EXIF orientation.

    Raises:
        InputError: The shapes do not fit each other, a label is beyond the categories, or the boxes cannot be those of
            the image.
    """
    boxes, features = numbers(stored.boxes, "boxes").astype(np.float64), numbers(stored.features, "features")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or features.ndim != 2 or len(features) != len(boxes):
        raise InputError(f"boxes {boxes.shape} and features {features.shape} are not [V, 4] and [V, D]; make it anew")
    count = len(boxes)
    labels = np.full(count, -1) if stored.labels is None else whole(stored.labels, "labels").reshape(-1)
    scores = np.ones(count) if stored.scores is None else numbers(stored.scores, "scores").reshape(-1)
    if len(labels) != count or len(scores) != count:
        raise InputError(f"{len(labels)} labels and {len(scores)} scores of {count} boxes; make it anew")
    if labels.max(initial=-1) >= categories or labels.min(initial=0) < -1:
        raise InputError(f"label {labels.max()} or {labels.min()} is none of the {categories} categories")
    if stored.size != (1, 1) and shares(boxes[sound(boxes)]):
        raise InputError("boxes are shares of 0..1, not pixels; multiply them by the picture's width and height")
    boxes = upright(boxes, stored.size, size, orientation)
    if not inside(boxes[sound(boxes)], size).all():
        reach = boxes[sound(boxes)][:, 2:].max(0)
        raise InputError(
            f"boxes reach to {reach[0]:.0f}, {reach[1]:.0f} in an image of {size[0]} x {size[1]} pixels: they are of "
            "another picture, or of another size of it"
        )
    boxes[~np.isfinite(boxes).all(1)] = np.nan  # which `usable` leaves out
    boxes = boxes.clip(0, np.array(size * 2)).astype(np.float32)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, which `usable` leaves out
        scores, features = scores.astype(np.float32), features.astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return Regions(*(array[order] for array in (boxes, labels, scores, features)), size)


def key_of(example: Example, keys: Container[str]) -> str | None:
    """Return an example's key of a file's: its id, its image's path or a part of its end, or the number at its end.

    The key of a/COCO_val2014_000000000139.jpg is a/COCO_val2014_000000000139.jpg, with the ending or without,
    COCO_val2014_000000000139.jpg likewise, or 139. None: it has none.

    Args:
        example: The example.
        keys: The file's.

    Raises:
        InputError: The example's id says one key and its image's name another.
    """
    parts = name_text(example.path).split("/")
    stem, dot, _ = parts[-1].rpartition(".")
    bare = [*parts[:-1], stem if dot else parts[-1]]
    ends = ["/".join(words[i:]) for i in range(len(parts)) for words in (parts, bare)]
    ends.append(id_text(bare[-1]) or "")
    by_name = next((end for end in ends if end in keys), None)
    number = re.search(r"(\d+)$", bare[-1])
    if number and by_name is None and id_text(number[1]) in keys:
        by_name = id_text(number[1])
        doubtful = len(number[1]) >= 6  # p7.jpg need not be image 7, but COCO_val2014_000000000139.jpg is image 139
    else:
        doubtful = True
    by_id = name_text(id_text(example.image_id) or "")
    if by_id not in keys:
        return by_name
    if by_name not in (None, by_id) and doubtful and whole_number(by_id) is not None:
        raise InputError(
            f"has regions under its id {by_id} and under its file's name {by_name}; name them as files, with an ending"
        )
    return by_id
