"""Regions that another detector found, in anyone's npz files: one an image, or one of all images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from groundgraph.data.numbers import numbers, whole
from groundgraph.errors import InputError
from groundgraph.formats.region_file import FileRegions, RegionFile, keyed, read_categories
from groundgraph.formats.unpickle import read_npz

# What a file's arrays are called by those who publish such files; `x` and `bbox` are bottom-up-attention.pytorch's.
NAMES = {
    "boxes": ("boxes", "bbox"),
    "features": ("features", "feat", "x"),
    "labels": ("labels", "classes", "objects_id"),
    "scores": ("scores", "objects_conf"),
}
_ARRAYS = {"image_w", "image_h", *(name for names in NAMES.values() for name in names)}


class ImageFiles(RegionFile):
    """A folder with one npz an image, ID.npz: boxes [V, 4] xyxy in pixels, features [V, D], labels and scores [V].

    Names as in `NAMES`; labels count from 0 into the lines of categories.txt in the folder, labels and scores may be
    missing. image_w and image_h, where there, say the size that the boxes belong to.
    """

    def __init__(self, folder: str | Path, categories: Sequence[str]) -> None:
        self._files, repeated = npz_files(Path(folder))
        super().__init__(folder, self._files, categories, repeated)

    @classmethod
    def load(cls, source: str | Path) -> ImageFiles:
        """From the folder. Raises InputError where it holds no npz file."""
        return cls(source, read_categories(Path(source) / "categories.txt"))

    def read(self, key: str) -> FileRegions:
        """See `RegionFile.read`."""
        path = self._files[key]
        arrays = read_npz(path, _ARRAYS)
        parts = {part: next((arrays[n] for n in names if n in arrays), None) for part, names in NAMES.items()}
        if parts["boxes"] is None or parts["features"] is None:
            raise InputError(f"{path}: holds no boxes and features; make it anew with numpy.savez")
        if not self.categories:
            parts["labels"] = None
        size = None
        if "image_w" in arrays and "image_h" in arrays:
            sides = [numbers(arrays[name], f"{path}: {name}") for name in ("image_w", "image_h")]
            if any(side.size != 1 for side in sides):
                raise InputError(f"{path}: image_w and image_h are not one number each; make it anew")
            size = (float(sides[0].item()), float(sides[1].item()))
        return FileRegions(**parts, size=size)


def npz_files(folder: Path) -> tuple[dict[str, Path], set[str]]:
    """Key -> npz file, of a folder and the folders in it; and keys of two files, such as 7.npz and 007.npz."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of regions; give the folder that holds the npz files")
    paths = sorted(folder.rglob("*.npz"))
    if not paths:
        raise InputError(f"{folder}: holds no npz file; give the folder of regions that was unpacked")
    rows, repeated = keyed((path.relative_to(folder).with_suffix("").as_posix() for path in paths), str(folder))
    return {key: paths[row] for key, row in rows.items()}, repeated


_AXES = {"file_names": 1, "categories": 1, "boxes": 3, "labels": 2, "scores": 2, "features": 3}


class PrecomputedRegions(RegionFile):
    """Regions from an npz file, matched to an example by the file name of its image, by the end of its path, or its id.

    file_names [N], categories [C] (strings); boxes [N, V, 4] xyxy in pixels; labels [N, V] into categories, -1 = no
    such region; scores [N, V]; features [N, V, D].
    """

    def __init__(self, path: str | Path, arrays: dict[str, np.ndarray]) -> None:
        self._rows, repeated = keyed(arrays["file_names"].tolist(), f"{path}: file_names")
        super().__init__(path, self._rows, arrays["categories"].tolist(), repeated)
        self._arrays = arrays

    @classmethod
    def load(cls, source: str | Path) -> PrecomputedRegions:
        """Reads the file. Raises InputError, naming file and fix, for any other file."""
        arrays = padded_arrays(source, ("boxes", "labels", "scores", "features"))
        return cls(source, arrays)

    def read(self, key: str) -> FileRegions:
        """See `RegionFile.read`."""
        row = self._rows[key]
        parts = {name: self._arrays[name][row] for name in ("boxes", "features", "labels", "scores")}
        there = parts["labels"] >= 0
        return FileRegions(**{name: part[there] for name, part in parts.items()})


def padded_arrays(source: str | Path, parts: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of all images' regions, padded to the image that has most, checked.

    Args:
        source: An npz file with file_names [N], categories [C] and the parts.
        parts: Of boxes [N, V, 4], labels [N, V], scores [N, V], features [N, V, D] those that it must have.

    Raises:
        InputError: One is missing, of another shape, or out of range; names file, array and fix.
    """
    axes_of = {name: _AXES[name] for name in ("file_names", "categories", *parts)}
    arrays = read_npz(source, axes_of)
    for name, axes in axes_of.items():
        if name not in arrays:
            raise InputError(f"{source}: holds no array {name!r}; it needs {', '.join(axes_of)}")
        if arrays[name].ndim != axes or (axes > 1 and arrays[name].shape[:2] != arrays["boxes"].shape[:2]):
            raise InputError(f"{source}: {name} of shape {arrays[name].shape} does not fit boxes [N, V, 4]")
    if arrays["boxes"].shape[2] != 4 or len(arrays["file_names"]) != len(arrays["boxes"]):
        raise InputError(f"{source}: boxes have the shape {arrays['boxes'].shape}, not [file names, V, 4]")
    for name in axes_of.keys() & {"boxes", "scores", "features"}:
        numbers(arrays[name], f"{source}: {name}")
    arrays["labels"] = whole(arrays["labels"], f"{source}: labels")
    if arrays["categories"].dtype.kind not in "US":
        raise InputError(f"{source}: categories holds no texts; give the names that labels number")
    if arrays["labels"].max(initial=-1) >= len(arrays["categories"]) or arrays["labels"].min(initial=-1) < -1:
        raise InputError(f"{source}: a label is beyond the {len(arrays['categories'])} categories")
    arrays["categories"] = np.array([n.decode() if isinstance(n, bytes) else n for n in arrays["categories"].tolist()])
    return arrays
