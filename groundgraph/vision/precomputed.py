"""Regions that another detector found, read from one npz file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from groundgraph.data.numbers import numbers, whole
from groundgraph.errors import InputError
from groundgraph.formats.unpickle import read_npz
from groundgraph.vision.stored import Stored, StoredRegions, keyed

_AXES = {"file_names": 1, "categories": 1, "boxes": 3, "labels": 2, "scores": 2, "features": 3}


class PrecomputedRegions(StoredRegions):
    """Regions from an npz file, matched to an example by the file name of its image, by the end of its path, or its id.

    file_names [N], categories [C] (strings); boxes [N, V, 4] xyxy in pixels; labels [N, V] into categories, -1 = no
    such region; scores [N, V]; features [N, V, D]. count: the best that are kept of an image, None for all.
    """

    def __init__(self, path: str | Path, arrays: dict[str, np.ndarray], count: int | None = None) -> None:
        self._rows, repeated = keyed(arrays["file_names"].tolist(), f"{path}: file_names")
        categories = [name.decode() if isinstance(name, bytes) else name for name in arrays["categories"].tolist()]
        super().__init__(path, self._rows, categories, count, repeated)
        self._arrays = arrays

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> PrecomputedRegions:
        """Reads the file; nothing runs on `device`. Raises InputError, naming file and fix, for any other file."""
        arrays = read_npz(source, _AXES)
        for name, axes in _AXES.items():
            if name not in arrays:
                raise InputError(f"{source}: holds no array {name!r}; it needs {', '.join(_AXES)}")
            if arrays[name].ndim != axes or (axes > 1 and arrays[name].shape[:2] != arrays["boxes"].shape[:2]):
                raise InputError(f"{source}: {name} of shape {arrays[name].shape} does not fit boxes [N, V, 4]")
        if arrays["boxes"].shape[2] != 4 or len(arrays["file_names"]) != len(arrays["boxes"]):
            raise InputError(f"{source}: boxes have the shape {arrays['boxes'].shape}, not [file names, V, 4]")
        for name in ("boxes", "scores", "features"):
            numbers(arrays[name], f"{source}: {name}")
        arrays["labels"] = whole(arrays["labels"], f"{source}: labels")
        if arrays["categories"].dtype.kind not in "US":
            raise InputError(f"{source}: categories holds no texts; give the names that labels number")
        if arrays["labels"].max(initial=-1) >= len(arrays["categories"]) or arrays["labels"].min(initial=-1) < -1:
            raise InputError(f"{source}: a label is beyond the {len(arrays['categories'])} categories")
        return cls(source, arrays, count)

    def read(self, key: str) -> Stored:
        """See `StoredRegions.read`."""
        row = self._rows[key]
        parts = {name: self._arrays[name][row] for name in ("boxes", "features", "labels", "scores")}
        there = parts["labels"] >= 0
        return Stored(**{name: part[there] for name, part in parts.items()})
