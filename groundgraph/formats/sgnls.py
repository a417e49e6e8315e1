"""SGNLS's released OpenImages detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.numbers import numbers
from groundgraph.data.vocabulary import OPENIMAGES601
from groundgraph.errors import InputError
from groundgraph.formats.region_file import BACKGROUND, FileRegions, RegionFile, keyed, read_categories
from groundgraph.formats.region_npz import npz_files
from groundgraph.formats.unpickle import read_npy, read_npz


class SgnlsDetections(RegionFile):
    """SGNLS's released detections, as its `preprocess/extract_oid_features.py` writes and WS-SGG reads them.

    A folder such as VG_detection_results_oid with, for every image,
        _att/ID.npz    feat [V, 1536], the region features
        _dists/ID.npz  feat [V, 602], class probabilities (one-hot in the release), column 0 = background
        box_dict.npy   pickled {ID: [V, 4] xyxy in pixels}, or _box/ID.npy each
        _score/ID.npy  [V] detection scores, where the folder has them; else the best class's probability
    Categories are OpenImages' 601 in TensorFlow's order (oid_v4_label_map), unless categories.txt lies in the folder.
    """

    def __init__(self, folder: str | Path, categories: Sequence[str], boxes: dict[str, np.ndarray]) -> None:
        self._folder, self._boxes = Path(folder), boxes
        self._files, repeated = npz_files(self._folder / "_att")
        super().__init__(folder, self._files, categories, repeated)

    @classmethod
    def load(cls, source: str | Path) -> SgnlsDetections:
        """From the folder. Raises InputError, naming what is missing or damaged."""
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
        return cls(folder, categories[categories[0] in BACKGROUND :], boxes)

    def read(self, key: str) -> FileRegions | None:
        """See `RegionFile.read`."""
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
        finite = np.isfinite(chance).all(1)
        return FileRegions(boxes, features, np.where(finite, chance[:, 1:].argmax(1), -1), scores)

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
