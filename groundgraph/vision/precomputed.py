"""Regions that another detector found, read from a file."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from groundgraph.data.images import ImageError, image_size
from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.vision.detectors import usable

_AXES = {"file_names": 1, "categories": 1, "boxes": 3, "labels": 2, "scores": 2, "features": 3}


class PrecomputedRegions:
    """Regions from an npz file, matched to an example by the file name of its image.

    file_names [N], categories [C] (strings); boxes [N, V, 4] xyxy in pixels; labels [N, V] into categories, -1 = no
    such region; scores [N, V]; features [N, V, D]. count: the best that are kept of an image, None for all.
    """

    def __init__(self, path: str | Path, arrays: dict[str, np.ndarray], count: int | None = None) -> None:
        self._path, self._arrays, self._count = path, arrays, count
        self._categories = tuple(str(name) for name in arrays["categories"])
        self._rows = {str(name): row for row, name in enumerate(arrays["file_names"])}

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> PrecomputedRegions:
        """Reads the file; nothing runs on `device`. Raises ValueError, naming file and fix, for any other file."""
        try:
            with np.load(source, allow_pickle=False) as file:
                arrays = {name: file[name] for name in _AXES if name in file}
        except FileNotFoundError as error:
            raise ValueError(f"{source}: no such file of regions") from error
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:  # TypeError: a bare npy array
            raise ValueError(f"{source}: damaged, or no npz file of plain arrays ({error}); make it anew") from error
        for name, axes in _AXES.items():
            if name not in arrays:
                raise ValueError(f"{source}: holds no array {name!r}; it needs {', '.join(_AXES)}")
            if arrays[name].ndim != axes or (axes > 1 and arrays[name].shape[:2] != arrays["boxes"].shape[:2]):
                raise ValueError(f"{source}: {name} of shape {arrays[name].shape} does not fit boxes [N, V, 4]")
        if arrays["boxes"].shape[2] != 4 or len(arrays["file_names"]) != len(arrays["boxes"]):
            raise ValueError(f"{source}: boxes have the shape {arrays['boxes'].shape}, not [file names, V, 4]")
        if arrays["labels"].max(initial=-1) >= len(arrays["categories"]):
            raise ValueError(f"{source}: a label is beyond the {len(arrays['categories'])} categories")
        return cls(source, arrays, count)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that the regions' labels index."""
        return self._categories

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`; an image that the file or the disk does not have is skipped and recorded."""
        return [self._find(example, skipped) for example in examples]

    def _find(self, example: Example, skipped: Skipped) -> Regions | None:
        name = Path(example.path).name
        if name not in self._rows:
            skipped.add(example.image_id, f"{self._path} has no regions of {name}")
            return None
        try:
            size = image_size(example.path)
        except ImageError as error:
            skipped.add(example.image_id, str(error))
            return None
        row = self._rows[name]
        labels = self._arrays["labels"][row].astype(np.int64)
        there = np.flatnonzero(labels >= 0)
        best = there[np.argsort(-self._arrays["scores"][row][there], kind="stable")]
        boxes = self._arrays["boxes"][row][best].astype(np.float32).clip(0, np.array(size * 2, np.float32))
        scores = self._arrays["scores"][row][best].astype(np.float32)
        features = self._arrays["features"][row][best].astype(np.float32)
        found = usable(Regions(boxes, labels[best], scores, features, size), example, skipped)
        if found is None or self._count is None:
            return found
        top = slice(self._count)
        return Regions(found.boxes[top], found.labels[top], found.scores[top], found.features[top], size)
