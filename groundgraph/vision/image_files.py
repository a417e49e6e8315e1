"""Regions that another detector found, a file an image: anyone's npz files, and SGNLS's OpenImages detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.numbers import numbers
from groundgraph.data.vocabulary import OPENIMAGES601
from groundgraph.errors import InputError
from groundgraph.formats.unpickle import read_npy, read_npz
from groundgraph.vision.stored import BACKGROUND, Stored, StoredRegions, keyed, read_categories

# What a file's arrays are called by those who publish such files; `x` and `bbox` are bottom-up-attention.pytorch's.
NAMES = {
    "boxes": ("boxes", "bbox"),
    "features": ("features", "feat", "x"),
    "labels": ("labels", "classes", "objects_id"),
    "scores": ("scores", "objects_conf"),
}
_ARRAYS = {"image_w", "image_h", *(name for names in NAMES.values() for name in names)}


class ImageFiles(StoredRegions):
    """A folder with one npz an image, ID.npz: boxes [V, 4] xyxy in pixels, features [V, D], labels and scores [V].

    Names as in `NAMES`; labels count from 0 into the lines of categories.txt in the folder, labels and scores may be
    missing. image_w and image_h, where there, say the size that the boxes belong to.
    """

    def __init__(self, folder: str | Path, categories: Sequence[str], count: int | None = None) -> None:
        self._files, repeated = _files(Path(folder))
        super().__init__(folder, self._files, categories, count, repeated)

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> ImageFiles:
        """From the folder; nothing runs on `device`. Raises InputError where it holds no npz file."""
        return cls(source, read_categories(Path(source) / "categories.txt"), count)

    def read(self, key: str) -> Stored:
        """See `StoredRegions.read`."""
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
        return Stored(**parts, size=size)


class SgnlsDetections(StoredRegions):
    """SGNLS's released detections, as its `preprocess/extract_oid_features.py` writes and WS-SGG reads them.

    A folder such as VG_detection_results_oid with, for every image,
        _att/ID.npz    feat [V, 1536], the region features
        _dists/ID.npz  feat [V, 602], class probabilities (one-hot in the release), column 0 = background
        box_dict.npy   pickled {ID: [V, 4] xyxy in pixels}, or _box/ID.npy each
        _score/ID.npy  [V] detection scores, where the folder has them; else the best class's probability
    Categories are OpenImages' 601 in TensorFlow's order (oid_v4_label_map), unless categories.txt lies in the folder.
    """

    def __init__(
        self, folder: str | Path, categories: Sequence[str], boxes: dict[str, np.ndarray], count: int | None = None
    ) -> None:
        self._folder, self._boxes = Path(folder), boxes
        self._files, repeated = _files(self._folder / "_att")
        super().__init__(folder, self._files, categories, count, repeated)

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> SgnlsDetections:
        """From the folder; nothing runs on `device`. Raises InputError, naming what is missing or damaged."""
        folder, boxes = Path(source), {}
        listing = folder / "box_dict.npy"
        if listing.is_file():
            boxes = read_npy(listing).tolist()
            if not isinstance(boxes, dict):
                raise InputError(f"{listing}: holds no table of boxes by image; fetch it again")
            rows, repeated = keyed(boxes, str(listing))
            if repeated:
                raise InputError(f"{listing}: has image {min(repeated)} twice; fetch it again")
            boxes = dict(zip(rows, boxes.values(), strict=True))
        elif not (folder / "_box").is_dir():
            raise InputError(f"{folder}: has neither box_dict.npy nor a folder _box; unpack SGNLS's detections there")
        categories = read_categories(folder / "categories.txt") or OPENIMAGES601.names
        return cls(folder, categories[categories[0] in BACKGROUND :], boxes, count)

    def read(self, key: str) -> Stored | None:
        """See `StoredRegions.read`."""
        boxes = self._box(key)
        if boxes is None:
            return None
        boxes = numbers(boxes, f"{self._folder}: the boxes of image {key}")
        if boxes.ndim != 2:
            raise InputError(f"{self._folder}: the boxes of image {key} are {boxes.shape}, not [V, 4]; fetch it")
        features, chance = (self._feat(part, key) for part in ("_att", "_dists"))
        chance = numbers(chance, f"{self._path('_dists', key, 'npz')}: feat")
        if chance.ndim != 2 or chance.shape[1] != 1 + len(self.categories) or len(chance) != len(boxes):
            raise InputError(
                f"{self._path('_dists', key, 'npz')}: class probabilities {chance.shape} of {len(boxes)} boxes and "
                f"{len(self.categories)} categories; put a categories.txt of its detector into {self._folder}"
            )
        path = self._path("_score", key, "npy")
        scores = read_npy(path) if path.is_file() else chance[:, 1:].max(1)
        known = np.isfinite(chance).all(1)
        return Stored(boxes, features, np.where(known, chance[:, 1:].argmax(1), -1), scores)

    def _path(self, part: str, key: str, ending: str) -> Path:
        """Where a part of an image's detections lies: called as its features are."""
        return self._folder / part / self._files[key].relative_to(self._folder / "_att").with_suffix(f".{ending}")

    def _box(self, key: str) -> Any:
        if key in self._boxes:
            return self._boxes[key]
        path = self._path("_box", key, "npy")
        return read_npy(path) if path.is_file() else None

    def _feat(self, part: str, key: str) -> np.ndarray:
        path = self._path(part, key, "npz")
        arrays = read_npz(path, ("feat",))
        if "feat" not in arrays:
            raise InputError(f"{path}: holds no feat; fetch it again")
        return arrays["feat"]


def _files(folder: Path) -> tuple[dict[str, Path], set[str]]:
    """Key -> npz file, of a folder and the folders in it; and keys of two files, such as 7.npz and 007.npz."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of regions; give the folder that holds the npz files")
    paths = sorted(folder.rglob("*.npz"))
    if not paths:
        raise InputError(f"{folder}: holds no npz file; give the folder of regions that was unpacked")
    rows, repeated = keyed((path.relative_to(folder).with_suffix("").as_posix() for path in paths), str(folder))
    return {key: paths[row] for key, row in rows.items()}, repeated
