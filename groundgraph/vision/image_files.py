"""Regions that another detector found, a file an image: anyone's npz files, and SGNLS's OpenImages detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from groundgraph.data.types import Example
from groundgraph.data.unpickle import read_npy, read_npz
from groundgraph.data.vocabulary import OPENIMAGES601
from groundgraph.errors import InputError
from groundgraph.vision.stored import Stored, StoredRegions, key_of, read_categories

# What a file's arrays are called by those who publish such files; `x` and `bbox` are bottom-up-attention.pytorch's.
NAMES = {
    "boxes": ("boxes", "bbox"),
    "features": ("features", "feat", "x"),
    "labels": ("labels", "classes", "objects_id"),
    "scores": ("scores", "objects_conf"),
}


class ImageFiles(StoredRegions):
    """A folder with one npz an image, ID.npz: boxes [V, 4] xyxy in pixels, features [V, D], labels and scores [V].

    Names as in `NAMES`; labels count from 0 into the names of categories.txt in the folder, labels and scores may be
    missing. image_w and image_h, where there, say the size that the boxes belong to.
    """

    def __init__(self, folder: str | Path, categories: Sequence[str], count: int | None = None) -> None:
        super().__init__(folder, categories, count)
        self._folder = Path(folder)
        self._keys = _keys(self._folder)

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> ImageFiles:
        """From the folder; nothing runs on `device`. Raises InputError where it holds no npz file."""
        names = Path(source) / "categories.txt"
        return cls(source, read_categories(names if names.is_file() else None), count)

    def find(self, example: Example) -> tuple[str, Stored] | None:
        """See `StoredRegions.find`."""
        key = key_of(example, self._keys)
        if key is None:
            return None
        path = self._folder / f"{key}.npz"
        arrays = read_npz(path)
        parts = {part: next((arrays[n] for n in names if n in arrays), None) for part, names in NAMES.items()}
        if parts["boxes"] is None or parts["features"] is None:
            raise InputError(f"{path}: holds {', '.join(arrays)}, but no boxes and features; make it anew")
        if not self.categories:
            parts["labels"] = None
        size = None
        if "image_w" in arrays and "image_h" in arrays:
            size = (float(arrays["image_w"]), float(arrays["image_h"]))
        return key, Stored(**parts, size=size)


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
        super().__init__(folder, categories, count)
        self._folder, self._boxes = Path(folder), boxes
        self._keys = _keys(self._folder / "_att")

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> SgnlsDetections:
        """From the folder; nothing runs on `device`. Raises InputError, naming what is missing or damaged."""
        folder, boxes = Path(source), {}
        names, listing = folder / "categories.txt", folder / "box_dict.npy"
        if listing.is_file():
            boxes = read_npy(listing).tolist()
            if not isinstance(boxes, dict):
                raise InputError(f"{listing}: holds no table of boxes by image; fetch it again")
            boxes = {str(key): value for key, value in boxes.items()}
        elif not (folder / "_box").is_dir():
            raise InputError(f"{folder}: has neither box_dict.npy nor a folder _box; unpack SGNLS's detections there")
        categories = read_categories(names) if names.is_file() else OPENIMAGES601.names
        return cls(folder, categories, boxes, count)

    def find(self, example: Example) -> tuple[str, Stored] | None:
        """See `StoredRegions.find`."""
        key = key_of(example, self._keys)
        boxes = self._box(key) if key is not None else None
        if boxes is None:
            return None
        features, chance = (self._feat(part, key) for part in ("_att", "_dists"))
        if chance.ndim != 2 or chance.shape[1] != 1 + len(self.categories) or len(chance) != len(boxes):
            raise InputError(
                f"{self._folder / '_dists' / key}.npz: class probabilities {chance.shape} of {len(boxes)} boxes and "
                f"{len(self.categories)} categories; put a categories.txt of its detector into {self._folder}"
            )
        path = self._folder / "_score" / f"{key}.npy"
        scores = read_npy(path) if path.is_file() else chance[:, 1:].max(1)
        return key, Stored(boxes, features, chance[:, 1:].argmax(1), scores)

    def _box(self, key: str) -> np.ndarray | None:
        path = self._folder / "_box" / f"{key}.npy"
        if key in self._boxes:
            return np.asarray(self._boxes[key])
        return read_npy(path) if path.is_file() else None

    def _feat(self, part: str, key: str) -> np.ndarray:
        path = self._folder / part / f"{key}.npz"
        arrays = read_npz(path)
        if "feat" not in arrays:
            raise InputError(f"{path}: holds {', '.join(arrays)}, but no feat; fetch it again")
        return arrays["feat"]


def _keys(folder: Path) -> frozenset[str]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of regions; give the folder that holds the npz files")
    keys = frozenset(path.stem for path in folder.glob("*.npz"))
    if not keys:
        raise InputError(f"{folder}: holds no npz file; give the folder of regions that was unpacked")
    return keys
