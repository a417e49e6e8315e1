"""Regions that another detector found, read from one npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from groundgraph.data.types import Example
from groundgraph.errors import InputError
from groundgraph.vision.stored import Stored, StoredRegions

_AXES = {"file_names": 1, "categories": 1, "boxes": 3, "labels": 2, "scores": 2, "features": 3}


class PrecomputedRegions(StoredRegions):
    """Regions from an npz file, matched to an example by the file name of its image.

    file_names [N], categories [C] (strings); boxes [N, V, 4] xyxy in pixels; labels [N, V] into categories, -1 = no
    such region; scores [N, V]; features [N, V, D]. count: the best that are kept of an image, None for all.
    """

    def __init__(self, path: str | Path, arrays: dict[str, np.ndarray], count: int | None = None) -> None:
        names = [str(name) for name in arrays["file_names"]]
        self._rows = {name: row for row, name in reversed(list(enumerate(names)))}
        twice = {name for row, name in enumerate(names) if self._rows[name] != row}
        super().__init__(path, [str(name) for name in arrays["categories"]], count, twice)
        self._arrays = arrays

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> PrecomputedRegions:
        """Reads the file; nothing runs on `device`. Raises InputError, naming file and fix, for any other file."""
        try:
            with np.load(source, allow_pickle=False) as file:
                arrays = {name: file[name] for name in _AXES if name in file}
        except FileNotFoundError as error:
            raise InputError(f"{source}: no such file of regions") from error
        # TypeError: a bare npy array; MemoryError: a header that claims more than there is
        except (OSError, ValueError, EOFError, TypeError, MemoryError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f"{source}: damaged, or no npz file of plain arrays ({error}); make it anew") from error
        for name, axes in _AXES.items():
            if name not in arrays:
                raise InputError(f"{source}: holds no array {name!r}; it needs {', '.join(_AXES)}")
            if arrays[name].ndim != axes or (axes > 1 and arrays[name].shape[:2] != arrays["boxes"].shape[:2]):
                raise InputError(f"{source}: {name} of shape {arrays[name].shape} does not fit boxes [N, V, 4]")
        if arrays["boxes"].shape[2] != 4 or len(arrays["file_names"]) != len(arrays["boxes"]):
            raise InputError(f"{source}: boxes have the shape {arrays['boxes'].shape}, not [file names, V, 4]")
        if arrays["labels"].max(initial=-1) >= len(arrays["categories"]):
            raise InputError(f"{source}: a label is beyond the {len(arrays['categories'])} categories")
        return cls(source, arrays, count)

    def find(self, example: Example) -> tuple[str, Stored] | None:
        """See `StoredRegions.find`."""
        name = Path(example.path).name
        if name not in self._rows:
            return None
        parts = {key: self._arrays[key][self._rows[name]] for key in ("boxes", "features", "labels", "scores")}
        there = parts["labels"] >= 0
        return name, Stored(**{key: part[there] for key, part in parts.items()})
